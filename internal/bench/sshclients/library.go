package main

import (
	"context"
	"fmt"
	"io"
	"net"

	"golang.org/x/crypto/ssh"
)

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
