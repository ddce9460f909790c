package client

import (
	"io"
	"math/rand/v2"
	"net"
	"sync"
	"testing"
	"time"
)

// A chopper cuts streams into pieces of random length, from single bytes on, and
// sometimes waits between two. After the first chopped bytes it passes the rest
// unchanged: what depends on cuts is over by then.
type chopper struct {
	mu   sync.Mutex
	dice *rand.Rand
}

const (
	chopped   = 8 << 10
	maxPiece  = 1 << 10
	onePauses = 16 // one piece in 16 waits
)

func newChopper(seed uint64) *chopper {
	return &chopper{dice: rand.New(rand.NewPCG(seed, 0))} // chance, not secrecy
}

// piece returns the length of the next piece of at most n bytes. Lengths are
// uniform on a logarithmic scale, so that short ones are as frequent as long ones.
func (c *chopper) piece(n int) (length int, pause bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	length = 1 + c.dice.IntN(1<<c.dice.IntN(11)) // up to maxPiece
	return min(n, length), c.dice.IntN(onePauses) == 0
}

// A choppedConn cuts what is written and what is read.
type choppedConn struct {
	net.Conn
	chop          *chopper
	read, written int
}

func (c *choppedConn) Read(p []byte) (int, error) {
	if c.read < chopped && len(p) > 0 {
		n, _ := c.chop.piece(len(p))
		p = p[:n]
	}
	n, err := c.Conn.Read(p)
	c.read += n
	return n, err
}

func (c *choppedConn) Write(p []byte) (int, error) {
	done := 0
	for done < len(p) {
		n, pause := len(p)-done, false
		if c.written < chopped {
			n, pause = c.chop.piece(n)
		}
		if pause {
			time.Sleep(time.Millisecond)
		}
		n, err := c.Conn.Write(p[done : done+n])
		done += n
		c.written += n
		if err != nil {
			return done, err
		}
	}
	return done, nil
}

// A relay is between client and server, for changes to a plain TCP connection,
// which event loops accept.
type relay struct {
	listener net.Listener
	to       string
	work     sync.WaitGroup
	// carry copies the bytes of one connection, both ways, until it ends, and closes
	// both sides.
	carry func(client, server *net.TCPConn)
}

// startRelay relays to an address until the test ends.
func startRelay(t testing.TB, to string, carry func(client, server *net.TCPConn)) *relay {
	t.Helper()
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	r := &relay{listener: l, to: to, carry: carry}
	r.work.Go(r.accept)
	t.Cleanup(func() {
		_ = l.Close()
		r.work.Wait()
	})
	return r
}

func (r *relay) port() uint16 { return r.listener.Addr().(*net.TCPAddr).AddrPort().Port() }

func (r *relay) accept() {
	for {
		client, err := r.listener.Accept()
		if err != nil {
			return
		}
		server, err := net.Dial("tcp4", r.to)
		if err != nil {
			_ = client.Close()
			continue
		}
		r.work.Go(func() { r.carry(client.(*net.TCPConn), server.(*net.TCPConn)) })
	}
}

// carryChopped cuts both directions.
func (c *chopper) carry(client, server *net.TCPConn) {
	var both sync.WaitGroup
	for _, way := range [][2]*net.TCPConn{{client, server}, {server, client}} {
		both.Go(func() {
			_, _ = io.Copy(&choppedConn{Conn: way[1], chop: c}, struct{ io.Reader }{way[0]})
			_ = way[1].CloseWrite()
		})
	}
	both.Wait()
	_ = client.Close()
	_ = server.Close()
}
