package client

import (
	"bytes"
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"shoal/internal/ssh/sshreason"
	"shoal/internal/sshdtest"
)

// A jump host that takes what is sent slowly is not lost; one that takes nothing is.
func TestSlowJumpHost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ours, theirs := net.Pipe()
		defer func() { _ = theirs.Close() }()
		all := &Tunnels{link: &link{conn: ours}}
		const part, parts = 1 << 10, 10
		go func() {
			for range parts {
				time.Sleep(sshreason.WriteTimeout / 2)
				_, _ = io.CopyN(io.Discard, theirs, part)
			}
		}()
		if err := all.write(make([]byte, parts*part)); err != nil {
			t.Errorf("%d bytes in %v: %v", parts*part, parts*sshreason.WriteTimeout/2, err)
		}
		began := time.Now()
		err := all.write([]byte("more"))
		if took := time.Since(began); !errors.Is(err, os.ErrDeadlineExceeded) || took != sshreason.WriteTimeout {
			t.Errorf("nothing is read: %v after %v, want a timeout after %v", err, took, sshreason.WriteTimeout)
		}
	})
}

// A valve holds writes back while it is shut.
type valve struct {
	mu   sync.Mutex
	open sync.Cond
	shut bool
}

func newValve() *valve {
	g := new(valve)
	g.open.L = &g.mu
	return g
}

func (g *valve) set(shut bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.shut = shut
	g.open.Broadcast()
}

type valved struct {
	net.Conn
	valve *valve
}

func (c valved) Write(p []byte) (int, error) {
	c.valve.mu.Lock()
	for c.valve.shut {
		c.valve.open.Wait()
	}
	c.valve.mu.Unlock()
	return c.Conn.Write(p)
}

// startEcho returns the port of a server that sends back what it gets.
func startEcho(t *testing.T) uint16 {
	t.Helper()
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var work sync.WaitGroup
	work.Go(func() {
		for {
			nc, err := l.Accept()
			if err != nil {
				return
			}
			work.Go(func() {
				_, _ = io.Copy(nc, nc)
				_ = nc.Close()
			})
		}
	})
	t.Cleanup(func() {
		_ = l.Close()
		work.Wait()
	})
	return l.Addr().(*net.TCPAddr).AddrPort().Port()
}

// What is not yet written to a jump host is bounded, whatever windows it grants. The
// streams that wait go on in turn, and one that gives up holds up no other.
func TestBoundedOutputToAJumpHost(t *testing.T) {
	t.Parallel()
	r, port, g := rigFor(sshdtest.OpenSSH(t)), startEcho(t), newValve()
	r.wrap = func(nc net.Conn) net.Conn { return valved{nc, g} }
	d := r.newDialer(t)
	all, err := d.Tunnels(t.Context(), attemptAt(r, ""))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = all.Close() }()
	const streams, size = 8, 512 << 10
	var conns []*Tunnel
	for range streams {
		c, err := all.Open(t.Context(), "127.0.0.1", port)
		if err != nil {
			t.Fatal(err)
		}
		conns = append(conns, c)
	}
	data := make([]byte, size)
	for i := range data {
		data[i] = byte(i * 7 >> 3)
	}

	g.set(true)
	_ = conns[0].SetWriteDeadline(time.Now().Add(50 * time.Millisecond))
	sent, err := conns[0].Write(data)
	// Besides what waits, the pump may have taken as much.
	if most := 3 * maxPending; !errors.Is(err, os.ErrDeadlineExceeded) || sent > most {
		t.Errorf("took %d bytes (%v) that cannot be written, want %d at most", sent, err, most)
	}
	_ = conns[0].SetWriteDeadline(time.Time{})
	var work sync.WaitGroup
	for i, c := range conns {
		part := data
		if i == 0 {
			part = data[sent:]
		}
		work.Go(func() {
			if n, err := c.Write(part); i == 1 && !errors.Is(err, net.ErrClosed) || i != 1 && (n != len(part) || err != nil) {
				t.Errorf("stream %d: wrote %d bytes of %d: %v", i, n, len(part), err)
			}
		})
	}
	for waiting := 0; waiting < streams; {
		time.Sleep(time.Millisecond)
		all.mu.Lock()
		waiting = 0
		for _, c := range all.line {
			if c.waits {
				waiting++
			}
		}
		first := all.line[0]
		all.mu.Unlock()
		if first != conns[0] {
			t.Error("the stream whose write had timed out lost its place in line")
		}
	}
	_ = conns[1].Close()
	g.set(false)
	for i, c := range conns {
		if i == 1 {
			continue
		}
		got := make([]byte, size)
		if _, err := io.ReadFull(c, got); err != nil || !bytes.Equal(got, data) {
			t.Errorf("stream %d: what came back differs (%v)", i, err)
		}
	}
	work.Wait()
	all.mu.Lock()
	defer all.mu.Unlock()
	if len(all.line) != 0 {
		t.Errorf("%d streams are left in line", len(all.line))
	}
}
