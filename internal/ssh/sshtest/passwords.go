package sshtest

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	xssh "golang.org/x/crypto/ssh"

	"shoal/fleet"
	"shoal/internal/ssh"
	"shoal/internal/ssh/auth"
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

func (knowing) AllowPassword(context.Context, ssh.Target, xssh.PublicKey) error { return nil }

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
// faults.md: A04 A05
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
		noAsking bool   // the server does not take keyboard-interactive
		question string // that the server asks; "" means for the password
		stranger bool   // the host may get no password
		tried    string
		reason   fleet.Reason // "" means that the server accepts
		text     string
	}{
		"default":                     {password: passphrase, tried: "publickey password"},
		"password first":              {methods: []string{pass, pub}, password: passphrase, rightKey: true, tried: "password"},
		"password first, wrong":       {methods: []string{pass, pub}, password: "wrong", rightKey: true, tried: "password publickey"},
		"password first, none":        {methods: []string{pass, pub}, rightKey: true, tried: "publickey"},
		"asked first":                 {methods: []string{ask, pass}, password: passphrase, rightKey: true, tried: "keyboard-interactive"},
		"asked first, not taken":      {methods: []string{ask, pass}, password: passphrase, rightKey: true, noAsking: true, tried: "password"},
		"no password":                 {methods: []string{pub, ask}, password: passphrase, tried: "publickey keyboard-interactive"},
		"asked, wrong":                {methods: []string{ask, pass}, password: "wrong", tried: "keyboard-interactive", reason: fleet.ReasonAuthFailed, text: "not with the password"},
		"keys only":                   {methods: []string{pub}, password: passphrase, tried: "publickey", reason: fleet.ReasonAuthFailed, text: "our key, and ssh_config allows no password here"},
		"asked only, not taken":       {methods: []string{ask}, password: passphrase, rightKey: true, noAsking: true, reason: fleet.ReasonAuthFailed, text: `ssh_config allows only "keyboard-interactive"`},
		"password only, and no one's": {methods: []string{pass}, rightKey: true, reason: fleet.ReasonNoIdentity, text: "there is no password"},
		"password first, not allowed": {methods: []string{pass, pub}, password: passphrase, rightKey: true, stranger: true, tried: "publickey"},
		"asked first, not allowed":    {methods: []string{ask, pub}, password: passphrase, rightKey: true, stranger: true, tried: "publickey"},
		"none allowed": {
			methods: []string{pass, pub, ask}, password: passphrase, stranger: true,
			tried: "publickey", reason: fleet.ReasonAuthFailed, text: "the password was not sent",
		},
		// This server ends the connection instead of taking another method after a question.
		"asked first, another secret": {
			methods: []string{ask, pub}, password: passphrase, rightKey: true, question: "PIN of your card: ",
			tried: "keyboard-interactive", reason: fleet.ReasonAuthFailed, text: "PIN of your card",
		},
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
					s.asks(false, cmp.Or(c.question, "Password: "))
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
			if c.stranger {
				config.HostKeys = &exact{trusted: []xssh.PublicKey{s.hostKey.PublicKey()}}
			}
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
