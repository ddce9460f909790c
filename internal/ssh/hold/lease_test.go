package hold

import (
	"bytes"
	"context"
	"errors"
	"sync"
	"testing"

	xssh "golang.org/x/crypto/ssh"

	"shoal/fleet"
	"shoal/internal/ssh"
)

// An ended is a Dialer whose connections have ended by the time that the pool asks to be told: a server
// may close one right behind the login.
type ended struct{ ssh.Dialer }

// Dial implements ssh.Dialer.
func (d ended) Dial(ctx context.Context, a *ssh.Attempt) (ssh.Conn, error) {
	c, err := d.Dialer.Dial(ctx, a)
	if err != nil {
		return nil, err
	}
	_ = c.Close()
	return endedConn{c.(ssh.Keeper)}, nil
}

type endedConn struct{ ssh.Keeper }

// OnEnd implements ssh.Keeper.
func (endedConn) OnEnd(f func(cause error)) { f(errors.New("the server closed the connection")) }

func TestEndedAtOnce(t *testing.T) {
	r := newRig(t, Options{}, 1, nil)
	r.inner = ended{r.inner}
	if end, _, _ := r.run(t.Context(), 0, "echo ran"); end.Outcome != fleet.OutcomeNeverStarted {
		t.Errorf("ended %v(%s): %v", end.Outcome, end.Reason, end.Err)
	}
	if r.Idle() != 0 || r.Used() != 0 {
		t.Errorf("%d idle, %d used", r.Idle(), r.Used())
	}
}

// guarding are keys that say to which hosts a password and an agent go.
type guarding struct{ keys }

// AllowPassword implements ssh.PasswordGuard.
func (g guarding) AllowPassword(_ context.Context, t ssh.Target, _ xssh.PublicKey) error {
	return g.stranger(t)
}

// AllowAgent implements ssh.AgentGuard.
func (g guarding) AllowAgent(t ssh.Target, _ xssh.PublicKey) error { return g.stranger(t) }

func (g guarding) stranger(t ssh.Target) error {
	if t.Index == 1 {
		return errors.New("a stranger")
	}
	return nil
}

// What a command may be told that is secret depends on the host, and not on whether its connection was
// held.
func TestSecretsOnHeldConnections(t *testing.T) {
	r := newRig(t, Options{}, 2, nil)
	r.Use(guarding{keys{fleet: r.fleet}}, nil)
	for _, why := range []fleet.DialReason{fleet.DialNew, ""} {
		for i, allowed := range []bool{true, false} {
			var a *ssh.Attempt
			r.want(t, i, why, func(given *ssh.Attempt) { a = given })
			if err := a.AllowSecret(); (err == nil) != allowed {
				t.Errorf("host %d, dialled because of %q: %v", i, why, err)
			}
		}
	}
}

// An agent goes to the hosts that known_hosts knows. A server forwards one once on a connection, so that
// a held one is of no use.
func TestAgent(t *testing.T) {
	r := newRig(t, Options{}, 2, nil)
	r.Use(guarding{keys{fleet: r.fleet}}, nil)
	for i, allowed := range []bool{true, false} {
		a, _ := r.attempt(i, "")
		a.Agent, a.Target.Endpoint = true, &ssh.Endpoint{Settings: &ssh.Settings{Agent: ssh.AgentSpec{Socket: "/agent"}}}
		if may, f := a.MayForwardAgent(r.HostKeys(), r.fleet.HostKey(i)); may != allowed || f != nil {
			t.Errorf("host %d: %v, %v", i, may, f)
		}
	}
	for range 2 {
		r.want(t, 0, fleet.DialAgent, func(a *ssh.Attempt) {
			a.Agent, a.Target.Endpoint = true, &ssh.Endpoint{Settings: &ssh.Settings{Agent: ssh.AgentSpec{Socket: "/agent"}}}
		})
	}
}

// A late is a Dialer that calls before before its second dial, and after behind it.
type late struct {
	ssh.Dialer
	dials         int
	before, after func()
}

// Dial implements ssh.Dialer.
func (d *late) Dial(ctx context.Context, a *ssh.Attempt) (ssh.Conn, error) {
	if d.dials++; d.dials == 2 {
		d.before()
		defer d.after()
	}
	return d.Dialer.Dial(ctx, a)
}

// Who closes a connection while another one is dialled in its place has both closed, and counted as unused.
func TestClosedWhileDialling(t *testing.T) {
	r := newRig(t, Options{}, 1, nil)
	l := &late{Dialer: refuser{r.inner}, before: func() {}}
	r.inner = l
	r.want(t, 0, fleet.DialNew)
	a, _ := r.attempt(0, "echo ran")
	c, err := r.Dial(t.Context(), a)
	if err != nil {
		t.Fatal(err)
	}
	l.after = sync.OnceFunc(func() { _ = c.Close() })
	done := make(chan fleet.End, 1)
	c.Start(t.Context(), func(end fleet.End) { done <- end })
	if end := <-done; end.Outcome.Ran() {
		t.Errorf("ended %v", end.Outcome)
	}
	if r.Idle() != 0 || r.Used() != 0 {
		t.Errorf("%d idle, %d used", r.Idle(), r.Used())
	}
}

// An attempt that starts after Close, or together with it, does not run on the connection: that is another's.
func TestStartAfterClose(t *testing.T) {
	r := newRig(t, Options{}, 1, nil)
	r.want(t, 0, fleet.DialNew)
	open := func() (ssh.Conn, *ssh.Attempt, *bytes.Buffer) {
		a, out := r.attempt(0, "echo ran")
		a.Keep = true
		c, err := r.Dial(t.Context(), a)
		if err != nil || !a.Connection.Held {
			t.Fatalf("%+v, %v", a.Connection, err)
		}
		return c, a, out
	}
	end := func(start func(context.Context, func(fleet.End))) fleet.End {
		done := make(chan fleet.End, 1)
		start(t.Context(), func(end fleet.End) { done <- end })
		return <-done
	}
	late, _, none := open()
	_ = late.Close()
	c, _, out := open()
	if end := end(late.Start); end.Outcome != fleet.OutcomeNeverStarted || none.Len() > 0 {
		t.Errorf("after Close: %v, output %q", end.Outcome, none)
	}
	if end := end(c.Start); end.Outcome != fleet.OutcomeOK || out.String() != "ran\n" {
		t.Errorf("ended %v(%s), output %q", end.Outcome, end.Reason, out)
	}
	_ = c.Close()
	next, none := r.attempt(0, "echo ran")
	if end := end(func(ctx context.Context, done func(fleet.End)) { c.StartNext(ctx, next, done) }); end.Outcome != fleet.OutcomeNeverStarted || none.Len() > 0 {
		t.Errorf("the next one after Close: %v, output %q", end.Outcome, none)
	}
	if r.Idle() != 1 || r.Used() != 0 {
		t.Errorf("%d idle, %d used", r.Idle(), r.Used())
	}
}

// A slow is a Dialer of a connection whose further attempts end when they are told to.
type slow struct {
	key  xssh.PublicKey
	next chan func(fleet.End) // has room for one
}

// Dial implements ssh.Dialer.
func (s *slow) Dial(context.Context, *ssh.Attempt) (ssh.Conn, error) { return slowConn{s: s}, nil }

type slowConn struct {
	ssh.Keeper
	s *slow
}

func (c slowConn) HostKey() xssh.PublicKey { return c.s.key }
func (slowConn) OnEnd(func(error))         {}
func (slowConn) Close() error              { return nil }

func (slowConn) Start(_ context.Context, done func(fleet.End)) {
	done(fleet.Exited(fleet.PhaseDrain, 0, "", true))
}

func (c slowConn) StartNext(_ context.Context, _ *ssh.Attempt, done func(fleet.End)) {
	c.s.next <- done
}

// A connection that is closed while its command waits is counted as unused, once, though it was to be dialled instead.
func TestClosedBeforeItIsDialledInstead(t *testing.T) {
	r := newRig(t, Options{}, 1, nil)
	s := &slow{key: r.fleet.HostKey(0), next: make(chan func(fleet.End), 1)}
	r.inner = s
	if end, _, _ := r.run(t.Context(), 0, ""); end.Outcome != fleet.OutcomeOK || r.Idle() != 1 {
		t.Fatalf("%+v, %d idle", end, r.Idle())
	}
	a, _ := r.attempt(0, "")
	c, err := r.Dial(t.Context(), a)
	if err != nil || !a.Connection.Held {
		t.Fatalf("%+v, %v", a.Connection, err)
	}
	done := make(chan fleet.End, 1)
	c.Start(t.Context(), func(end fleet.End) { done <- end })
	_ = c.Close()
	(<-s.next)(fleet.End{Outcome: fleet.OutcomeNeverStarted, Reason: fleet.ReasonInterrupted, Phase: fleet.PhaseSession, Err: errClosed})
	if end := <-done; end.Outcome != fleet.OutcomeNeverStarted {
		t.Errorf("%+v", end)
	}
	if r.Idle() != 0 || r.Used() != 0 {
		t.Errorf("%d idle, %d used", r.Idle(), r.Used())
	}
}

// A panic while a connection is dialled in place of another one ends that attempt.
func TestDialInsteadPanics(t *testing.T) {
	r := newRig(t, Options{}, 1, nil)
	r.inner = &late{Dialer: refuser{r.inner}, before: func() { panic("a fault") }}
	r.want(t, 0, fleet.DialNew)
	if end, _, _ := r.run(t.Context(), 0, "echo must not run"); end.Outcome != fleet.OutcomeNeverStarted || end.Reason != fleet.ReasonInternal {
		t.Errorf("%+v", end)
	}
}

// Refresh has a connection closed on which a command runs, once that has ended.
func TestRefreshWhileUsed(t *testing.T) {
	r := newRig(t, Options{}, 1, nil)
	r.want(t, 0, fleet.DialNew, func(a *ssh.Attempt) {
		to := a.Stdout
		a.Stdout = writerTo(func(p []byte) (int, error) {
			r.Refresh()
			return to.Write(p)
		})
	})
	if r.Idle() != 0 {
		t.Error("it is held")
	}
	r.want(t, 0, fleet.DialExpired)
}

type writerTo func(p []byte) (int, error)

func (w writerTo) Write(p []byte) (int, error) { return w(p) }
