package holder

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"shoal/internal/filelock"
	"shoal/internal/ssh/persist"
)

// errUser refuses a peer that is another user.
var errUser = errors.New("another user's process is at the other end")

func control(c *net.UnixConn, f func(fd int)) error {
	raw, err := c.SyscallConn()
	if err == nil {
		err = raw.Control(func(fd uintptr) { f(int(fd)) })
	}
	if err != nil {
		return fmt.Errorf("asking who is at the other end: %w", err)
	}
	return nil
}

// checkPeer returns an error unless the process at the other end is this user's.
func checkPeer(c net.Conn) error {
	u, ok := c.(*net.UnixConn)
	if !ok {
		return errUser
	}
	uid, err := peer(u)
	if err == nil && uid != os.Geteuid() {
		err = errUser
	}
	return err
}

// A record is what the lock file says.
type record struct {
	PID      int    `json:"pid"`
	StateDir string `json:"state_dir"`
}

// errAnother means that another process holds the connections of this state directory.
var errAnother = errors.New("another process holds connections for this state directory")

// Serve holds connections until nobody needs them or ctx ends. It writes "ready" to ready once
// runs can connect, and closes it.
func Serve(ctx context.Context, stateDir, version string, ready io.WriteCloser) error {
	defer func() { _ = ready.Close() }()
	unix.Umask(0o077)
	harden()
	_ = unix.Setrlimit(unix.RLIMIT_CORE, &unix.Rlimit{})
	memory := newMemory()
	defer memory.close()
	dir, err := makeDir()
	if err != nil {
		return err
	}
	name, err := nameFor(stateDir)
	if err != nil {
		return err
	}
	base := filepath.Join(dir, name)
	lock, err := acquire(base + lockSuffix)
	if err != nil {
		return err
	}
	defer func() { _ = lock.Close() }()
	defer func() { _ = os.Remove(base + lockSuffix) }()
	text, err := json.Marshal(record{os.Getpid(), stateDir})
	if err == nil {
		err = errors.Join(lock.Truncate(0), writeAt(lock, text))
	}
	if err != nil {
		return fmt.Errorf("writing the lock: %w", err)
	}
	_ = os.Remove(base + socketSuffix) // left over: we have the lock
	listener, err := net.Listen("unix", base+socketSuffix)
	if err != nil {
		return fmt.Errorf("making the socket: %w", err)
	}
	defer func() { _ = listener.Close() }()
	if err := os.Chmod(base+socketSuffix, 0o600); err != nil {
		return fmt.Errorf("making the socket: %w", err)
	}
	log := newLog(os.Stderr)
	h := persist.NewHolder(persist.HolderOptions{StateDir: stateDir, Version: version, Log: log.line})
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var all sync.WaitGroup
	all.Go(func() {
		accept(ctx, listener, func(c net.Conn) {
			if err := checkPeer(c); err != nil {
				log.line("refused: " + err.Error())
				_ = c.Close()
				return
			}
			all.Go(func() {
				memory.begin()
				defer memory.end()
				h.Serve(ctx, c)
			})
		}, func(err error) {
			log.line("a run has to wait: " + err.Error())
			h.MakeRoom()
		})
	})
	if _, err := io.WriteString(ready, readyWord); err != nil {
		log.line("whoever started this process is gone: " + err.Error())
	}
	_ = ready.Close()
	log.line(fmt.Sprintf("process %d holds connections", os.Getpid()))
	select {
	case <-h.Over():
	case <-ctx.Done():
		log.line("ending: " + context.Cause(ctx).Error())
	}
	_ = listener.Close()
	cancel()
	all.Wait()
	return h.Close()
}

// acceptPause is the time between two tries to accept after a failure.
const acceptPause = 100 * time.Millisecond

// accept passes connections on until the listener is closed or ctx ends. failed is told of every
// other error, which may pass: a process that holds many connections may have no descriptor left.
func accept(ctx context.Context, l net.Listener, serve func(net.Conn), failed func(error)) {
	for ctx.Err() == nil {
		c, err := l.Accept()
		switch {
		case errors.Is(err, net.ErrClosed):
			return
		case err != nil:
			failed(err)
			select {
			case <-time.After(acceptPause):
			case <-ctx.Done():
			}
		default:
			serve(c)
		}
	}
}

// acquire takes the lock at path, which may be removed and made anew meanwhile.
func acquire(path string) (*os.File, error) { return acquireAt(path, isAt) }

func acquireAt(path string, at func(f *os.File, path string) bool) (*os.File, error) {
	for range lockTries {
		lock, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|unix.O_NOFOLLOW, 0o600)
		if err != nil {
			return nil, fmt.Errorf("opening the lock: %w", err)
		}
		err = filelock.Lock(lock, time.Now().Add(time.Second)) // List may have it for a moment
		if err == nil && at(lock, path) {
			return lock, nil
		}
		_ = lock.Close()
		if errors.Is(err, filelock.ErrLocked) {
			return nil, errAnother
		}
		if err != nil {
			return nil, err
		}
		time.Sleep(time.Millisecond)
	}
	return nil, fmt.Errorf("the lock %q is another file each time that it is looked at", path)
}

// lockTries limits the tries: on some file systems a file does not keep its inode number.
const lockTries = 100

// isAt reports whether the open file f is the one at path.
func isAt(f *os.File, path string) bool {
	open, err := f.Stat()
	if err != nil {
		return false
	}
	now, err := os.Lstat(path)
	return err == nil && os.SameFile(open, now)
}

const readyWord = "ready\n"

func writeAt(f *os.File, text []byte) error {
	_, err := f.WriteAt(text, 0)
	return err
}

// maxLog bounds the log, in bytes: beyond it begins anew.
const maxLog = 256 << 10

// A log writes lines to the file that also gets what a crash prints.
type log struct {
	mu sync.Mutex
	to *os.File
}

func newLog(f *os.File) *log { return &log{to: f} }

func (l *log) line(text string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if info, err := l.to.Stat(); err == nil && info.Mode().IsRegular() && info.Size() > maxLog {
		_ = l.to.Truncate(0) // it is appended to
	}
	_, _ = fmt.Fprintf(l.to, "%s %.500s\n", time.Now().Format(time.RFC3339), text)
}
