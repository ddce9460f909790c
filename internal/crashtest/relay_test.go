package crashtest

import (
	"errors"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// A fault is what the relay does to one connection at one byte of one
// direction: it stops for a time, then inserts bytes, or cuts the connection.
// The zero value is no fault.
type fault struct {
	from         direction
	afterNewKeys bool // offset counts from the end of that side's NEWKEYS, not from its first byte
	offset       int64
	stops        time.Duration // 0: no stop
	inserts      []byte        // nil: none
	cuts         bool          // nothing more is forwarded
	reset        bool          // the client sees a cut as RST instead of EOF
}

type direction int

const (
	nowhere direction = iota
	fromClient
	fromServer
)

// A relay forwards connections to one server, with delay and faults. It has an
// address for each host. What the client had sent before a cut still reaches
// the server, and the connection counts as open until the server has closed it.
type relay struct {
	server    string
	narrow    bool // the client can send little more than what was read
	listeners []net.Listener
	work      sync.WaitGroup

	mu    sync.Mutex
	delay time.Duration // per direction
	burst time.Duration // bytes of all connections arrive together, at multiples of it; 0: each when due
	fault func() fault  // for the next connection; called with mu held
	// encrypted is called with mu held when the client's NEWKEYS reaches the
	// server. early is the number of bytes that the client has sent behind it
	// until then, before the server can have answered any of them.
	encrypted func(early int)
	open      int           // number of connections
	idle      chan struct{} // closed when open falls to 0; nil without waiters
}

// startRelay listens on 127.3.0.1 and the following addresses.
func startRelay(t *testing.T, r *relay, hosts int) {
	t.Helper()
	for i := range hosts {
		var lc net.ListenConfig
		if r.narrow {
			lc.Control = narrow
		}
		l, err := lc.Listen(t.Context(), "tcp4", net.JoinHostPort(net.IPv4(127, 3, 0, byte(i+1)).String(), "0"))
		if err != nil {
			t.Fatal(err)
		}
		r.listeners = append(r.listeners, l)
		r.work.Go(func() { r.accept(l) })
	}
	t.Cleanup(r.close)
}

// close is called when no client is left.
func (r *relay) close() {
	for _, l := range r.listeners {
		_ = l.Close() // closing twice does no harm
	}
	r.work.Wait()
}

func (r *relay) accept(l net.Listener) {
	for {
		client, err := l.Accept()
		if err != nil {
			return
		}
		r.mu.Lock()
		r.open++
		f := r.fault()
		r.mu.Unlock()
		r.work.Go(func() {
			defer r.closed()
			r.serve(client.(*net.TCPConn), f)
		})
	}
}

func (r *relay) closed() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.open--; r.open == 0 && r.idle != nil {
		close(r.idle)
		r.idle = nil
	}
}

// waitIdle waits until every connection is closed on both sides.
func (r *relay) waitIdle(t *testing.T) {
	t.Helper()
	r.mu.Lock()
	if r.open == 0 {
		r.mu.Unlock()
		return
	}
	if r.idle == nil {
		r.idle = make(chan struct{})
	}
	idle := r.idle
	r.mu.Unlock()
	select {
	case <-idle:
	case <-time.After(guard):
		t.Fatalf("after %v the server has not ended every connection", guard)
	}
}

// serve serves one connection until both sides have ended.
func (r *relay) serve(client *net.TCPConn, f fault) {
	defer func() { _ = client.Close() }()
	// From the same address, because Dropbear limits pending connections per
	// address.
	d := net.Dialer{LocalAddr: &net.TCPAddr{IP: client.LocalAddr().(*net.TCPAddr).IP}}
	conn, err := d.Dial("tcp4", r.server)
	if err != nil {
		return // the server has ended: the test has failed
	}
	server := conn.(*net.TCPConn)
	defer func() { _ = server.Close() }()
	cut := sync.OnceFunc(func() {
		if f.reset {
			_ = client.SetLinger(0)
			_ = client.Close()
		}
		_ = client.CloseWrite()
		_ = server.CloseWrite()
	})
	up := &pump{relay: r, to: server, from: client, cut: cut, client: true}
	down := &pump{relay: r, to: client, from: server, cut: cut}
	switch f.from {
	case fromClient:
		up.fault = f
	case fromServer:
		down.fault = f
	}
	var both sync.WaitGroup
	both.Go(func() {
		up.run()
		_ = server.CloseWrite()
	})
	both.Go(func() {
		down.run()
		// Nobody reads what the client sends now. It must see EOF, and no RST
		// that overtakes the bytes sent to it.
		_ = client.CloseWrite()
		_ = client.SetReadDeadline(time.Now().Add(time.Second))
	})
	both.Wait()
}

// A pump is one direction of a connection.
type pump struct {
	relay    *relay
	to, from *net.TCPConn
	fault    fault // zero if the fault is in the other direction
	cut      func()
	client   bool // from is the client

	read      atomic.Int64 // bytes
	cleartext cleartext
	delivered int64 // bytes
	newKeys   int64 // end of NEWKEYS; 0 until it was delivered
}

// A chunk is bytes in flight until due.
type chunk struct {
	bytes []byte
	due   time.Time
}

func (p *pump) run() {
	room, size := 1<<10, 32<<10 // maximum of chunks in flight, and bytes in each
	if p.relay.narrow {
		room, size = 4, 4<<10
	}
	underWay := make(chan chunk, room) // sent and closed by receive; when full, the sender has to wait
	var receive sync.WaitGroup
	receive.Go(func() {
		defer close(underWay)
		for {
			b := make([]byte, size)
			n, err := p.from.Read(b)
			if n > 0 {
				p.read.Add(int64(n))
				underWay <- chunk{b[:n], p.relay.due(time.Now())}
			}
			if err != nil {
				return
			}
		}
	})
	open := true
	for c := range underWay {
		time.Sleep(time.Until(c.due))
		open = open && p.deliver(c.bytes) // bytes after a cut are read and dropped
	}
	receive.Wait()
}

// due returns the arrival time of bytes sent now.
func (r *relay) due(now time.Time) time.Time {
	r.mu.Lock()
	defer r.mu.Unlock()
	at := now.Add(r.delay)
	if r.burst == 0 {
		return at
	}
	return at.Truncate(r.burst).Add(r.burst)
}

// deliver forwards what has arrived, and reports whether more may follow.
func (p *pump) deliver(b []byte) bool {
	if p.newKeys == 0 {
		if p.newKeys = p.cleartext.add(b); p.newKeys > 0 && p.client {
			p.relay.mu.Lock()
			p.relay.encrypted(int(p.read.Load() - p.newKeys))
			p.relay.mu.Unlock()
		}
	}
	at := p.fault.offset - p.delivered
	if p.fault.afterNewKeys {
		at += p.newKeys
	}
	p.delivered += int64(len(b))
	hit := p.fault.from != nowhere && at >= 0 && at <= int64(len(b)) && (!p.fault.afterNewKeys || p.newKeys > 0)
	if !hit {
		_, err := p.to.Write(b)
		return err == nil
	}
	p.fault.from = nowhere
	_, err := p.to.Write(b[:at])
	time.Sleep(p.fault.stops)
	if p.fault.cuts {
		p.cut()
		return false
	}
	if err == nil {
		_, err = p.to.Write(slices.Concat(p.fault.inserts, b[at:]))
	}
	return err == nil
}

// narrow limits the receive buffer of a listener's connections to a few KiB,
// after which TCP's window is closed. Segments are small, because Linux sizes
// the client's send buffer by them: 85 KiB instead of megabytes.
func narrow(_, _ string, c syscall.RawConn) error {
	var errs [2]error
	err := c.Control(func(fd uintptr) {
		errs[0] = syscall.SetsockoptInt(int(fd), syscall.SOL_SOCKET, syscall.SO_RCVBUF, 4<<10)
		errs[1] = syscall.SetsockoptInt(int(fd), syscall.IPPROTO_TCP, syscall.TCP_MAXSEG, 536)
	})
	return errors.Join(err, errs[0], errs[1])
}

// A cleartext is one side's bytes up to the end of its first NEWKEYS (RFC 4253
// §4.2, §6, §7.3).
type cleartext struct{ bytes []byte }

// add returns the length of the cleartext; 0 while it is unknown.
func (c *cleartext) add(b []byte) int64 {
	c.bytes = append(c.bytes, b...)
	at := slices.Index(c.bytes, '\n') + 1
	if at == 0 {
		return 0
	}
	const newKeys = 21
	for len(c.bytes) >= at+6 {
		size := 4 + int(c.bytes[at])<<24 + int(c.bytes[at+1])<<16 + int(c.bytes[at+2])<<8 + int(c.bytes[at+3])
		kind := c.bytes[at+5]
		if at+size > len(c.bytes) {
			return 0
		}
		if at += size; kind == newKeys {
			c.bytes = nil
			return int64(at)
		}
	}
	return 0
}
