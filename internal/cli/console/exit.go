package console

import (
	"fmt"

	"shoal/fleet"
	"shoal/record"
)

// Exit codes of the process; README.md has the same table.
const (
	ExitOK          = 0   // every target is OK
	ExitFailed      = 1   // a command failed or was ended by a signal
	ExitUsage       = 2   // flags, inventory or keys are wrong; nothing was started
	ExitNotStarted  = 3   // a target was never started, or its server refused
	ExitUnknown     = 4   // an outcome is unknown, or a result could not be written
	ExitInterrupted = 130 // the run was stopped; ExitUnknown if its journal lacks results
)

// ExitError is the exit code of the process as an error. Everything has been
// printed already.
type ExitError int

// Error implements error.
func (e ExitError) Error() string { return fmt.Sprintf("exit code %d", int(e)) }

// ExitCode maps outcomes to the exit code: the highest that applies, but an
// interruption takes precedence. written is false if a result could not be
// written to a file or the terminal.
func ExitCode(s *record.Summary, written bool) int {
	count := func(outcomes ...fleet.Outcome) (n int) {
		for _, o := range outcomes {
			n += s.Outcomes[o]
		}
		return n
	}
	switch {
	case s.Interrupted:
		return ExitInterrupted
	case !written, count(fleet.OutcomeUnknown) > 0:
		return ExitUnknown
	case count(fleet.OutcomeNeverStarted, fleet.OutcomeRefused, fleet.OutcomeCancelled) > 0:
		return ExitNotStarted
	case count(fleet.OutcomeFailed, fleet.OutcomeSignalled) > 0:
		return ExitFailed
	}
	return ExitOK
}
