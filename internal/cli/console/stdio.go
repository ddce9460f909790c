// Package console has what every command needs from its process: the standard
// streams, messages, exit codes and prompts for secrets. Results and progress
// are in package display.
package console

import (
	"fmt"
	"io"
	"os"
	"time"

	"shoal/fleet"
	"shoal/internal/hint"
	"shoal/internal/ui"
	"shoal/record"
)

// Version is set by the linker; see the Makefile.
var Version = "unknown"

// Stdio are the streams of the process, or of a test.
type Stdio struct {
	In       io.Reader
	Out, Err io.Writer
}

// Complain prints an error. The text may quote a peer or a file, so it is made
// safe for a terminal.
func Complain(w io.Writer, err error) {
	Say(w, "%s", VisibleLines(err.Error()))
	if _, told := hint.Split(err.Error()); told == "" {
		if advice := hint.Of(err); advice != "" { // of a public package's own type
			Hint(w, VisibleLines(advice))
		}
	}
}

// Note prints a notice and, on a line of its own, its hint.
func Note(w io.Writer, text string) {
	what, advice := hint.Split(text)
	Say(w, "%s", ui.Visible(what))
	if advice != "" {
		Hint(w, ui.Visible(advice))
	}
}

// Hint prints advice, which is safe for a terminal, on a line of its own.
func Hint(w io.Writer, advice string) { write(w, "hint: "+advice+"\n") }

// VisibleLines makes text safe for a terminal and keeps its line breaks.
func VisibleLines(text string) string {
	return string(ui.AppendVisible(nil, []byte(text), ui.KeepNewline))
}

// Say prints a message.
func Say(w io.Writer, format string, args ...any) {
	write(w, fmt.Sprintf("shoal: "+format+"\n", args...))
}

// write prints lines, broken between words if w is a terminal. Write errors are
// ignored: there is nowhere left to report them.
func write(w io.Writer, text string) {
	_, _ = io.WriteString(w, ui.Wrap(text, ui.Inspect(w, os.Getenv).Columns()))
}

// SuspendFlush is how long to wait for messages to be written before the
// process stops itself.
const SuspendFlush = 100 * time.Millisecond

// Exit codes of the process; docs/outcomes.md has the same table.
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
			n += s.Outcomes[o] - s.LetGo[o]
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
