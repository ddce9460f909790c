package sshtest

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	xssh "golang.org/x/crypto/ssh"

	"shoal/fleet"
	"shoal/internal/ssh"
	"shoal/internal/ssh/auth"
	"shoal/internal/ssh/hostkeys"
)

// testPasswordEndings covers every ending of a connection with the password: the loan ends
// before Dial returns, so that the next server gets the password at once, or learns that it was
// rejected.
func testPasswordEndings(t *testing.T, newDialer Factory) {
	for name, c := range map[string]struct {
		then     func(s *passwordServer, nc net.Conn, interrupt context.CancelFunc) error
		prepare  func(*passwordServer)
		auth     time.Duration // 0 means patient's
		panics   bool
		rejected bool // the next server does not get the password
	}{
		"accepted": {then: func(*passwordServer, net.Conn, context.CancelFunc) error { return nil }},
		"rejected": {then: func(*passwordServer, net.Conn, context.CancelFunc) error { return errWrong }, rejected: true},
		"rejected with a disconnect": {
			then:    func(*passwordServer, net.Conn, context.CancelFunc) error { return errWrong },
			prepare: func(s *passwordServer) { s.config.MaxAuthTries = 1 }, rejected: true,
		},
		"closed": {then: func(_ *passwordServer, nc net.Conn, _ context.CancelFunc) error {
			_ = nc.Close()
			return errWrong
		}},
		"reset": {then: func(_ *passwordServer, nc net.Conn, _ context.CancelFunc) error {
			_ = nc.(*net.TCPConn).SetLinger(0)
			_ = nc.Close()
			return errWrong
		}},
		"silent": {then: func(s *passwordServer, _ net.Conn, _ context.CancelFunc) error {
			<-s.stop
			return errWrong
		}, auth: short},
		"interrupted": {then: func(s *passwordServer, _ net.Conn, interrupt context.CancelFunc) error {
			interrupt()
			<-s.stop
			return errWrong
		}},
		"panic": {then: func(*passwordServer, net.Conn, context.CancelFunc) error { return nil }, panics: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ctx, interrupt := context.WithCancel(t.Context())
			defer interrupt()
			s := startPasswordServer(t, func(s *passwordServer) {
				if c.prepare != nil {
					c.prepare(s)
				}
				s.then = func(nc net.Conn, _ string) error { return c.then(s, nc, interrupt) }
			})
			passwords := newPasswords(t, passphrase)
			book := &ledger{Passwords: passwords, panics: c.panics}
			timeouts := patient()
			if c.auth > 0 {
				timeouts.Auth = c.auth
			}
			d := newDialer(t, Config{HostKeys: s.known(), Identities: keys{}, Passwords: book, Timeouts: timeouts})
			func() {
				defer func() {
					if p := recover(); (p != nil) != c.panics {
						t.Errorf("panic: %v", p)
					}
				}()
				conn, err := d.Dial(ctx, &ssh.Attempt{Progress: new(ssh.Progress), Target: ssh.Target{Target: s.target}})
				if err == nil {
					_ = conn.Close()
				}
			}()
			if s.count() != 1 || len(book.borrowed) != 1 || book.outstanding() != 0 {
				t.Errorf("the server got %d passwords, %d were given and %d not back; want 1, 1, 0",
					s.count(), len(book.borrowed), book.outstanding())
			}
			// A loan that is not returned would be waited for without end.
			wait, cancel := context.WithTimeout(t.Context(), 10*time.Second)
			defer cancel()
			_, _, err := passwords.Password(wait, fleet.Target{Host: fleet.Host{Name: "next"}, User: "someone"})
			f, refused := errors.AsType[*fleet.Error](err)
			if refused != c.rejected || err != nil && (f == nil || !strings.Contains(err.Error(), "rejected by 1 server and")) {
				t.Errorf("the next server: %v", err)
			}
		})
	}
}

// testPasswordPolicies checks each policy: the password is sent only to hosts that known_hosts
// knows or has learned (faults.md A08).
// faults.md: A08
func testPasswordPolicies(t *testing.T, newDialer Factory) {
	for name, c := range map[string]struct {
		policy  hostkeys.Policy
		known   func(s *passwordServer, other xssh.PublicKey) xssh.PublicKey // the key in known_hosts; nil: none
		devNull bool
		plain   bool // a HostKeys without AllowPassword
		got     int
		learned bool
		text    string
	}{
		"strict, known":     {known: itsOwn, got: 1},
		"accept-new, known": {policy: hostkeys.AcceptNew, known: itsOwn, got: 1},
		"accept-new, new":   {policy: hostkeys.AcceptNew, got: 1, learned: true},
		"accept-new, new, learns nothing": {
			policy: hostkeys.AcceptNew, devNull: true, text: `"/dev/null" is not a regular file`,
		},
		"insecure, new":     {policy: hostkeys.Insecure, text: "insecure"},
		"insecure, changed": {policy: hostkeys.Insecure, known: another, text: "insecure"},
		"insecure, known":   {policy: hostkeys.Insecure, known: itsOwn, text: "insecure"},
		"nothing can tell":  {plain: true, text: "nothing tells whether the host key is known"},
	} {
		for _, interactive := range []bool{false, true} {
			about := name
			if interactive {
				about += ", interactive"
			}
			t.Run(about, func(t *testing.T) {
				t.Parallel()
				s := startPasswordServer(t, func(s *passwordServer) {
					if interactive {
						s.asks(false, "Password: ")
					}
				})
				path := filepath.Join(t.TempDir(), "known_hosts")
				if c.devNull {
					path = "/dev/null"
				}
				if c.known != nil {
					line := fmt.Sprintf("[%s]:%d %s", s.target.Host.Name, s.target.Port,
						xssh.MarshalAuthorizedKey(c.known(s, newKey(t).PublicKey())))
					if err := os.WriteFile(path, []byte(line), 0o600); err != nil {
						t.Fatal(err)
					}
				}
				config := Config{HostKeys: hostkeys.NewVerifier(), Identities: keys{}, Passwords: newPasswords(t, passphrase), Timeouts: patient()}
				if c.plain {
					config.HostKeys = &exact{trusted: []xssh.PublicKey{s.hostKey.PublicKey()}}
				}
				r := runAt(t.Context(), t, newDialer(t, config), ssh.Target{Target: s.target, Endpoint: &ssh.Endpoint{Settings: &ssh.Settings{
					Known: ssh.HostKeySpec{Files: []string{path}, Policy: c.policy}, Password: true,
				}}})
				if c.got > 0 {
					r.ok(t)
				} else {
					r.want(t, fleet.OutcomeNeverStarted, fleet.ReasonAuthFailed, fleet.PhaseAuth, 0)
					if !strings.Contains(r.Err.Error(), c.text) {
						t.Errorf("the cause is %q, want one with %q", r.Err, c.text)
					}
				}
				if s.count() != c.got {
					t.Errorf("the server got %d passwords, want %d", s.count(), c.got)
				}
				written, err := os.ReadFile(path)
				if c.learned && (err != nil || !strings.Contains(string(written), s.target.Host.Name)) {
					t.Errorf("the key was not learned: %q, %v", written, err)
				}
			})
		}
	}
}

func itsOwn(s *passwordServer, _ xssh.PublicKey) xssh.PublicKey { return s.hostKey.PublicKey() }

func another(_ *passwordServer, other xssh.PublicKey) xssh.PublicKey { return other }

// testPasswordTurns puts servers that hang up on the password, or fall silent, before good
// ones, which must get it nevertheless.
func testPasswordTurns(t *testing.T, newDialer Factory) {
	for name, silent := range map[string]bool{"hang up": false, "silent": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			bad := startPasswordServer(t, nil)
			reached := make(chan struct{}, 3) // capacity for each password that bad gets
			bad.then = func(nc net.Conn, _ string) error {
				reached <- struct{}{}
				if silent {
					<-bad.stop
				}
				_ = nc.Close()
				return errWrong
			}
			good := startPasswordServer(t, nil)
			p, err := auth.NewPasswords(auth.PasswordOptions{
				Source:     func(context.Context) ([]byte, error) { return []byte(passphrase), nil },
				AnswerTime: 50 * time.Millisecond,
			})
			if err != nil {
				t.Fatal(err)
			}
			d := newDialer(t, Config{
				HostKeys: knowing{&exact{trusted: []xssh.PublicKey{
					bad.hostKey.PublicKey(), good.hostKey.PublicKey(),
				}}},
				Identities: keys{}, Passwords: p, Timeouts: patient(),
			})
			ctx, cancel := context.WithCancel(t.Context())
			var all sync.WaitGroup
			defer all.Wait()
			defer cancel()
			try := func(ctx context.Context, target fleet.Target, user string) report {
				target.User = user // an account of its own, as if on another host
				return run(ctx, t, d, target)
			}
			for _, user := range []string{"a", "b", "c"} {
				all.Go(func() { _ = try(ctx, bad.target, user) })
				<-reached
			}
			var others sync.WaitGroup
			for i := range 20 {
				others.Go(func() { try(t.Context(), good.target, "good"+string(rune('a'+i))).ok(t) })
			}
			others.Wait()
			if bad.count() != 3 || good.count() != 20 {
				t.Errorf("%d and %d servers got the password, want 3 and 20", bad.count(), good.count())
			}
		})
	}
}
