// Package browse is a full-screen browser of a run, live or recorded: hosts by state, cause,
// group and text, one host's output, groups and their diffs.
//
//	Source ─▸ Update: rows that changed ─▸ Model ─▸ frames of what is visible
//	       ─▸ Output, Results: when looked at        └─▸ Controls: cancel, width, stop
//
// The model keeps one [Row] for each target and no output but what is on the screen, so that
// its memory depends on the number of targets. It asks its [Source] at most five times a second,
// and less often where that takes longer, so that it takes no more than some per cent of a
// processor. All text of hosts is made visible (package ui) before it is drawn.
package browse

import (
	"context"
	"iter"
	"time"

	"shoal/fleet"
	"shoal/internal/runstate"
)

// A Source is where a run comes from. Its methods are safe for concurrent use, except Poll.
type Source interface {
	// Poll returns what has changed since the last call, the first time all targets.
	Poll(ctx context.Context) (Update, error)
	// Output calls have for each of the targets whose output can be read now, with the end of
	// each stream: at most limit bytes, or all if limit is negative. The bytes must not be
	// changed, and are valid until have returns.
	Output(ctx context.Context, indexes []int, limit int, have func(index int, o Output)) error
	// Results returns the results so far, each with its output.
	Results(ctx context.Context) iter.Seq2[fleet.Result, error]
}

// An Update is what changed of a run.
type Update struct {
	// Rows are the targets that changed, in any order.
	Rows []Row
	// Over means that nothing will change any more.
	Over bool
	// Stopping means that nothing more is started.
	Stopping bool
	// Elapsed is the time since the beginning of the run.
	Elapsed time.Duration
	// Notices are messages for the person, each one line, made visible.
	Notices []string
}

// A State is how far a target has come.
type State uint8

// The states.
const (
	Waiting State = iota
	InFlight
	Done
)

// A Row is what is known of one target.
type Row struct {
	Index int    // its Target.Index
	Host  string // its Target.Host.String(), which is not visible yet
	State State
	// Activity and Phase are those of what is InFlight.
	Activity runstate.Activity
	Attempt  int       // from 1; 0: none was made
	Since    time.Time // when the attempt in flight began
	LastByte time.Time // when its last output came; zero: none has
	Slow     bool
	// End and Took are those of what is Done; Phase also is that of what is InFlight.
	fleet.End
	Took time.Duration
	// Size is that of both streams of what is Done, in bytes.
	Size int64
}

// An Output is the output of one target.
type Output struct {
	Ends  [fleet.NumStreams][]byte // of each stream
	Sizes [fleet.NumStreams]int64  // of each stream as a whole, in bytes
	Done  bool                     // it does not change any more
}

// Controls are what a person can do to a run that goes on. Its methods must not block.
type Controls interface {
	// Width changes how many targets are worked on at once: '+' doubles it, '-' halves it,
	// 'p' pauses and goes on.
	Width(key byte)
	// Cancel gives up one target; false means that it is not in flight.
	Cancel(index int) bool
	// Interrupt is Ctrl-C.
	Interrupt()
}
