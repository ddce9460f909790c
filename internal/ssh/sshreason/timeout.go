package sshreason

import (
	"context"
	"fmt"
	"time"

	"shoal/fleet"
	"shoal/internal/clock"
)

// LoginContext returns the context for everything that an attempt waits for on
// this side while it authenticates: the agent, its turn to try the password. It
// ends at by, an instant of c, for the cause late, which then counts as
// context.DeadlineExceeded. cancel has to be called however the attempt ends,
// because what it has borrowed is given back by that.
func LoginContext(
	ctx context.Context, c *clock.Clock, by time.Time, late error,
) (login context.Context, cancel context.CancelFunc) {
	return c.WithTimeout(ctx, by.Sub(c.Now()), overdue{late})
}

type overdue struct{ error }

func (overdue) Is(target error) bool { return target == context.DeadlineExceeded }

// CommandTimeoutError is the cause of an attempt whose command took longer than the limit and
// did not end at TERM, as far as one can see.
func CommandTimeoutError(limit time.Duration) error {
	return fmt.Errorf("the command timeout of %v passed; the command may still be running", limit)
}

// Terminated says of the end of a command that it came after the command timeout, and
// TERM with it.
func Terminated(end fleet.End, limit time.Duration) fleet.End {
	end.Reason = fleet.ReasonTimeout
	end.Err = fmt.Errorf("the command timeout of %v passed, and TERM was sent", limit)
	return end
}
