package journal

import (
	"fmt"
	"time"

	"shoal/fleet"
)

// A Progress says what the journal knows of a target.
type Progress uint8

// The standings.
const (
	// NotStarted: no intent and no result. Its command did not run.
	NotStarted Progress = iota
	// Intended: an intent and no result since. Nobody knows whether its command
	// ran; while the run goes on, it may be running.
	Intended
	// Done: its last result stands, and no intent came after it.
	Done
)

func (s Progress) String() string {
	names := [...]string{"not_started", "intended", "done"}
	if int(s) >= len(names) {
		return fmt.Sprintf("invalid(%d)", uint8(s))
	}
	return names[s]
}

// An Intent is one time at which a command was about to be sent.
type Intent struct {
	Attempt int
	At      time.Time

	seq int64
}

// An Entry is one target of a run.
type Entry struct {
	// Result is the last result when the target is Done. Otherwise it says what
	// follows from the rest: unknown in phase exec for Intended; for NotStarted
	// cancelled, or no outcome at all while the run goes on. Output is shared
	// between entries and must not be changed.
	fleet.Result
	// Progress is what is known of the target.
	Standing Progress
	// Intents are all those of the target, in their order.
	Intents []Intent

	command []byte
	out     refs
	seq     int64 // of the last result
}

// conclude fills in the standing, and the result where none was written.
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
