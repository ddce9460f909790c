package holder

import (
	"errors"
	"net"
	"os"
	"path/filepath"
	"syscall"
	"testing"
)

// A full is a listener that has no descriptor left, once.
type full struct {
	net.Listener
	failed bool
}

func (f *full) Accept() (net.Conn, error) {
	if !f.failed {
		f.failed = true
		return nil, &net.OpError{Op: "accept", Err: syscall.EMFILE}
	}
	return f.Listener.Accept()
}

// A process that has no descriptor left for a run takes the next one.
func TestAcceptAgain(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	c, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Close() }()
	var errs []error
	served := 0
	accept(t.Context(), &full{Listener: l}, func(c net.Conn) {
		served++
		_ = c.Close()
		_ = l.Close()
	}, func(err error) { errs = append(errs, err) })
	if served != 1 || len(errs) != 1 || !errors.Is(errs[0], syscall.EMFILE) {
		t.Errorf("%d served, errors %v", served, errs)
	}
}

// A file system where a file does not keep its inode number does not keep the process at its start.
func TestNeverTheSameLock(t *testing.T) {
	if f, err := acquireAt(filepath.Join(t.TempDir(), "lock"), func(*os.File, string) bool { return false }); f != nil || err == nil || errors.Is(err, errAnother) {
		t.Errorf("%v, %v", f, err)
	}
}
