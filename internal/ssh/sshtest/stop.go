package sshtest

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
	"time"

	"shoal/fleet"
	"shoal/internal/ssh"
	"shoal/internal/sshdtest"
	"shoal/simfleet"
)

var errStop = errors.New("stopped by the test")

// testStop ends the context in each phase that can be delayed: a command that was not sent is
// cancelled, a sent one is unknown.
func testStop(t *testing.T, newDialer Factory) {
	for name, c := range map[string]struct {
		fault   simfleet.Fault
		outcome fleet.Outcome
		phase   fleet.Phase
	}{
		"banner":  {simfleet.FaultSilent, fleet.OutcomeCancelled, fleet.PhaseBanner},
		"kex":     {simfleet.FaultStallKex, fleet.OutcomeCancelled, fleet.PhaseKex},
		"auth":    {simfleet.FaultAuthStall, fleet.OutcomeCancelled, fleet.PhaseAuth},
		"session": {simfleet.FaultSessionStall, fleet.OutcomeCancelled, fleet.PhaseSession},
		"exec":    {simfleet.FaultExecStall, fleet.OutcomeUnknown, fleet.PhaseExec},
		"run":     {simfleet.FaultNone, fleet.OutcomeUnknown, fleet.PhaseRun},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := startFleet(t, simfleet.Options{Hosts: 1, Fault: func(int) simfleet.Fault { return c.fault }})
			s := simulated(f, 0)
			ctx, cancel := context.WithCancelCause(t.Context())
			a := &ssh.Attempt{Progress: new(ssh.Progress), Target: ssh.Target{Target: s.target("sleep 3600")}, Stdout: new(sink), Stderr: new(sink)}
			stopped := cancelIn(ctx, cancel, a, c.phase)
			end := attempt(ctx, s.dialer(t, newDialer, patient()), a)
			<-stopped
			want := c.outcome
			if want == fleet.OutcomeCancelled && a.Execution.Intended() {
				want = fleet.OutcomeNeverStarted // some write the intent before opening the channel
			}
			report{End: end}.want(t, want, fleet.ReasonInterrupted, c.phase, 0)
			if !errors.Is(end.Err, errStop) {
				t.Errorf("cause %v, want the context's", end.Err)
			}
		})
	}
	t.Run("before", func(t *testing.T) {
		s := simulated(startFleet(t, simfleet.Options{Hosts: 1}), 0)
		ctx, cancel := context.WithCancelCause(t.Context())
		cancel(errStop)
		r := run(ctx, t, s.dialer(t, newDialer, patient()), s.target("true"))
		if r.Outcome != fleet.OutcomeCancelled || r.Reason != fleet.ReasonInterrupted {
			t.Errorf("ended %v(%s), want cancelled(interrupted)", r.Outcome, r.Reason)
		}
	})
	t.Run("close", func(t *testing.T) { testClose(t, newDialer) })
	t.Run("interrupt", func(t *testing.T) { testInterrupt(t, newDialer) })
}

// testInterrupt ends the context of a running command that is to be told.
func testInterrupt(t *testing.T, newDialer Factory) {
	s := realOne("dropbear", sshdtest.Dropbear(t)) // OpenSSH takes no signal where it has logged root in
	log := filepath.Join(t.TempDir(), "log")
	ctx, cancel := context.WithCancelCause(t.Context())
	defer cancel(nil)
	a := &ssh.Attempt{
		Progress: new(ssh.Progress), Interrupt: true, Stdout: stopping(func() { cancel(errStop) }), Stderr: new(sink),
		Target: ssh.Target{Target: s.target("trap 'echo told >" + log + "; exit' TERM; echo on; " +
			"i=0; while [ $((i+=1)) -lt 100 ]; do sleep 0.1; done; echo nothing >" + log)},
	}
	end := attempt(ctx, s.dialer(t, newDialer, patient()), a)
	if end.Outcome != fleet.OutcomeSignalled && end.Outcome != fleet.OutcomeOK { // what it has told in time
		report{End: end}.want(t, fleet.OutcomeUnknown, fleet.ReasonInterrupted, fleet.PhaseRun, 0)
	}
	for {
		text, err := os.ReadFile(log)
		switch {
		case err != nil && !errors.Is(err, fs.ErrNotExist):
			t.Fatal(err)
		case len(text) == 0:
			pause()
			continue
		case string(text) != "told\n":
			t.Error("the command got no TERM")
		}
		return
	}
}

// stopping is called for each write.
type stopping func()

func (f stopping) Write(p []byte) (int, error) {
	f()
	return len(p), nil
}

// cancelIn ends the context once the attempt is in the phase, and in that of exec once the server
// may have received the command, which is a little later. It polls, because nothing else shows
// the phase.
func cancelIn(ctx context.Context, cancel context.CancelCauseFunc, a *ssh.Attempt, p fleet.Phase) <-chan struct{} {
	stopped := make(chan struct{})
	go func() {
		defer close(stopped)
		for (a.Timeline.Phase() != p || p == fleet.PhaseExec && !a.Execution.Left()) && ctx.Err() == nil {
			pause()
		}
		cancel(errStop)
	}()
	return stopped
}

func attempt(ctx context.Context, d ssh.Dialer, a *ssh.Attempt) fleet.End {
	conn, err := d.Dial(ctx, a)
	if err != nil {
		if fe, ok := errors.AsType[*fleet.Error](err); ok {
			return fe.End()
		}
		return fleet.End{Err: err}
	}
	defer func() { _ = conn.Close() }()
	done := make(chan fleet.End, 1)
	conn.Start(ctx, func(end fleet.End) { done <- end })
	return <-done
}

// testClose closes a connection under a running command: done must still be called.
func testClose(t *testing.T, newDialer Factory) {
	s := simulated(startFleet(t, simfleet.Options{Hosts: 1}), 0)
	a := &ssh.Attempt{Progress: new(ssh.Progress), Target: ssh.Target{Target: s.target("sleep 3600")}, Stdout: new(sink), Stderr: new(sink)}
	conn, err := s.dialer(t, newDialer, patient()).Dial(t.Context(), a)
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan fleet.End, 1)
	conn.Start(t.Context(), func(end fleet.End) { done <- end })
	for a.Timeline.Phase() != fleet.PhaseRun {
		pause()
	}
	_ = conn.Close()
	_ = conn.Close()
	if end := <-done; end.Outcome != fleet.OutcomeUnknown || end.Phase != fleet.PhaseRun {
		t.Errorf("ended %v in %v, want unknown in run", end.Outcome, end.Phase)
	}
}

// pause lets other goroutines run while a phase is polled.
func pause() { time.Sleep(time.Millisecond) }

func writeFile(t testing.TB, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}
