package client

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"errors"
	"io"
	"net"
	"slices"
	"sync"
	"testing"
	"time"

	xssh "golang.org/x/crypto/ssh"

	"shoal/fleet"
	"shoal/internal/ssh"
	"shoal/internal/ssh/hostcache"
	"shoal/internal/ssh/tcp"
	"shoal/internal/ssh/wire"
	"shoal/internal/sshdtest"
)

// A rig makes attempts at one server and records the wire. Its fields are set
// before the first attempt.
type rig struct {
	Options
	host fleet.Host
	// settings are the targets'; nil for none.
	settings *ssh.Settings
	// wrap is applied to each connection; nil disables it.
	wrap func(net.Conn) net.Conn
	// intent is ssh.Attempt.Intent.
	intent func() error
	// idempotent is ssh.Attempt.Idempotent.
	idempotent bool

	mu       sync.Mutex
	dials    int
	open     int            // connections that were not closed
	messages []wire.Message // of the last attempt
}

// newRig trusts the keys and offers the signers. Its timeouts are long enough for a
// healthy server on a busy machine.
func newRig(host fleet.Host, hostKeys []xssh.PublicKey, signers ...xssh.Signer) *rig {
	r := &rig{host: host}
	r.Options = Options{
		HostKeys:   trustingSome{keys: hostKeys},
		Identities: someKeys(signers),
		Timeouts: ssh.Timeouts{
			Dial: time.Minute, Kex: 8 * time.Second, Auth: time.Minute, Session: time.Minute, Drain: time.Minute,
		},
		Network: r,
		Trace:   r.trace,
	}
	return r
}

func rigFor(s *sshdtest.Server) *rig { return newRig(s.Host, s.HostKeys, s.Signer) }

func (r *rig) trace(m wire.Message) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.messages = append(r.messages, m)
}

// Open implements ssh.Network.
func (r *rig) Open(ctx context.Context, a *ssh.Attempt) (net.Conn, error) {
	c, err := tcp.Dialer{Timeouts: r.Timeouts}.Open(ctx, a)
	if err != nil {
		return nil, err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.dials++
	r.open++
	if r.wrap == nil {
		return c, nil // an event loop takes nothing but TCP
	}
	return &noted{Conn: r.wrap(c), rig: r}, nil
}

// A noted connection reports its end.
type noted struct {
	net.Conn
	rig  *rig
	once sync.Once
}

func (c *noted) Close() error {
	c.once.Do(func() {
		c.rig.mu.Lock()
		defer c.rig.mu.Unlock()
		c.rig.open--
	})
	return c.Conn.Close()
}

// dialled returns the number of dials since the last call.
func (r *rig) dialled() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	n := r.dials
	r.dials = 0
	return n
}

// sent counts the messages of this name that were sent, requests by their kind.
func (r *rig) sent(name string) int {
	r.mu.Lock()
	defer r.mu.Unlock()
	n := 0
	for _, m := range r.messages {
		if m.Out && (m.Name == name || m.Request == name) {
			n++
		}
	}
	return n
}

// early reports whether the command was sent before authentication had succeeded.
func (r *rig) early() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	exec := slices.IndexFunc(r.messages, func(m wire.Message) bool { return m.Out && m.Request == "exec" })
	success := slices.IndexFunc(r.messages, func(m wire.Message) bool { return m.Name == "USERAUTH_SUCCESS" })
	return exec >= 0 && (success < 0 || exec < success)
}

// An ending is all that is known of an attempt at its end.
type ending struct {
	fleet.End
	stdout, stderr []byte
}

func (r *rig) newDialer(t testing.TB) *Dialer {
	t.Helper()
	d, err := New(r.Options)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// run makes one attempt with a Dialer of its own.
func (r *rig) run(t testing.TB, command string) ending {
	t.Helper()
	d := r.newDialer(t)
	e := r.attempt(t, d, command)
	if err := d.Close(); err != nil {
		t.Error(err)
	}
	return e
}

func (r *rig) target(command string) ssh.Target {
	user := r.host.User
	if user == "" {
		user = "someone"
	}
	t := ssh.Target{Target: fleet.Target{Host: r.host, User: user, Port: r.host.Port, Command: command}}
	if r.settings != nil {
		t.Endpoint = &ssh.Endpoint{Settings: r.settings}
	}
	return t
}

func (r *rig) attempt(t testing.TB, d *Dialer, command string) ending {
	t.Helper()
	r.mu.Lock()
	r.messages = nil
	r.mu.Unlock()
	var stdout, stderr bytes.Buffer
	a := &ssh.Attempt{
		Progress: new(ssh.Progress), Target: r.target(command), Stdout: &stdout, Stderr: &stderr, Intent: r.intent, Idempotent: r.idempotent,
	}
	end := attemptWith(t, d, a)
	return ending{end, stdout.Bytes(), stderr.Bytes()}
}

// attemptWith makes an attempt and waits for its end, which must come once.
func attemptWith(t testing.TB, d *Dialer, a *ssh.Attempt) fleet.End {
	t.Helper()
	c, err := d.Dial(t.Context(), a)
	if err != nil {
		f, ok := errors.AsType[*fleet.Error](err)
		if !ok {
			t.Fatalf("Dial's error is a %T: %v", err, err)
		}
		return f.End()
	}
	done := make(chan fleet.End, 2) // sent by done, which may wrongly be called twice
	c.Start(t.Context(), func(e fleet.End) { done <- e })
	end := <-done
	if err := c.Close(); err != nil {
		t.Error(err)
	}
	select {
	case again := <-done:
		t.Errorf("done was called a second time: %+v", again)
	default:
	}
	return end
}

// want checks how an attempt ended.
func (e ending) want(t testing.TB, o fleet.Outcome, reason fleet.Reason, p fleet.Phase) {
	t.Helper()
	if e.Outcome != o || e.Reason != reason || e.Phase != p {
		t.Errorf("ended %v(%s) in %v, want %v(%s) in %v\ncause: %v", e.Outcome, e.Reason, e.Phase, o, reason, p, e.Err)
	}
}

// ok checks for a command that exited 0 with exactly this output.
func (e ending) ok(t testing.TB, stdout string) {
	t.Helper()
	e.want(t, fleet.OutcomeOK, fleet.ReasonNone, fleet.PhaseDrain)
	if string(e.stdout) != stdout || len(e.stderr) > 0 {
		t.Errorf("output %.80q and %.80q, want %.80q", e.stdout, e.stderr, stdout)
	}
}

// trustingSome accepts the keys, and prefers host keys of one kind.
type trustingSome struct {
	keys   []xssh.PublicKey
	prefer []string
}

func (h trustingSome) Algorithms(ssh.Target) []string { return h.prefer }

func (h trustingSome) Check(_ ssh.Target, _ net.Addr, key xssh.PublicKey) error {
	for _, k := range h.keys {
		if bytes.Equal(k.Marshal(), key.Marshal()) {
			return nil
		}
	}
	return &fleet.Error{Reason: fleet.ReasonHostkeyChanged, Err: errors.New("another key")}
}

func (h trustingSome) Accepted(context.Context, ssh.Target, xssh.PublicKey) error { return nil }

func (h trustingSome) AllowPassword(context.Context, ssh.Target, xssh.PublicKey) error { return nil }

type someKeys []xssh.Signer

func (k someKeys) Signers(context.Context, ssh.Target) ([]xssh.Signer, error) { return k, nil }

// newSigner makes a key that no server knows yet.
func newSigner(t testing.TB, kind sshdtest.KeyType) xssh.Signer {
	t.Helper()
	var key any
	var err error
	switch kind {
	case sshdtest.RSA:
		key, err = rsa.GenerateKey(rand.Reader, 3072)
	case sshdtest.ECDSA:
		key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	default:
		_, key, err = ed25519.GenerateKey(rand.Reader)
	}
	if err != nil {
		t.Fatal(err)
	}
	signer, err := xssh.NewSignerFromKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return signer
}

// newMemory remembers nothing yet.
func newMemory(t testing.TB) *hostcache.Cache {
	t.Helper()
	m, err := hostcache.Open(t.TempDir()+"/state", hostcache.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// remembered returns the host cache's entry of the rig's server.
func (r *rig) remembered(t testing.TB) hostcache.Entry {
	t.Helper()
	e, ok := r.Memory.Get(endpoint(r.target("").Target))
	if !ok {
		t.Fatalf("nothing is remembered of %v", r.host)
	}
	return e
}

func attemptAt(r *rig, command string) *ssh.Attempt {
	return &ssh.Attempt{Progress: new(ssh.Progress), Target: r.target(command), Stdout: io.Discard, Stderr: io.Discard}
}
