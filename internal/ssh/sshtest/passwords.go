package sshtest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
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

// passphrase is the right password of every server here.
const passphrase = "correct horse"

var errWrong = errors.New("wrong")

// A passwordServer accepts the right password, and records what it receives.
type passwordServer struct {
	hostKey xssh.Signer
	target  fleet.Target
	config  xssh.ServerConfig
	// then, unless it is nil, decides about a password; a nil error accepts it. If it is nil,
	// only passphrase is accepted.
	then func(nc net.Conn, password string) error
	stop chan struct{} // closed when the test ends
	work sync.WaitGroup

	mu  sync.Mutex
	got []string
}

// startPasswordServer serves until the test ends. prepare may change the server before the
// first connection.
func startPasswordServer(t testing.TB, prepare func(*passwordServer)) *passwordServer {
	t.Helper()
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &passwordServer{
		hostKey: newKey(t), stop: make(chan struct{}),
		target: nameless("127.0.0.1", l.Addr().(*net.TCPAddr).AddrPort().Port()),
	}
	s.config.AddHostKey(s.hostKey)
	s.config.PublicKeyCallback = func(xssh.ConnMetadata, xssh.PublicKey) (*xssh.Permissions, error) { return nil, errWrong }
	s.config.PasswordCallback = func(_ xssh.ConnMetadata, p []byte) (*xssh.Permissions, error) { return s.judge(nil, string(p)) }
	if prepare != nil {
		prepare(s)
	}
	s.work.Go(func() {
		for {
			nc, err := l.Accept()
			if err != nil {
				return
			}
			s.work.Go(func() { s.serve(nc) })
		}
	})
	t.Cleanup(func() {
		close(s.stop)
		_ = l.Close()
		s.work.Wait()
	})
	return s
}

func (s *passwordServer) serve(nc net.Conn) {
	config := s.config
	if config.PasswordCallback != nil {
		config.PasswordCallback = func(_ xssh.ConnMetadata, p []byte) (*xssh.Permissions, error) { return s.judge(nc, string(p)) }
	}
	serveOne(nc, &config, func(xssh.Channel) {}, nil)
}

// asks makes the server ask these questions, one per round; the last answer is the password.
func (s *passwordServer) asks(echo bool, rounds ...string) {
	s.config.PasswordCallback = nil
	s.config.KeyboardInteractiveCallback = func(_ xssh.ConnMetadata, ask xssh.KeyboardInteractiveChallenge) (*xssh.Permissions, error) {
		last := ""
		for _, question := range rounds {
			answers, err := ask("", "", []string{question}, []bool{echo})
			if err != nil {
				return nil, err
			}
			last = answers[0]
		}
		return s.judge(nil, last)
	}
}

func (s *passwordServer) judge(nc net.Conn, password string) (*xssh.Permissions, error) {
	s.mu.Lock()
	s.got = append(s.got, password)
	s.mu.Unlock()
	if s.then != nil {
		return nil, s.then(nc, password)
	}
	if password != passphrase {
		return nil, errWrong
	}
	return nil, nil // no permissions, no error: accepted
}

// count returns the number of passwords received.
func (s *passwordServer) count() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.got)
}

// knowing trusts a key and allows its host a password.
type knowing struct{ *exact }

func (knowing) AllowPassword(ssh.Target, xssh.PublicKey) error { return nil }

func (s *passwordServer) known() ssh.HostKeys {
	return knowing{&exact{trusted: []xssh.PublicKey{s.hostKey.PublicKey()}}}
}

// newPasswords gives the password to one server at a time until one accepts it, without time
// limits.
func newPasswords(t testing.TB, password string) *auth.Passwords {
	t.Helper()
	p, err := auth.NewPasswords(auth.PasswordOptions{
		Source:        func(context.Context) ([]byte, error) { return []byte(password), nil },
		MaxRejections: 1, MaxUnanswered: 100, AnswerTime: time.Hour,
	})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// A ledger records the connections for which passwords were given out.
type ledger struct {
	ssh.Passwords
	panics bool // when the answer is reported

	mu       sync.Mutex
	borrowed []context.Context
}

func (l *ledger) Password(ctx context.Context, t fleet.Target) ([]byte, func(bool), error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.borrowed = append(l.borrowed, ctx)
	p, told, err := l.Passwords.Password(ctx, t)
	if err == nil && l.panics {
		told = func(bool) { panic("told") }
	}
	return p, told, err
}

// outstanding returns the number of ended connections whose loan has not ended.
func (l *ledger) outstanding() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	n := 0
	for _, ctx := range l.borrowed {
		if ctx.Err() == nil {
			n++
		}
	}
	return n
}

func testPasswords(t *testing.T, newDialer Factory) {
	t.Run("asked for", func(t *testing.T) { testPasswordMethods(t, newDialer) })
	t.Run("methods", func(t *testing.T) { testMethods(t, newDialer) })
	t.Run("endings", func(t *testing.T) { testPasswordEndings(t, newDialer) })
	t.Run("policies", func(t *testing.T) { testPasswordPolicies(t, newDialer) })
	t.Run("turns", func(t *testing.T) { testPasswordTurns(t, newDialer) })
}

// testPasswordMethods covers the ways in which a server asks for a password (faults.md A04,
// A05): it gets at most one.
func testPasswordMethods(t *testing.T, newDialer Factory) {
	partly := func(s *passwordServer, next xssh.ServerAuthCallbacks) {
		s.config.PasswordCallback = nil
		s.config.PublicKeyCallback = func(xssh.ConnMetadata, xssh.PublicKey) (*xssh.Permissions, error) {
			return nil, &xssh.PartialSuccessError{Next: next}
		}
	}
	for name, c := range map[string]struct {
		prepare  func(*passwordServer)
		password string // "" means no password
		noKey    bool
		reason   fleet.Reason // "" means that the server accepts
		got      int
		text     string // expected in the error
	}{
		"after the key":   {password: passphrase, got: 1},
		"without a key":   {password: passphrase, noKey: true, got: 1},
		"wrong":           {password: "wrong", reason: fleet.ReasonAuthFailed, got: 1, text: "not with the password"},
		"no password":     {reason: fleet.ReasonAuthFailed, text: "was not let in with our key"},
		"interactive":     {prepare: func(s *passwordServer) { s.asks(false, "Password: ") }, password: passphrase, got: 1},
		"another secret":  {prepare: func(s *passwordServer) { s.asks(false, "PIN of your card: ") }, password: passphrase, reason: fleet.ReasonAuthFailed, text: "PIN of your card"},
		"asked with echo": {prepare: func(s *passwordServer) { s.asks(true, "Password: ") }, password: passphrase, reason: fleet.ReasonAuthFailed, text: "would show the answer"},
		"asked twice":     {prepare: func(s *passwordServer) { s.asks(false, "Password: ", "Password: ") }, password: passphrase, reason: fleet.ReasonAuthFailed, text: "once more"},
		// A rejection without a prompt, in which no password is sent; each request counts.
		"asked nothing": {prepare: func(s *passwordServer) { s.asks(false) }, password: passphrase, reason: fleet.ReasonAuthFailed, got: 1},
		"beside the key": {prepare: func(s *passwordServer) {
			partly(s, xssh.ServerAuthCallbacks{PasswordCallback: s.config.PasswordCallback})
		}, password: passphrase, got: 1},
		"beside the key, no password": {prepare: func(s *passwordServer) {
			partly(s, xssh.ServerAuthCallbacks{PasswordCallback: s.config.PasswordCallback})
		}, reason: fleet.ReasonAuthIncomplete, text: `next="password"`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := startPasswordServer(t, c.prepare)
			config := Config{HostKeys: s.known(), Identities: keys{newKey(t)}, Timeouts: patient()}
			if c.noKey {
				config.Identities = keys{}
			}
			if c.password != "" {
				config.Passwords = newPasswords(t, c.password)
			}
			r := run(t.Context(), t, newDialer(t, config), s.target)
			if c.reason == fleet.ReasonNone {
				r.ok(t)
			} else {
				r.want(t, fleet.OutcomeNeverStarted, c.reason, fleet.PhaseAuth, 0)
			}
			if s.count() != c.got {
				t.Errorf("the server got %d passwords, want %d", s.count(), c.got)
			}
			if r.Err != nil && (!strings.Contains(r.Err.Error(), c.text) || strings.Contains(r.Err.Error(), passphrase)) {
				t.Errorf("the cause is %q", r.Err)
			}
		})
	}
}

// testMethods covers the methods that a route allows and their order (ssh_config(5),
// PreferredAuthentications, PasswordAuthentication, KbdInteractiveAuthentication): the server
// takes all, and logs what is tried.
func testMethods(t *testing.T, newDialer Factory) {
	const pub, pass, ask = "publickey", "password", "keyboard-interactive"
	for name, c := range map[string]struct {
		methods  []string
		password string // "" means none
		rightKey bool
		noAsking bool // the server does not take keyboard-interactive
		tried    string
		reason   fleet.Reason // "" means that the server accepts
		text     string
	}{
		"default":                     {nil, passphrase, false, false, "publickey password", "", ""},
		"password first":              {[]string{pass, pub}, passphrase, true, false, "password", "", ""},
		"password first, wrong":       {[]string{pass, pub}, "wrong", true, false, "password publickey", "", ""},
		"password first, none":        {[]string{pass, pub}, "", true, false, "publickey", "", ""},
		"asked first":                 {[]string{ask, pass}, passphrase, true, false, "keyboard-interactive", "", ""},
		"asked first, not taken":      {[]string{ask, pass}, passphrase, true, true, "password", "", ""},
		"no password":                 {[]string{pub, ask}, passphrase, false, false, "publickey keyboard-interactive", "", ""},
		"asked, wrong":                {[]string{ask, pass}, "wrong", false, false, "keyboard-interactive", fleet.ReasonAuthFailed, "not with the password"},
		"keys only":                   {[]string{pub}, passphrase, false, false, "publickey", fleet.ReasonAuthFailed, "our key, and ssh_config allows no password here"},
		"asked only, not taken":       {[]string{ask}, passphrase, true, true, "", fleet.ReasonAuthFailed, `ssh_config allows only "keyboard-interactive"`},
		"password only, and no one's": {[]string{pass}, "", true, false, "", fleet.ReasonNoIdentity, "there is no password"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			key := newKey(t)
			var mu sync.Mutex
			var tried []string
			s := startPasswordServer(t, func(s *passwordServer) {
				s.config.PublicKeyCallback = func(_ xssh.ConnMetadata, k xssh.PublicKey) (*xssh.Permissions, error) {
					if c.rightKey && bytes.Equal(k.Marshal(), key.PublicKey().Marshal()) {
						return nil, nil // no permissions, no error: accepted
					}
					return nil, errWrong
				}
				password := s.config.PasswordCallback
				if !c.noAsking {
					s.asks(false, "Password: ")
				}
				s.config.PasswordCallback = password
				s.config.AuthLogCallback = func(_ xssh.ConnMetadata, method string, _ error) {
					mu.Lock()
					defer mu.Unlock()
					if method != "none" && !slices.Contains(tried, method) {
						tried = append(tried, method)
					}
				}
			})
			config := Config{HostKeys: s.known(), Identities: keys{key}, Timeouts: patient()}
			if c.password != "" {
				config.Passwords = newPasswords(t, c.password)
			}
			r := runAt(t.Context(), t, newDialer(t, config), with(s.target, ssh.Settings{Methods: c.methods, Password: true}))
			if c.reason == fleet.ReasonNone {
				r.ok(t)
			} else {
				r.want(t, fleet.OutcomeNeverStarted, c.reason, fleet.PhaseAuth, 0)
			}
			mu.Lock()
			defer mu.Unlock()
			if got := strings.Join(tried, " "); got != c.tried {
				t.Errorf("tried %q, want %q", got, c.tried)
			}
			if r.Err != nil && !strings.Contains(r.Err.Error(), c.text) {
				t.Errorf("the cause is %q, want %q", r.Err, c.text)
			}
		})
	}
}

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
			if refused != c.rejected || err != nil && (f == nil || !strings.Contains(err.Error(), "rejected by 1 servers and")) {
				t.Errorf("the next server: %v", err)
			}
		})
	}
}

// testPasswordPolicies checks each policy: the password is sent only to hosts that known_hosts
// knows or has learned (faults.md A08).
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
