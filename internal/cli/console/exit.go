package console

import (
	"fmt"

	"shoal/fleet"
	"shoal/record"
)

// The exit codes of the process. README.md has the same table.
const (
	ExitOK          = 0   // every target ok
	ExitFailed      = 1   // a command failed or was ended by a signal
	ExitUsage       = 2   // nothing was started: flags, inventory, keys
	ExitNotStarted  = 3   // some target never started, or its server refused
	ExitUnknown     = 4   // some outcome is unknown, or a result could not be written
	ExitInterrupted = 130 // the run was stopped
)

// An exitError ends the process with its code; everything was said already.
type ExitError int

func (e ExitError) Error() string { return fmt.Sprintf("exit code %d", int(e)) }

// ExitCode is the one place where outcomes become an exit code: the highest
// that applies, an interruption before all others. written is false when a
// result was lost on its way to a file or the terminal.
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
