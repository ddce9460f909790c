package openssh_test

import (
	"bytes"
	"context"
	"net"
	"sync"
	"testing"

	xssh "golang.org/x/crypto/ssh"

	"shoal/fleet"
	"shoal/internal/needs"
	"shoal/internal/ssh"
	"shoal/internal/ssh/openssh"
)

// hasty runs every command, which writes output, and ends the connection as soon as it has sent
// all that belongs to the command.
func hasty(t *testing.T, key xssh.Signer, output []byte) fleet.Host {
	t.Helper()
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	config := &xssh.ServerConfig{PublicKeyCallback: func(xssh.ConnMetadata, xssh.PublicKey) (*xssh.Permissions, error) {
		return nil, nil // no permissions, no error: let in
	}}
	config.AddHostKey(key)
	var all sync.WaitGroup
	serve := func(nc net.Conn) {
		defer func() { _ = nc.Close() }()
		_, channels, requests, err := xssh.NewServerConn(nc, config)
		if err != nil {
			return
		}
		all.Go(func() { xssh.DiscardRequests(requests) })
		for opened := range channels {
			ch, requests, err := opened.Accept()
			if err != nil {
				return
			}
			for r := range requests {
				_ = r.Reply(r.Type == "exec", nil)
				if r.Type == "exec" {
					_, _ = ch.Write(output)
					_, _ = ch.SendRequest("exit-status", false, make([]byte, 4))
					_ = ch.Close()
					_ = nc.(*net.TCPConn).CloseWrite()
				}
			}
		}
	}
	all.Go(func() {
		for {
			nc, err := l.Accept()
			if err != nil {
				return
			}
			all.Go(func() { serve(nc) })
		}
	})
	t.Cleanup(func() {
		_ = l.Close()
		all.Wait()
	})
	return fleet.Host{Name: "127.0.0.1", Port: l.Addr().(*net.TCPAddr).AddrPort().Port()}
}

// A server that ends the connection right behind the command's end: all of its output is there.
// The context of Dial has ended by then, as it does in a run.
func TestServerEndsTheConnectionFirst(t *testing.T) {
	host, want := newKey(t), bytes.Repeat([]byte("0123456789abcde\n"), 16<<10)
	h := hasty(t, host, want)
	keys := &trusting{host: host.PublicKey(), key: newKey(t)}
	d := newDialer(t, openssh.Options{Program: needs.Program(t, "ssh"), HostKeys: keys, Identities: keys})
	for range 10 {
		var out bytes.Buffer
		a := &ssh.Attempt{Progress: new(ssh.Progress), Stdout: &out, Target: ssh.Target{Target: fleet.Target{Host: h, User: "u", Port: h.Port, Command: "c"}}}
		ctx, cancel := context.WithCancel(t.Context())
		c, err := d.Dial(ctx, a)
		cancel()
		if err != nil {
			t.Fatal(err)
		}
		done := make(chan fleet.End, 1)
		c.Start(t.Context(), func(end fleet.End) { done <- end })
		if end := <-done; end.Outcome != fleet.OutcomeOK || !bytes.Equal(out.Bytes(), want) {
			t.Errorf("ended %v(%s) with %d bytes of output, want ok with %d: %v", end.Outcome, end.Reason, out.Len(), len(want), end.Err)
		}
	}
}
