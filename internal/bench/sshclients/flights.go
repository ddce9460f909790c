package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"

	"shoal/internal/ssh"
	"shoal/internal/ssh/tcp"
)

// A flightCount counts the round trips of a connection without a clock: the TCP
// handshake, and each burst of writes that is followed by a read. A last write
// without an answer, such as the channel close, is not counted.
type flightCount struct {
	mu       sync.Mutex
	bursts   int
	writing  bool
	answered int // bursts when the last bytes were read
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

// take returns the round trips so far and resets the count.
func (f *flightCount) take() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	n := 1 + f.answered // 1 is the TCP handshake
	f.bursts, f.answered, f.writing = 0, 0, false
	return n
}

type countedConn struct {
	net.Conn
	count *flightCount
}

// Read implements net.Conn.
func (c countedConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	if n > 0 {
		c.count.read()
	}
	return n, err
}

// Write implements net.Conn.
func (c countedConn) Write(p []byte) (int, error) {
	c.count.wrote()
	return c.Conn.Write(p)
}

// counting is a Network that counts the round trips of its connections.
type counting struct {
	tcp.Dialer
	count *flightCount
}

// Open implements ssh.Network.
func (n counting) Open(ctx context.Context, a *ssh.Attempt) (net.Conn, error) {
	c, err := n.Dialer.Open(ctx, a)
	if err != nil {
		return nil, err
	}
	return countedConn{c, n.count}, nil
}

// flights counts the round trips of a first and a second connection to a host.
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

// flightsPart counts round trips. They depend on the protocol only, not on the
// machine: one measurement is enough.
func (c *comparison) flightsPart(ctx context.Context) error {
	sshd, err := c.startSSHD(ctx, "OpenSSH", "")
	if err != nil {
		return err
	}
	defer func() { _ = sshd.end() }()
	fleet, end, err := c.startFleet(ctx, 1)
	if err != nil {
		return err
	}
	return errors.Join(c.flightsTable(ctx, sshd, fleet), end())
}

func (c *comparison) flightsTable(ctx context.Context, servers ...*server) error {
	c.section("Round trips from SYN to the last answer", "flights", "client", "server", "key exchange", "first contact", "remembered")
	for _, s := range servers {
		for _, client := range []string{clientExpress, clientStandard, clientCrypto} {
			kex := kexHybrid
			if s.cmd != nil {
				kex = kexClassical
			}
			if err := c.flightsRow(ctx, s, client, kex); err != nil {
				return err
			}
		}
	}
	return nil
}

func (c *comparison) flightsRow(ctx context.Context, s *server, client, kex string) error {
	state, err := c.newState()
	if err != nil {
		return err
	}
	j := job{
		Task: taskFlights, Client: client, Kex: kex,
		Hosts: s.hosts, User: s.user, Key: s.key, KnownHosts: s.knownHosts, State: state,
		Command: "echo hello", Bytes: int64(len("hello\n")),
	}
	if client == clientExpress {
		j.Kex = kexHybrid // its default preference; the server may lack it
	}
	t, err := c.child(ctx, j)
	if err != nil {
		return fmt.Errorf("%s, %s: %w", s.name, client, err)
	}
	c.row(client, s.name, kex, fmt.Sprint(t.First), fmt.Sprint(t.Remembered))
	return nil
}
