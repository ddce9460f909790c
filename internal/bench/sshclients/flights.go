package main

import (
	"context"
	"net"
	"sync"

	"shoal/internal/ssh"
	"shoal/internal/ssh/tcp"
)

// A flightCount counts the round trips of a connection without a clock: TCP's
// own, and each burst of writes that a read follows. What is written last and
// answered by nothing, such as the channel's close, is none.
type flightCount struct {
	mu       sync.Mutex
	bursts   int
	writing  bool
	answered int // bursts when the last bytes came
}

func (f *flightCount) wrote() {
	f.mu.Lock()
	defer f.mu.Unlock()
	if !f.writing {
		f.bursts++
		f.writing = true
	}
}

func (f *flightCount) read() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.writing, f.answered = false, f.bursts
}

// take gives the round trips so far and begins again.
func (f *flightCount) take() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	n := 1 + f.answered // 1 is SYN
	f.bursts, f.answered, f.writing = 0, 0, false
	return n
}

type countedConn struct {
	net.Conn
	count *flightCount
}

func (c countedConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	if n > 0 {
		c.count.read()
	}
	return n, err
}

func (c countedConn) Write(p []byte) (int, error) {
	c.count.wrote()
	return c.Conn.Write(p)
}

// counting is a Network whose connections are counted.
type counting struct {
	tcp.Dialer
	count *flightCount
}

func (n counting) Open(ctx context.Context, a *ssh.Attempt) (net.Conn, error) {
	c, err := n.Dialer.Open(ctx, a)
	if err != nil {
		return nil, err
	}
	return countedConn{c, n.count}, nil
}

// flights counts a first connection to a host and a second one.
func (j job) flights(ctx context.Context, a *access) (t taken, err error) {
	var f flightCount
	for _, into := range []*int{&t.First, &t.Remembered} {
		c, err := j.openCounted(a, &f)
		if err != nil {
			return t, err
		}
		if err := c.run(ctx, 0); err != nil {
			return t, err
		}
		*into = f.take()
		if err := c.close(); err != nil {
			return t, err
		}
	}
	return t, nil
}

func (j job) openCounted(a *access, f *flightCount) (measuredClient, error) {
	if j.Client == clientCrypto {
		return &library{job: j, access: a, wrap: func(c net.Conn) net.Conn { return countedConn{c, f} }}, nil
	}
	return j.openDialer(a, counting{tcp.Dialer{Timeouts: ssh.Timeouts{}.WithDefaults()}, f})
}
