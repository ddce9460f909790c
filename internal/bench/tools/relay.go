package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"sync"
	"time"
)

// A relay passes connections on to a server and keeps how each side begins,
// which is before anything is encrypted.
type relay struct {
	listener net.Listener
	to       string
	serving  sync.WaitGroup

	mu  sync.Mutex
	kex string // of the last connection; "" when it got to none
}

// relayLimit ends a connection whose sides do not.
const relayLimit = 30 * time.Second

// newRelay listens at and connects to addresses with ports.
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

// pass has both directions in hand until both have ended.
func (r *relay) pass(client *net.TCPConn) {
	defer func() { _ = client.Close() }()
	conn, err := net.DialTimeout("tcp", r.to, relayLimit)
	if err != nil {
		return
	}
	server := conn.(*net.TCPConn)
	defer func() { _ = server.Close() }()
	deadline := time.Now().Add(relayLimit)
	_, _ = client.SetDeadline(deadline), server.SetDeadline(deadline) // open connections take deadlines
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

// copyOver copies until from ends and tells to so.
func copyOver(to, from *net.TCPConn, h *head) {
	_, _ = io.Copy(to, io.TeeReader(from, h)) // a broken connection is an end too
	_ = to.CloseWrite()
}

// close waits for all connections and gives the last one's key exchange.
func (r *relay) close() string {
	_ = r.listener.Close()
	r.serving.Wait()
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.kex
}

// A head keeps the first maxHead bytes that are written to it.
type head struct{ kept []byte }

// maxHead is enough for any version line and KEXINIT.
const maxHead = 16 << 10

func (h *head) Write(p []byte) (int, error) {
	h.kept = append(h.kept, p[:min(len(p), maxHead-len(h.kept))]...)
	return len(p), nil
}
