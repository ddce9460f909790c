package sshreason

import (
	"context"
	"fmt"
	"time"

	"shoal/fleet"
	"shoal/internal/clock"
	"shoal/internal/hint"
	"shoal/internal/ssh"
)

// LoginContext returns the context for all local waits of an attempt during
// authentication: for the agent, and for its turn to try the password. It ends at
// by, an instant of c, with the cause late, which also matches
// context.DeadlineExceeded. cancel must be called however the attempt ends: it
// releases what was borrowed with the context.
func LoginContext(
	ctx context.Context, c *clock.Clock, by time.Time, late error,
) (login context.Context, cancel context.CancelFunc) {
	return c.WithTimeout(ctx, by.Sub(c.Now()), overdue{late})
}

type overdue struct{ error }

func (overdue) Is(target error) bool { return target == context.DeadlineExceeded }

// CommandTimeoutError returns the error for a command that exceeded the limit and
// did not visibly end after TERM.
func CommandTimeoutError(limit time.Duration) error {
	return hint.Wrap(fmt.Errorf("the command timeout of %v passed, TERM was sent, and no end of the command came within %v; it may still be running",
		limit, ssh.TermGrace),
		"OpenSSH passes no signals on to commands of root; --remote-timeout has the host stop the command, --kill-on-cancel kills it there")
}

// Terminated returns end with the reason of a command that ended after the command
// timeout, when TERM had been sent.
func Terminated(end fleet.End, limit time.Duration) fleet.End {
	end.Reason = fleet.ReasonTimeout
	end.Err = fmt.Errorf("the command timeout of %v passed, and TERM was sent", limit)
	return end
}
