package wrap_test

import (
	"context"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"shoal/fleet"
	"shoal/internal/remote/wrap"
	"shoal/internal/ssh"
)

// A killed is a Dialer whose commands are killed by a signal some time after they were sent, which is some time
// after the attempt began.
type killed struct {
	dial, runs time.Duration
	signal     string
}

func (k killed) Dial(_ context.Context, a *ssh.Attempt) (ssh.Conn, error) {
	time.Sleep(k.dial)
	return killedConn{k, a}, nil
}

type killedConn struct {
	killed
	attempt *ssh.Attempt
}

func (c killedConn) Start(_ context.Context, done func(fleet.End)) {
	if f := c.attempt.Intend(); f != nil {
		done(f.End())
		return
	}
	time.Sleep(c.runs)
	done(fleet.Exited(fleet.PhaseDrain, 0, c.signal, true))
}

func (c killedConn) StartNext(context.Context, *ssh.Attempt, func(fleet.End)) {}
func (c killedConn) Close() error                                             { return nil }

// Who kills a command within the grace that the time limit leaves it, or before, is not the time limit. How
// long it took to connect says nothing about it.
func TestKilledByAnother(t *testing.T) {
	const limit = 9500 * time.Millisecond // the far end rounds it up
	for _, c := range []struct {
		dial, runs time.Duration
		signal     string
		limit      bool
	}{
		{runs: 9 * time.Second, signal: "ALRM"},
		{runs: 9900 * time.Millisecond, signal: "ALRM"},
		{runs: 10 * time.Second, signal: "ALRM", limit: true},
		{dial: 20 * time.Second, runs: 9 * time.Second, signal: "ALRM"},
		{runs: 12 * time.Second, signal: "KILL"},
		{runs: 15 * time.Second, signal: "KILL", limit: true},
		{dial: 20 * time.Second, runs: 12 * time.Second, signal: "KILL"},
		{runs: time.Minute, signal: "TERM"},
	} {
		t.Run(fmt.Sprintf("%s after %v and %v", c.signal, c.dial, c.runs), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				d, err := wrap.New(killed{c.dial, c.runs, c.signal}, wrap.Options{Timeout: limit})
				if err != nil {
					t.Fatal(err)
				}
				a := &ssh.Attempt{Progress: new(ssh.Progress), Target: ssh.Target{Target: fleet.Target{Command: "x"}}}
				conn, err := d.Dial(t.Context(), a)
				if err != nil {
					t.Fatal(err)
				}
				conn.Start(t.Context(), func(end fleet.End) {
					if got := end.Reason == fleet.ReasonRemoteTimeout; got != c.limit || end.Outcome != fleet.OutcomeSignalled {
						t.Errorf("ended %v(%s): %v", end.Outcome, end.Reason, end.Err)
					}
				})
			})
		})
	}
}
