package connect_test

import (
	"context"
	"crypto/ed25519"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"testing"

	"golang.org/x/crypto/ssh"

	"shoal/fleet"
	"shoal/internal/connect"
	"shoal/internal/ssh/auth"
	"shoal/internal/ssh/hostkeys"
)

// A passwordHost accepts only a password, and runs every command without output. A
// bad one disconnects when it gets the password.
type passwordHost struct {
	bad  bool
	key  ssh.Signer
	port uint16
	got  atomic.Int32 // passwords
	work sync.WaitGroup
}

func startPasswordHost(t *testing.T, bad bool) *passwordHost {
	t.Helper()
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_, private, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	h := &passwordHost{bad: bad, port: l.Addr().(*net.TCPAddr).AddrPort().Port()}
	if h.key, err = ssh.NewSignerFromKey(private); err != nil {
		t.Fatal(err)
	}
	h.work.Go(func() {
		for {
			nc, err := l.Accept()
			if err != nil {
				return
			}
			h.work.Go(func() { h.serve(nc) })
		}
	})
	t.Cleanup(func() {
		_ = l.Close()
		h.work.Wait()
	})
	return h
}

func (h *passwordHost) serve(nc net.Conn) {
	defer func() { _ = nc.Close() }()
	config := &ssh.ServerConfig{PasswordCallback: func(ssh.ConnMetadata, []byte) (*ssh.Permissions, error) {
		h.got.Add(1)
		if h.bad {
			_ = nc.Close()
		}
		return nil, nil // no permissions, no error: let in
	}}
	config.AddHostKey(h.key)
	_, channels, requests, err := ssh.NewServerConn(nc, config)
	if err != nil {
		return
	}
	h.work.Go(func() { ssh.DiscardRequests(requests) })
	for opened := range channels {
		ch, requests, err := opened.Accept()
		if err != nil {
			return
		}
		for r := range requests {
			_ = r.Reply(r.Type == "exec", nil)
			if r.Type == "exec" {
				_, _ = ch.SendRequest("exit-status", false, make([]byte, 4))
				_ = ch.Close()
			}
		}
	}
}

// Both clients send the password to known hosts, even if another host has
// disconnected on it before, and to no host under the policy insecure.
func TestPasswords(t *testing.T) {
	const bad, good = 3, 10
	for name, client := range map[string]connect.Client{"best": connect.ClientBest, "standard": connect.ClientStandard} {
		for _, policy := range []hostkeys.Policy{hostkeys.Strict, hostkeys.AcceptNew, hostkeys.Insecure} {
			t.Run(fmt.Sprintf("%s, %v", name, policy), func(t *testing.T) {
				t.Parallel()
				path := filepath.Join(t.TempDir(), "known_hosts")
				var hosts []*passwordHost
				var targets []fleet.Target
				var known []byte
				for i := range bad + good {
					h := startPasswordHost(t, i < bad)
					hosts = append(hosts, h)
					targets = append(targets, fleet.Target{Index: i, Host: fleet.Host{Name: "127.0.0.1", Port: h.port}})
					known = fmt.Appendf(known, "[127.0.0.1]:%d %s", h.port, ssh.MarshalAuthorizedKey(h.key.PublicKey()))
				}
				if policy == hostkeys.AcceptNew {
					known = nil // each is new
				}
				if err := os.WriteFile(path, known, 0o600); err != nil {
					t.Fatal(err)
				}
				passwords, err := auth.NewPasswords(auth.PasswordOptions{
					Source: func(context.Context) ([]byte, error) { return []byte("correct horse"), nil },
				})
				if err != nil {
					t.Fatal(err)
				}
				results := collect(t, connect.Run(t.Context(), connect.Options{
					User: "someone", Agent: connect.NoAgent, SSHConfig: "none", KnownHosts: []string{path},
					HostKeys: &policy, Client: client, Passwords: passwords,
				}, slices.Values(targets), "true"))
				for _, r := range results {
					h := hosts[r.Target.Index]
					outcome, reason, got := fleet.OutcomeOK, fleet.ReasonNone, int32(1)
					switch {
					case policy == hostkeys.Insecure:
						outcome, reason, got = fleet.OutcomeNeverStarted, fleet.ReasonAuthFailed, 0
					case h.bad:
						outcome, reason = fleet.OutcomeNeverStarted, fleet.ReasonConnClosed
					}
					if r.Outcome != outcome || r.Reason != reason || h.got.Load() != got {
						t.Errorf("%v, bad %t: %v(%s), %d passwords; want %v(%s), %d\n%v",
							r.Target.Host, h.bad, r.Outcome, r.Reason, h.got.Load(), outcome, reason, got, r.Err)
					}
				}
				if len(results) != bad+good {
					t.Errorf("%d results, want %d", len(results), bad+good)
				}
			})
		}
	}
}
