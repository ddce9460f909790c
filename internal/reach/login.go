package reach

import (
	"context"
	"errors"
	"fmt"

	"shoal/fleet"
	"shoal/internal/ssh"
)

// LoginOnly is an ssh.Dialer whose connections are closed in order once they are logged
// in. Nothing is executed on them; OutcomeOK means that the login succeeded.
type LoginOnly struct {
	ssh.Dialer
	Until fleet.Phase // see ssh.Attempt.Until
}

// Dial implements ssh.Dialer.
func (l LoginOnly) Dial(ctx context.Context, a *ssh.Attempt) (ssh.Conn, error) {
	held := *a
	held.Hold = true // no command is sent ahead of Start, which is never called
	held.Until = l.Until
	conn, err := l.Dialer.Dial(ctx, &held)
	if errors.Is(err, ssh.ErrUntil) {
		return reached{l.Until}, nil
	}
	if err != nil {
		return nil, err
	}
	return loggedIn{conn}, nil
}

type loggedIn struct{ ssh.Conn }

// Start implements ssh.Conn.
func (c loggedIn) Start(_ context.Context, done func(fleet.End)) {
	_ = c.Close()
	done(fleet.End{Outcome: fleet.OutcomeOK, Phase: fleet.PhaseAuth})
}

// StartNext implements ssh.Conn: no connection is kept.
func (c loggedIn) StartNext(_ context.Context, a *ssh.Attempt, done func(fleet.End)) {
	done(a.Fail(fleet.OutcomeNeverStarted, fleet.ReasonConnClosed, fmt.Errorf("the connection is only for logging in")).End())
}

// reached is the ssh.Conn of an attempt that has ended at the end of a phase.
type reached struct{ phase fleet.Phase }

// Start implements ssh.Conn.
func (r reached) Start(_ context.Context, done func(fleet.End)) {
	done(fleet.End{Outcome: fleet.OutcomeOK, Phase: r.phase})
}

// StartNext implements ssh.Conn: no connection is kept.
func (reached) StartNext(_ context.Context, a *ssh.Attempt, done func(fleet.End)) {
	done(a.Fail(fleet.OutcomeNeverStarted, fleet.ReasonConnClosed, errors.New("the connection has ended")).End())
}

// Close implements ssh.Conn.
func (reached) Close() error { return nil }
