package journal

import (
	"fmt"
	"time"

	"shoal/fleet"
)

// Progress is what the journal knows about a target.
type Progress uint8

// The values of Progress.
const (
	// NotStarted: no intent and no result. The command did not run.
	NotStarted Progress = iota
	// Intended: an intent and no later result. It is unknown whether the command ran;
	// while the run is running, the command may be running too.
	Intended
	// Done: the target has a result and no later intent.
	Done
)

func (s Progress) String() string {
	names := [...]string{"not_started", "intended", "done"}
	if int(s) >= len(names) {
		return fmt.Sprintf("invalid(%d)", uint8(s))
	}
	return names[s]
}

// An Intent records that a command was about to be sent.
type Intent struct {
	Attempt int
	At      time.Time

	seq int64
}

// An Entry is one target of a run with its intents and its result.
type Entry struct {
	// Result is the last result if the target is Done. Otherwise it follows from the
	// intents: unknown in phase exec for Intended; for NotStarted cancelled, or no
	// outcome while the run is running. Output is shared between entries and must not
	// be changed.
	fleet.Result
	// Standing is what is known about the target.
	Standing Progress
	// Intents are all intents of the target, in order.
	Intents []Intent

	command []byte
	out     refs
	seq     int64 // of the last result
}

// conclude sets Standing, and the result if none was written.
func (e *Entry) conclude(going bool) {
	switch {
	case len(e.Intents) > 0 && e.Intents[len(e.Intents)-1].seq > e.seq:
		e.Standing = Intended
	case e.seq > 0:
		e.Standing = Done
		return
	}
	target := e.Target
	e.Result, e.out = fleet.Result{Target: target}, refs{}
	switch {
	case e.Standing == Intended:
		last := e.Intents[len(e.Intents)-1]
		e.Attempt = last.Attempt
		e.End = fleet.End{Outcome: fleet.OutcomeUnknown, Reason: fleet.ReasonInterrupted, Phase: fleet.PhaseExec}
	case !going:
		e.End = fleet.End{Outcome: fleet.OutcomeCancelled, Reason: fleet.ReasonInterrupted}
	}
}
