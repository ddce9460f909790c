// Package sshtest is the conformance suite that every implementation of ssh.Dialer must pass.
// Call [Run] from a test with a function that creates the Dialer.
//
// The suite runs against a simulated fleet, good and hostile, and against real OpenSSH and
// Dropbear servers that it starts itself. It asserts the exact outcome, reason, phase and flags
// of each case, that output is exact, that no resources of an attempt are left, and, by the
// fleet's oracle, that commands reported as not run did not run.
package sshtest

import (
	"bytes"
	"context"
	"errors"
	"net"
	"sync"
	"testing"
	"time"

	xssh "golang.org/x/crypto/ssh"

	"shoal/fleet"
	"shoal/internal/ssh"
)

// Config is the configuration of a Dialer under test.
type Config struct {
	HostKeys   ssh.HostKeys
	Identities ssh.Identities
	Passwords  ssh.Passwords
	Agents     ssh.Agents
	Timeouts   ssh.Timeouts
}

// A Factory creates the Dialer under test.
type Factory func(t testing.TB, c Config) ssh.Dialer

// Run runs the suite.
func Run(t *testing.T, newDialer Factory) { Traits{}.Run(t, newDialer) }

// Run runs the suite for a client with these traits.
func (c Traits) Run(t *testing.T, newDialer Factory) {
	newDialer, skip, check := c.factory(t.Name(), newDialer)
	defer check(t)
	for _, group := range []struct {
		name string
		test func(*testing.T, Factory)
	}{
		{"commands", testCommands},
		{"faults", testFaults},
		{"dial", testDial},
		{"identities", testIdentities},
		{"hung agent", testHungAgent},
		{"passwords", testPasswords},
		{"host keys", testHostKeys},
		{"servers", testServers},
		{"alive", testAlive},
		{"stop", testStop},
		{"next", testNext},
		{"input", testInput},
		{"stream", testStream},
		{"pty", testPTY},
		{"agent", testAgent},
		{"contradictions", testContradictions},
	} {
		t.Run(group.name, func(t *testing.T) {
			skip(t)
			group.test(t, newDialer)
		})
	}
}

// patient returns deadlines that no healthy phase reaches on a busy machine, so that a test
// waits only for the deadline under test.
func patient() ssh.Timeouts {
	return ssh.Timeouts{
		Dial: time.Minute, Kex: time.Minute, Auth: time.Minute, Session: time.Minute, Drain: time.Minute,
	}
}

// short is a deadline that is meant to expire.
const short = 700 * time.Millisecond

// keys implements ssh.Identities with fixed signers.
type keys []xssh.Signer

func (k keys) Signers(context.Context, ssh.Target) ([]xssh.Signer, error) { return k, nil }

// exact trusts only the given keys, and records who authenticated us.
type exact struct {
	trusted []xssh.PublicKey
	learned bool // in this run

	mu       sync.Mutex
	checked  int
	accepted int
}

func (e *exact) Algorithms(ssh.Target) []string { return nil }

func (e *exact) Check(t ssh.Target, _ net.Addr, key xssh.PublicKey) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.checked++
	for _, k := range e.trusted {
		if bytes.Equal(k.Marshal(), key.Marshal()) {
			return nil
		}
	}
	return &fleet.Error{
		Host: t.Host.String(), Outcome: fleet.OutcomeNeverStarted, Phase: fleet.PhaseHostkey,
		Reason: fleet.ReasonHostkeyChanged, Err: errors.New("another key is known"),
	}
}

func (e *exact) Accepted(context.Context, ssh.Target, xssh.PublicKey) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.accepted++
	return nil
}

func (e *exact) AllowAgent(ssh.Target, xssh.PublicKey) error {
	if e.learned {
		return ssh.ErrLearned
	}
	return nil
}

// A report is everything known of one attempt at its end.
type report struct {
	fleet.End
	stdout, stderr []byte
	took           fleet.Durations
}

// A sink records a stream.
type sink struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (s *sink) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.buf.Write(p)
}

// with returns the target with these settings.
func with(t fleet.Target, s ssh.Settings) ssh.Target {
	return ssh.Target{Target: t, Endpoint: &ssh.Endpoint{Settings: &s}}
}

func withEnv(t fleet.Target, env ...string) ssh.Target { return with(t, ssh.Settings{Env: env}) }

func rekeying(t fleet.Target, bytes uint64) ssh.Target {
	return with(t, ssh.Settings{RekeyBytes: bytes})
}

// run makes one attempt and waits for its end.
func run(ctx context.Context, t testing.TB, d ssh.Dialer, target fleet.Target) report {
	t.Helper()
	return runAt(ctx, t, d, ssh.Target{Target: target})
}

// runAt is run for a target with an endpoint.
func runAt(ctx context.Context, t testing.TB, d ssh.Dialer, target ssh.Target) report {
	t.Helper()
	return runAttempt(ctx, t, d, &ssh.Attempt{Progress: new(ssh.Progress), Target: target})
}

func runAttempt(ctx context.Context, t testing.TB, d ssh.Dialer, a *ssh.Attempt) report {
	t.Helper()
	var stdout, stderr sink
	a.Stdout, a.Stderr = &stdout, &stderr
	target := a.Target
	done := make(chan fleet.End, 2)
	conn, err := d.Dial(ctx, a)
	if err != nil {
		if conn != nil {
			t.Errorf("Dial gave both a Conn and %v", err)
		}
		fe, ok := errors.AsType[*fleet.Error](err)
		if !ok {
			t.Fatalf("Dial's error is a %T, want *fleet.Error: %v", err, err)
		}
		if fe.Host != target.Host.String() || fe.Err == nil {
			t.Errorf("Dial's error names host %q with cause %v, want %q and a cause", fe.Host, fe.Err, target.Host)
		}
		done <- fe.End()
	} else {
		defer func() { _ = conn.Close() }()
		conn.Start(ctx, func(end fleet.End) { done <- end })
	}
	end := <-done
	if got := a.Timeline.Phase(); err == nil && got != end.Phase {
		t.Errorf("the timeline ends in phase %v, the attempt in %v", got, end.Phase)
	}
	return report{End: end, stdout: stdout.buf.Bytes(), stderr: stderr.buf.Bytes(), took: a.Timeline.Took()}
}

// want asserts how the attempt ended.
func (r report) want(t testing.TB, o fleet.Outcome, reason fleet.Reason, p fleet.Phase, flags fleet.Flags) {
	t.Helper()
	if r.Outcome != o || r.Reason != reason || r.Phase != p || r.Flags != flags {
		t.Errorf("ended %v(%s) in %v [%v], want %v(%s) in %v [%v]\ncause: %v",
			r.Outcome, r.Reason, r.Phase, r.Flags, o, reason, p, flags, r.Err)
	}
	if (r.Outcome.Ran() && r.Reason == fleet.ReasonNone) != (r.Err == nil) {
		t.Errorf("outcome %v comes with error %v", r.Outcome, r.Err)
	}
}

// ok asserts that the command exited with 0 and its output is complete.
func (r report) ok(t testing.TB) {
	t.Helper()
	r.want(t, fleet.OutcomeOK, fleet.ReasonNone, fleet.PhaseDrain, fleet.FlagExitKnown)
}
