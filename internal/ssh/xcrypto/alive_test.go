package xcrypto_test

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"net"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	xssh "golang.org/x/crypto/ssh"

	"shoal/fleet"
	"shoal/internal/ssh"
	"shoal/internal/ssh/xcrypto"
)

// anyKey trusts every host key.
type anyKey struct{}

func (anyKey) Algorithms(ssh.Target) []string                             { return nil }
func (anyKey) Check(ssh.Target, net.Addr, xssh.PublicKey) error           { return nil }
func (anyKey) Accepted(context.Context, ssh.Target, xssh.PublicKey) error { return nil }
func (anyKey) Signers(context.Context, ssh.Target) ([]xssh.Signer, error) {
	return []xssh.Signer{newSigner()}, nil
}

func newSigner() xssh.Signer {
	_, private, _ := ed25519.GenerateKey(rand.Reader)
	s, err := xssh.NewSignerFromKey(private)
	if err != nil {
		panic(err)
	}
	return s
}

// A server that answers no keepalive but is not silent either has one unanswered, not ever more.
func TestOneKeepaliveAtATime(t *testing.T) {
	const every, rounds = 5 * time.Millisecond, 40
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	config := &xssh.ServerConfig{NoClientAuth: true}
	config.AddHostKey(newSigner())
	most := 0
	var work sync.WaitGroup
	defer work.Wait()
	defer func() { _ = l.Close() }()
	work.Go(func() {
		nc, err := l.Accept()
		if err != nil {
			return
		}
		defer func() { _ = nc.Close() }()
		_, channels, global, err := xssh.NewServerConn(nc, config)
		if err != nil {
			t.Error(err)
			return
		}
		work.Go(func() {
			for range global { // no answer
			}
		})
		for opened := range channels {
			ch, requests, err := opened.Accept()
			if err != nil {
				return
			}
			for r := range requests {
				_ = r.Reply(r.Type == "exec", nil)
				if r.Type != "exec" {
					continue
				}
				stacks := make([]byte, 1<<20)
				for range rounds {
					time.Sleep(2 * every) // the client has asked
					_, _ = ch.Write([]byte("x"))
					n := runtime.Stack(stacks, true)
					most = max(most, strings.Count(string(stacks[:n]), "xcrypto.(*conn).watch.func1("))
				}
				_, _ = ch.SendRequest("exit-status", false, make([]byte, 4))
				_ = ch.Close()
			}
		}
	})
	d, err := xcrypto.New(xcrypto.Options{HostKeys: anyKey{}, Identities: anyKey{}, Timeouts: ssh.Timeouts{Alive: every, AliveMax: 1000}})
	if err != nil {
		t.Fatal(err)
	}
	a := &ssh.Attempt{Progress: new(ssh.Progress), Target: ssh.Target{Target: fleet.Target{
		Host: fleet.Host{Name: "127.0.0.1"}, Port: l.Addr().(*net.TCPAddr).AddrPort().Port(), User: "someone", Command: "true",
	}}}
	c, err := d.Dial(t.Context(), a)
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan fleet.End, 1)
	c.Start(t.Context(), func(end fleet.End) { done <- end })
	if end := <-done; end.Outcome != fleet.OutcomeOK {
		t.Errorf("ended %v: %v", end.Outcome, end.Err)
	}
	work.Wait()
	if most > 1 {
		t.Errorf("%d keepalives at once", most)
	}
}
