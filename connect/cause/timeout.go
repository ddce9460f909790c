package cause

import (
	"fmt"
	"time"

	"shoal/fleet"
)

// Overdue is the cause of an attempt whose command took longer than the limit and
// did not end at TERM, as far as one can see.
func Overdue(limit time.Duration) error {
	return fmt.Errorf("the command timeout of %v passed; the command may still be running", limit)
}

// Terminated says of the end of a command that it came after the command timeout, and
// TERM with it.
func Terminated(end fleet.End, limit time.Duration) fleet.End {
	end.Reason = fleet.ReasonTimeout
	end.Err = fmt.Errorf("the command timeout of %v passed, and TERM was sent", limit)
	return end
}
