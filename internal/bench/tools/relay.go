package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"sync"
	"time"
)

// A relay forwards connections to a server and keeps the first bytes of each
// side, which are not encrypted.
type relay struct {
	listener net.Listener
	to       string
	serving  sync.WaitGroup

	mu  sync.Mutex
	kex string // of the last connection; "" if there was none
}

// relayLimit is the time limit of a connection.
const relayLimit = 30 * time.Second

// newRelay listens on at and connects to to; both have ports.
func newRelay(ctx context.Context, at, to string) (*relay, error) {
	var config net.ListenConfig
	l, err := config.Listen(ctx, "tcp", at)
	if err != nil {
		return nil, fmt.Errorf("starting a relay: %w", err)
	}
	r := &relay{listener: l, to: to}
	r.serving.Go(r.serve)
	return r, nil
}

func (r *relay) serve() {
	for {
		client, err := r.listener.Accept()
		if err != nil {
			return // closed
		}
		r.serving.Go(func() { r.pass(client.(*net.TCPConn)) })
	}
}

// pass copies both directions until both have ended.
func (r *relay) pass(client *net.TCPConn) {
	defer func() { _ = client.Close() }()
	conn, err := net.DialTimeout("tcp", r.to, relayLimit)
	if err != nil {
		return
	}
	server := conn.(*net.TCPConn)
	defer func() { _ = server.Close() }()
	deadline := time.Now().Add(relayLimit)
	_, _ = client.SetDeadline(deadline), server.SetDeadline(deadline) // cannot fail while open
	var asked, answered head
	var up sync.WaitGroup
	up.Go(func() { copyOver(server, client, &asked) })
	copyOver(client, server, &answered)
	up.Wait()
	kex, err := negotiated(asked.kept, answered.kept)
	if err != nil {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.kex = kex
}

// copyOver copies until from ends, and then closes to for writing.
func copyOver(to, from *net.TCPConn, h *head) {
	_, _ = io.Copy(to, io.TeeReader(from, h)) // a broken connection is also an end
	_ = to.CloseWrite()
}

// close waits for all connections and returns the last one's key exchange.
func (r *relay) close() string {
	_ = r.listener.Close()
	r.serving.Wait()
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.kex
}

// A head is an io.Writer that keeps the first maxHead bytes.
type head struct{ kept []byte }

// maxHead is enough for any version line and KEXINIT.
const maxHead = 16 << 10

// Write implements io.Writer.
func (h *head) Write(p []byte) (int, error) {
	h.kept = append(h.kept, p[:min(len(p), maxHead-len(h.kept))]...)
	return len(p), nil
}
