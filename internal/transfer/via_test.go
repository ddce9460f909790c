package transfer

import (
	"context"
	"errors"
	"path/filepath"
	"testing"

	"shoal/fleet"
	"shoal/internal/ssh"
)

// ended is a Dialer whose attempts end so, one after the other.
type ended struct{ ends *[]fleet.End }

func (d ended) Dial(context.Context, *ssh.Attempt) (ssh.Conn, error) { return d, nil }

func (d ended) Start(_ context.Context, done func(fleet.End)) {
	end := (*d.ends)[0]
	*d.ends = (*d.ends)[1:]
	done(end)
}

func (d ended) StartNext(ctx context.Context, _ *ssh.Attempt, done func(fleet.End)) {
	d.Start(ctx, done)
}
func (ended) Close() error { return nil }

// The end of --via auto is that of the way which may have changed something.
func TestEitherEnd(t *testing.T) {
	t.Parallel()
	src := filepath.Join(t.TempDir(), "f")
	write(t, src, "f", 0o644)
	refused := fleet.End{Outcome: fleet.OutcomeRefused, Phase: fleet.PhaseRun, Reason: fleet.ReasonExecRefused, Err: errors.New("refused")}
	silent := fleet.Exited(fleet.PhaseRun, 0, "", true) // no receipt
	lost := fleet.End{Outcome: fleet.OutcomeUnknown, Phase: fleet.PhaseRun, Reason: fleet.ReasonConnReset, Err: errors.New("reset")}
	never := fleet.End{Outcome: fleet.OutcomeNeverStarted, Phase: fleet.PhaseRun, Reason: fleet.ReasonConnReset, Err: errors.New("reset")}
	for _, c := range []struct {
		first, second fleet.End
		outcome       fleet.Outcome
		reason        fleet.Reason
	}{
		{refused, lost, fleet.OutcomeUnknown, fleet.ReasonConnReset},
		{refused, silent, fleet.OutcomeUnknown, fleet.ReasonNoReceipt},
		{refused, never, fleet.OutcomeRefused, fleet.ReasonExecRefused},
		{refused, refused, fleet.OutcomeRefused, fleet.ReasonExecRefused},
		{silent, lost, fleet.OutcomeUnknown, fleet.ReasonConnReset},
		{silent, silent, fleet.OutcomeUnknown, fleet.ReasonNoReceipt},
		{silent, refused, fleet.OutcomeUnknown, fleet.ReasonNoReceipt},
	} {
		d := NewDialer(ended{&[]fleet.End{c.first, c.second}}, read(t, PushOptions{Via: ViaAuto}, src))
		conn, err := d.Dial(t.Context(), &ssh.Attempt{Progress: new(ssh.Progress), Target: ssh.Target{Target: fleet.Target{Command: "/tmp/f"}}})
		if err != nil {
			t.Fatal(err)
		}
		done := make(chan fleet.End, 1)
		conn.Start(t.Context(), func(end fleet.End) { done <- end })
		if end := <-done; end.Outcome != c.outcome || end.Reason != c.reason {
			t.Errorf("%v(%s), then %v(%s): %v(%s); want %v(%s)", c.first.Outcome, c.first.Reason, c.second.Outcome, c.second.Reason, end.Outcome, end.Reason, c.outcome, c.reason)
		}
	}
}
