package chaostest

import (
	"io"
	"net"
	"sync"
	"testing"
)

// A proxy stands before one server. While it drops, no byte passes in either direction and connections
// stay open, as when packets are lost.
type proxy struct {
	listener net.Listener
	work     sync.WaitGroup

	mu       sync.Mutex
	passes   sync.Cond // signalled when dropping or closed changes
	server   string    // HOST:PORT
	dropping bool
	closed   bool
	conns    map[net.Conn]bool // of both sides
}

func newProxy(t testing.TB) *proxy {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &proxy{listener: l, conns: make(map[net.Conn]bool)}
	p.passes.L = &p.mu
	p.work.Go(p.accept)
	t.Cleanup(p.close)
	return p
}

func (p *proxy) url() string { return "nats://" + p.listener.Addr().String() }

// to sets the server for new connections.
func (p *proxy) to(server string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.server = server
}

// drop begins to drop, and heal ends it: with what was sent meanwhile, or with the connections
// broken.
func (p *proxy) drop() { p.set(true) }

func (p *proxy) heal(breaks bool) {
	if breaks {
		p.breakAll()
	}
	p.set(false)
}

func (p *proxy) set(dropping bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.dropping = dropping
	p.passes.Broadcast()
}

// breakAll closes all connections.
func (p *proxy) breakAll() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for c := range p.conns {
		_ = c.Close()
	}
}

func (p *proxy) close() {
	p.mu.Lock()
	p.closed = true
	p.passes.Broadcast()
	p.mu.Unlock()
	_ = p.listener.Close()
	p.breakAll()
	p.work.Wait()
}

// await waits while p drops, and reports whether it is still there.
func (p *proxy) await() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	for p.dropping && !p.closed {
		p.passes.Wait()
	}
	return !p.closed
}

func (p *proxy) keep(c net.Conn) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.conns[c] = true
	return !p.closed
}

func (p *proxy) forget(c net.Conn) {
	_ = c.Close()
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.conns, c)
}

func (p *proxy) accept() {
	for {
		client, err := p.listener.Accept()
		if err != nil {
			return
		}
		p.work.Go(func() { p.serve(client) })
	}
}

func (p *proxy) serve(client net.Conn) {
	defer p.forget(client)
	if !p.keep(client) || !p.await() {
		return
	}
	p.mu.Lock()
	server := p.server
	p.mu.Unlock()
	far, err := net.Dial("tcp", server)
	if err != nil {
		return
	}
	defer p.forget(far)
	if !p.keep(far) {
		return
	}
	var both sync.WaitGroup
	for _, way := range [][2]net.Conn{{client, far}, {far, client}} {
		both.Go(func() {
			p.copy(way[1], way[0])
			_, _ = way[0].Close(), way[1].Close()
		})
	}
	both.Wait()
}

func (p *proxy) copy(to io.Writer, from io.Reader) {
	buffer := make([]byte, 64<<10)
	for {
		n, err := from.Read(buffer)
		if !p.await() {
			return
		}
		if n > 0 {
			if _, err := to.Write(buffer[:n]); err != nil {
				return
			}
		}
		if err != nil {
			return
		}
	}
}
