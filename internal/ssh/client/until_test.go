package client

import (
	"bytes"
	"errors"
	"io"
	"net"
	"testing"

	"shoal/fleet"
	"shoal/internal/ssh"
)

// An attempt that ends with the phase dial or banner sends nothing at all.
func TestUntilSendsNothing(t *testing.T) {
	for _, last := range []fleet.Phase{fleet.PhaseDial, fleet.PhaseBanner} {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		seen := make(chan []byte, 1) // sent once by the server below
		go func() {
			var all bytes.Buffer
			defer func() { seen <- all.Bytes() }()
			nc, err := l.Accept()
			if err != nil {
				return
			}
			defer func() { _ = nc.Close() }()
			_, _ = io.WriteString(nc, "SSH-2.0-test\r\n")
			_, _ = io.Copy(&all, nc)
		}()
		a := &ssh.Attempt{Progress: new(ssh.Progress), Until: last, Hold: true}
		port := uint16(l.Addr().(*net.TCPAddr).Port)
		a.Target.Target = fleet.Target{Host: fleet.Host{Name: "127.0.0.1", Port: port}, Port: port, User: "u"}
		d, err := New(Options{HostKeys: simKeys{}, Identities: simKeys{}})
		if err != nil {
			t.Fatal(err)
		}
		_, err = d.Dial(t.Context(), a)
		f, ok := errors.AsType[*fleet.Error](err)
		if !ok || !errors.Is(err, ssh.ErrUntil) || f.Phase != last {
			t.Errorf("until %v: %v", last, err)
		}
		if got := <-seen; len(got) > 0 {
			t.Errorf("until %v: the server got %q", last, got)
		}
		_, _ = d.Close(), l.Close()
	}
}
