package client

import (
	"context"
	"errors"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	xssh "golang.org/x/crypto/ssh"

	"shoal/fleet"
	"shoal/internal/ssh"
	"shoal/internal/ssh/hostcache"
	"shoal/internal/ssh/wire"
	"shoal/internal/ssh/xcrypto"
	"shoal/internal/sshdtest"
)

const rightPassword = "correct horse"

var errWrong = errors.New("wrong")

// A keeper has a password, answers prompts for one, and records the questions.
type keeper struct {
	password string

	mu       sync.Mutex
	asked    int
	prompts  []string
	answered []bool
}

func (k *keeper) Password(context.Context, fleet.Target) ([]byte, func(bool), error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.asked++
	return []byte(k.password), k.told, nil
}

func (k *keeper) Answer(_ context.Context, _ fleet.Target, prompt string, echo bool) ([]byte, func(bool), error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.prompts = append(k.prompts, prompt)
	if prompt != "Password: " || echo {
		return nil, nil, errors.New("this is not a question for a password")
	}
	return []byte(k.password), k.told, nil
}

func (k *keeper) told(accepted bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.answered = append(k.answered, accepted)
}

// A doorman is the server's side: it records every password that it gets.
type doorman struct {
	mu  sync.Mutex
	got []string
}

func (d *doorman) password(_ xssh.ConnMetadata, password []byte) (*xssh.Permissions, error) {
	return d.check(string(password))
}

func (d *doorman) check(password string) (*xssh.Permissions, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.got = append(d.got, password)
	if password != rightPassword {
		return nil, errWrong
	}
	return nil, nil // no permissions, no error: let in
}

// count returns how many passwords it got.
func (d *doorman) count() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return len(d.got)
}

func noKey(xssh.ConnMetadata, xssh.PublicKey) (*xssh.Permissions, error) { return nil, errWrong }

// asks returns a callback that asks these questions, one round each, and takes the
// last answer as the password.
func (d *doorman) asks(echo bool, rounds ...string) func(xssh.ConnMetadata, xssh.KeyboardInteractiveChallenge) (*xssh.Permissions, error) {
	return func(_ xssh.ConnMetadata, ask xssh.KeyboardInteractiveChallenge) (*xssh.Permissions, error) {
		last := ""
		for _, question := range rounds {
			answers, err := ask("", "", []string{question}, []bool{echo})
			if err != nil {
				return nil, err
			}
			last = answers[0]
		}
		return d.check(last)
	}
}

// Every way to ask for a password: each host gets it at most once (faults.md A04,
// A05).
func TestPasswords(t *testing.T) {
	t.Parallel()
	type config = xssh.ServerConfig
	key := newSigner(t, sshdtest.Ed25519)
	partly := func(next xssh.ServerAuthCallbacks) func(xssh.ConnMetadata, xssh.PublicKey) (*xssh.Permissions, error) {
		return func(xssh.ConnMetadata, xssh.PublicKey) (*xssh.Permissions, error) {
			return nil, &xssh.PartialSuccessError{Next: next}
		}
	}
	for name, c := range map[string]struct {
		prepare  func(*config, *doorman)
		password string // "" means Passwords is nil
		noKey    bool
		outcome  fleet.Outcome
		reason   fleet.Reason
		got      int // passwords that the server gets
		answered string
		text     string // in the error
	}{
		"after the key": {
			prepare:  func(c *config, d *doorman) { c.PasswordCallback = d.password },
			password: rightPassword, outcome: fleet.OutcomeOK, got: 1, answered: "true",
		},
		"without a key": {
			prepare:  func(c *config, d *doorman) { c.PasswordCallback = d.password },
			password: rightPassword, noKey: true, outcome: fleet.OutcomeOK, got: 1, answered: "true",
		},
		"wrong": {
			prepare: func(c *config, d *doorman) {
				c.PasswordCallback, c.KeyboardInteractiveCallback = d.password, d.asks(false, "Password: ")
			},
			password: "wrong", outcome: fleet.OutcomeNeverStarted, reason: fleet.ReasonAuthFailed, got: 1, answered: "false",
		},
		"wrong, and the server leaves": {
			prepare: func(c *config, d *doorman) {
				c.PasswordCallback, c.MaxAuthTries = d.password, 1
			},
			password: "wrong", noKey: true, outcome: fleet.OutcomeNeverStarted, reason: fleet.ReasonAuthFailed, got: 1, answered: "false",
		},
		"nobody to ask": {
			prepare: func(c *config, d *doorman) { c.PasswordCallback = d.password },
			outcome: fleet.OutcomeNeverStarted, reason: fleet.ReasonAuthFailed,
		},
		"beside the key": {
			prepare: func(c *config, d *doorman) {
				c.PublicKeyCallback = partly(xssh.ServerAuthCallbacks{PasswordCallback: d.password})
			},
			password: rightPassword, outcome: fleet.OutcomeOK, got: 1, answered: "true",
		},
		"beside the key, nobody to ask": {
			prepare: func(c *config, d *doorman) {
				c.PublicKeyCallback = partly(xssh.ServerAuthCallbacks{PasswordCallback: d.password})
			},
			outcome: fleet.OutcomeNeverStarted, reason: fleet.ReasonAuthIncomplete, text: `next="password"`,
		},
		"interactive": {
			prepare:  func(c *config, d *doorman) { c.KeyboardInteractiveCallback = d.asks(false, "Password: ") },
			password: rightPassword, outcome: fleet.OutcomeOK, got: 1, answered: "true",
		},
		"interactive beside the key": {
			prepare: func(c *config, d *doorman) {
				c.PublicKeyCallback = partly(xssh.ServerAuthCallbacks{KeyboardInteractiveCallback: d.asks(false, "Password: ")})
			},
			password: rightPassword, outcome: fleet.OutcomeOK, got: 1, answered: "true",
		},
		"interactive, wrong": {
			prepare:  func(c *config, d *doorman) { c.KeyboardInteractiveCallback = d.asks(false, "Password: ") },
			password: "wrong", outcome: fleet.OutcomeNeverStarted, reason: fleet.ReasonAuthFailed, got: 1, answered: "false",
		},
		"something else is asked": {
			prepare:  func(c *config, d *doorman) { c.KeyboardInteractiveCallback = d.asks(false, "PIN of your card: ") },
			password: rightPassword, outcome: fleet.OutcomeNeverStarted, reason: fleet.ReasonAuthFailed,
		},
		"asked in the open": {
			prepare:  func(c *config, d *doorman) { c.KeyboardInteractiveCallback = d.asks(true, "Password: ") },
			password: rightPassword, outcome: fleet.OutcomeNeverStarted, reason: fleet.ReasonAuthFailed,
		},
		"asked twice": {
			prepare:  func(c *config, d *doorman) { c.KeyboardInteractiveCallback = d.asks(false, "Password: ", "Password: ") },
			password: rightPassword, outcome: fleet.OutcomeNeverStarted, reason: fleet.ReasonAuthFailed,
			answered: "false", text: "once more",
		},
	} {
		for _, known := range []bool{false, true} {
			about := name
			if known {
				about += ", remembered"
			}
			t.Run(about, func(t *testing.T) {
				var door doorman
				p := startPoser(t, "OpenSSH_9.9", func(p *poser) {
					p.config.PublicKeyCallback = noKey
					c.prepare(p.config, &door)
				})
				r := p.rig(key)
				if c.noKey {
					r.Identities = someKeys{}
				}
				r.Pipeline = Auth // the poser accepts no early command
				if known {
					r.Pipeline = Full
					r.remember(t, hostcache.Entry{Kex: []string{"curve25519-sha256"}, Marks: []string{markLateExec}})
				}
				keep := &keeper{password: c.password}
				if c.password != "" {
					r.Passwords = keep
				}
				e := r.run(t, "true")
				if e.Outcome != c.outcome || e.Reason != c.reason {
					t.Errorf("ended %v(%s) in %v, want %v(%s)\ncause: %v", e.Outcome, e.Reason, e.Phase, c.outcome, c.reason, e.Err)
				}
				if door.count() != c.got || keep.asked > 1 || r.dialled() != 1 {
					t.Errorf("the server got %d passwords, want %d; asked for %d times", door.count(), c.got, keep.asked)
				}
				if got := boolWords(keep.answered); got != c.answered {
					t.Errorf("told that it was accepted: %q, want %q", got, c.answered)
				}
				if e.Err != nil && (!strings.Contains(e.Err.Error(), c.text) || strings.Contains(e.Err.Error(), rightPassword)) {
					t.Errorf("the cause is %q", e.Err)
				}
			})
		}
	}
}

func boolWords(all []bool) string {
	words := make([]string, 0, len(all))
	for _, b := range all {
		words = append(words, map[bool]string{true: "true", false: "false"}[b])
	}
	return strings.Join(words, " ")
}

// A server that is remembered to accept early commands, requires a password, and
// disconnects if it is wrong, with a message or without: that causes no retry.
func TestWrongPasswordIsNotSentAgain(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		hangUp bool
		reason fleet.Reason
	}{
		"with a word": {false, fleet.ReasonAuthFailed},
		"without":     {true, fleet.ReasonConnClosed},
	} {
		t.Run(name, func(t *testing.T) {
			var door doorman
			var link net.Conn // of the one connection
			p := startPoser(t, "OpenSSH_9.9", func(p *poser) {
				p.wrap = func(nc net.Conn) net.Conn {
					link = nc
					return nc
				}
				p.config.MaxAuthTries = 1
				p.config.PasswordCallback = func(m xssh.ConnMetadata, password []byte) (*xssh.Permissions, error) {
					verdict, err := door.password(m, password)
					if c.hangUp {
						_ = link.Close()
					}
					return verdict, err
				}
			})
			r := p.rig()
			r.Passwords = &keeper{password: "wrong"}
			r.remember(t, hostcache.Entry{Kex: []string{"curve25519-sha256"}})
			r.run(t, "true").want(t, fleet.OutcomeNeverStarted, c.reason, fleet.PhaseAuth)
			if n := r.dialled(); n != 1 || door.count() != 1 {
				t.Errorf("dialled %d times, the server got %d passwords; want 1, 1", n, door.count())
			}
		})
	}
}

// A password is sent only to a host whose key is trusted (faults.md A08).
// faults.md: A08
func TestNoPasswordForAStranger(t *testing.T) {
	t.Parallel()
	var door doorman
	p := startPoser(t, "OpenSSH_9.9", func(p *poser) { p.config.PasswordCallback = door.password })
	r := newRig(p.host, []xssh.PublicKey{newSigner(t, sshdtest.Ed25519).PublicKey()})
	keep := &keeper{password: rightPassword}
	r.Passwords = keep
	r.remember(t, hostcache.Entry{Kex: []string{"curve25519-sha256"}})
	e := r.run(t, "true")
	e.want(t, fleet.OutcomeNeverStarted, fleet.ReasonHostkeyChanged, fleet.PhaseHostkey)
	if keep.asked != 0 || door.count() != 0 {
		t.Errorf("asked for %d times, the server got %d", keep.asked, door.count())
	}
}

// A server requires a new password (faults.md A06). No available server does so
// without PAM, so that the event is passed directly.
// faults.md: A06
func TestPasswordExpired(t *testing.T) {
	t.Parallel()
	keep := &keeper{}
	r := newRig(fleet.Host{Name: "192.0.2.1", Port: 22}, nil)
	r.Passwords = keep
	h := &handshake{dialer: r.newDialer(t), ctx: t.Context(), attempt: attemptAt(r, "true")}
	h.attempt.Timeline.Enter(fleet.PhaseAuth)
	h.link = &link{client: wire.New(&wire.Config{})}
	h.session = newSession(h.attempt, h.link, h.dialer, r.Timeouts)
	h.login = login{handshake: h, password: passwordSent}
	f := h.login.take(wire.PasswordExpired{Prompt: []byte("New password: ")})
	if f == nil || f.Outcome != fleet.OutcomeNeverStarted || f.Reason != fleet.ReasonPasswordExpired || f.Phase != fleet.PhaseAuth {
		t.Errorf("failed with %+v, want never_started(password_expired) in auth", f)
	}
	if boolWords(keep.answered) != "" {
		t.Errorf("told that it was accepted: %v, want neither yes nor no: it may be right", keep.answered)
	}
}

// A jump host gets the password by the same rules as a target.
func TestPasswordAtAJumpHost(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		known bool
		got   int
	}{"known": {true, 1}, "not known": {false, 0}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var door doorman
			p := startPoser(t, "OpenSSH_9.9", func(p *poser) { p.config.PasswordCallback = door.password })
			r := p.rig()
			if !c.known {
				r.HostKeys = struct{ ssh.HostKeys }{r.HostKeys} // which cannot tell
			}
			keep := &keeper{password: rightPassword}
			r.Passwords = keep
			d := r.newDialer(t)
			defer func() { _ = d.Close() }()
			tunnels, err := d.Tunnels(t.Context(), attemptAt(r, ""))
			if c.known != (err == nil) || keep.asked != c.got || door.count() != c.got {
				t.Errorf("%v; asked %d times, the jump host got %d passwords, want %d", err, keep.asked, door.count(), c.got)
			}
			if f, ok := errors.AsType[*fleet.Error](err); err != nil && (!ok || f.Reason != fleet.ReasonAuthFailed) {
				t.Errorf("ended with %v, want auth_failed", err)
			}
			if tunnels != nil {
				_ = tunnels.Close()
			}
		})
	}
}

// Dropbear ends a connection on which a command followed a key that it rejects. The
// password is sent on the next one, once, before any command.
func TestPasswordAfterAStaleKeyAtDropbear(t *testing.T) {
	t.Parallel()
	var door doorman
	p := startPoser(t, "dropbear_2022.83", func(p *poser) {
		p.config.PublicKeyCallback = noKey
		p.config.PasswordCallback = door.password
	})
	r := p.rig(newSigner(t, sshdtest.Ed25519))
	r.Passwords = &keeper{password: rightPassword}
	r.Timeouts.Session = 2 * time.Second
	r.remember(t, hostcache.Entry{Kex: []string{"curve25519-sha256"}})
	r.run(t, "true").ok(t, "hello 1\n")
	if n := r.dialled(); n != 2 || door.count() != 1 || r.sent("exec") != 2 {
		t.Errorf("dialled %d times, the server got %d passwords, exec was sent %d times; want 2, 1, 2", n, door.count(), r.sent("exec"))
	}
}

// The key that a server has rejected is not taken for that which has let us in, where it is the
// password, and the server takes no keys any more.
func TestRejectedKeyHasNotLetUsIn(t *testing.T) {
	t.Parallel()
	hostKey := newSigner(t, sshdtest.Ed25519)
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var served sync.WaitGroup
	defer served.Wait()
	defer func() { _ = l.Close() }()
	serve := func(nc net.Conn) {
		defer func() { _ = nc.Close() }()
		s, buf := wire.NewServer(&wire.Config{}, hostKey), make([]byte, 64<<10)
		for {
			n, err := nc.Write(s.Output())
			if s.Sent(n); err != nil {
				return
			}
			if n, err = nc.Read(buf); err != nil {
				return
			}
			s.Receive(buf[:n])
			for ev, err := s.Next(); ev != nil && err == nil; ev, err = s.Next() {
				switch request, ok := ev.(wire.AuthRequest); {
				case !ok:
				case request.Method == wire.MethodNone:
					s.Reject(false, wire.MethodPublicKey)
				case request.Method == wire.MethodPassword, !request.Signed: // or only asked about
					s.Accept()
				default:
					s.Reject(false, wire.MethodPassword)
				}
			}
		}
	}
	served.Go(func() {
		for nc, err := l.Accept(); err == nil; nc, err = l.Accept() {
			served.Go(func() { serve(nc) })
		}
	})
	for _, client := range []string{clientExpress, "standard"} {
		r := newRig(fleet.Host{Name: "127.0.0.1", Port: l.Addr().(*net.TCPAddr).AddrPort().Port()}, []xssh.PublicKey{hostKey.PublicKey()}, newSigner(t, sshdtest.Ed25519))
		r.Passwords = &keeper{password: rightPassword}
		own := r.newDialer(t)
		d := ssh.Dialer(own)
		if client != clientExpress {
			var err error
			if d, err = xcrypto.New(xcrypto.Options{
				HostKeys: r.HostKeys, Identities: r.Identities, Passwords: r.Passwords, Timeouts: r.Timeouts, Network: r.Network,
			}); err != nil {
				t.Fatal(err)
			}
		}
		a := attemptAt(r, "true")
		c, err := d.Dial(t.Context(), a)
		if err != nil {
			t.Fatalf("%s: %v", client, err)
		}
		if key := a.UserKey(); key != nil {
			t.Errorf("%s: let in with the key %s, want none", client, xssh.FingerprintSHA256(key))
		}
		_, _ = c.Close(), own.Close()
	}
}
