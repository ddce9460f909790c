package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"time"

	"golang.org/x/crypto/ssh"
)

// A job is a child process's task, as JSON on its standard input.
type job struct {
	Task   string `json:"task"`   // one of tasks
	Client string `json:"client"` // one of the clients; unused for taskCrypto
	Kex    string `json:"kex"`    // kexClassical or kexHybrid

	Hosts      []string `json:"hosts"` // host:port; used in turn
	User       string   `json:"user"`
	Key        string   `json:"key"`         // path of the private key
	KnownHosts string   `json:"known_hosts"` // path
	State      string   `json:"state"`       // an empty directory; "" disables the host cache

	Command     string `json:"command"`
	Connections int    `json:"connections"` // those that are counted
	AtOnce      int    `json:"at_once"`
	Bytes       int64  `json:"bytes"` // output expected from each command
	Cold        bool   `json:"cold"`  // taskConnect: no warm-up
	// CPUProfile and MemProfile are files to write; "" disables them.
	CPUProfile string `json:"cpu_profile"`
	MemProfile string `json:"mem_profile"`
}

// The tasks.
const (
	taskConnect = "connect" // whole connections, one after the other
	taskHold    = "hold"    // connections that wait for their command, all at once
	taskFlights = "flights" // round trips of a first and a second connection
	taskCrypto  = "crypto"  // the cryptography of a connection, without one
)

// The key exchanges. OpenSSH has the hybrid one since 9.9.
const (
	kexClassical = "curve25519-sha256"
	kexHybrid    = "mlkem768x25519-sha256"
)

// taken is a child's result, as JSON on its standard output.
type taken struct {
	Wall   time.Duration `json:"wall_ns"`
	User   time.Duration `json:"user_ns"`   // user CPU time of the counted part
	System time.Duration `json:"system_ns"` // system CPU time of the counted part

	Before memory `json:"before"` // taskHold: before the connections
	Open   memory `json:"open"`   // with all connections open
	Swept  memory `json:"swept"`  // after a collection that returned free pages

	First      int `json:"first"`      // taskFlights: round trips to an unknown host
	Remembered int `json:"remembered"` // round trips to the same host again
}

func (t taken) cpu() time.Duration { return t.User + t.System }

// memory is the memory of a process, in bytes.
type memory struct {
	Resident   int64 `json:"resident"`
	Heap       int64 `json:"heap"`   // live objects and those not yet swept
	Stacks     int64 `json:"stacks"` // of goroutines
	Goroutines int   `json:"goroutines"`
}

// library uses golang.org/x/crypto/ssh as its documentation shows it: without
// deadlines, limits or classified errors.
type library struct {
	job    job
	access *access
	// wrap, if not nil, wraps the library's socket.
	wrap func(net.Conn) net.Conn
}

func (l *library) close() error { return nil }

func (l *library) dial(ctx context.Context, i int) (*ssh.Client, error) {
	address := l.job.Hosts[i%len(l.job.Hosts)]
	var d net.Dialer
	raw, err := d.DialContext(ctx, "tcp", address)
	if err != nil {
		return nil, err
	}
	if l.wrap != nil {
		raw = l.wrap(raw)
	}
	c, channels, requests, err := ssh.NewClientConn(raw, address, &ssh.ClientConfig{
		Config:            ssh.Config{KeyExchanges: []string{l.job.Kex}},
		User:              l.job.User,
		Auth:              []ssh.AuthMethod{ssh.PublicKeys(l.access.signers...)},
		HostKeyCallback:   l.access.check,
		HostKeyAlgorithms: []string{ssh.KeyAlgoED25519},
	})
	if err != nil {
		return nil, fmt.Errorf("connecting to %s: %w", address, err)
	}
	return ssh.NewClient(c, channels, requests), nil
}

// start starts the command on host i.
func (l *library) start(ctx context.Context, i int, stdout, stderr io.Writer) (*ssh.Client, *ssh.Session, error) {
	c, err := l.dial(ctx, i)
	if err != nil {
		return nil, nil, err
	}
	s, err := c.NewSession()
	if err != nil {
		return nil, nil, fmt.Errorf("opening a session: %w", err)
	}
	s.Stdout, s.Stderr = stdout, stderr
	if err := s.Start(l.job.Command); err != nil {
		return nil, nil, fmt.Errorf("starting the command: %w", err)
	}
	return c, s, nil
}

func (l *library) run(ctx context.Context, i int) error {
	var stdout, stderr count
	c, s, err := l.start(ctx, i, &stdout, &stderr)
	if err != nil {
		return err
	}
	if err := s.Wait(); err != nil {
		return fmt.Errorf("waiting for the command: %w", err)
	}
	if err := c.Close(); err != nil {
		return err
	}
	return l.job.checkOutput(int64(stdout), int64(stderr))
}

func (l *library) hold(ctx context.Context, i int, done func()) error {
	c, s, err := l.start(ctx, i, io.Discard, io.Discard)
	if err != nil {
		return err
	}
	context.AfterFunc(ctx, func() { _ = c.Close() })
	go func() {
		_ = s.Wait() // the connection was closed
		done()
	}()
	return nil
}
