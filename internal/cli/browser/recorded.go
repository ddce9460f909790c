// Package browser shows a run, recorded or live, in the browser of internal/browse: where the
// run comes from, and the terminal.
package browser

import (
	"cmp"
	"context"
	"iter"
	"math"
	"slices"
	"sync/atomic"
	"time"

	"shoal/fleet"
	"shoal/internal/browse"
	"shoal/internal/journal"
	"shoal/internal/runstate"
)

// A Recorded is a run in a journal, as a browse.Source. Another process may be working on it.
type Recorded struct {
	j    *journal.Journal
	info *journal.RunInfo
	seen []seen      // by index
	last int64       // the number of the last intent or result that Poll has read
	read bool        // Poll has read the whole run
	over atomic.Bool // nothing of the run changes any more
}

// seen is what Poll has told of a target.
type seen struct {
	index   int
	state   browse.State
	attempt int
	outcome fleet.Outcome
}

// NewRecorded returns the run with an identifier.
func NewRecorded(j *journal.Journal, info *journal.RunInfo) *Recorded {
	return &Recorded{j: j, info: info}
}

// Poll implements browse.Source. A journal does not say what a target in flight does, nor since
// when, but for the time of its intent.
func (r *Recorded) Poll(ctx context.Context) (browse.Update, error) {
	info, err := r.j.Run(ctx, r.info.Run)
	if err != nil {
		return browse.Update{}, err //nolint:wrapcheck // it says what it is about
	}
	running := info.State == journal.Running
	u := browse.Update{Over: !running}
	wasOver := r.over.Swap(!running)
	switch ended := info.Ended(); {
	case running:
		u.Elapsed = time.Since(info.Started)
	case !ended.IsZero():
		u.Elapsed = ended.Sub(info.Started)
	}
	after := r.last
	if !r.read || wasOver == running { // else what has no result has become another thing
		after = math.MaxInt64 // no rows
	}
	c, err := r.j.Changes(ctx, info.Run, after)
	if err != nil {
		return u, err //nolint:wrapcheck // it says what it is about
	}
	if after != math.MaxInt64 {
		for i := range c.Entries {
			r.take(&c.Entries[i], running, true, &u)
		}
		r.last = c.Last
		return u, nil
	}
	r.read = false
	for _, err := range r.j.Show(ctx, info.Run, func(e *journal.Entry) bool {
		r.take(e, running, false, &u)
		return false // its output is not needed
	}) {
		if err != nil {
			return u, err //nolint:wrapcheck // it says what it is about
		}
	}
	r.last, r.read = c.Last, true // what came meanwhile is read again
	return u, nil
}

// take adds the row of a target to u, unless nothing says that it has changed: a result may be
// another one, of a watch, and look the same.
func (r *Recorded) take(e *journal.Entry, running, changed bool, u *browse.Update) {
	row := recordedRow(e, running)
	now := seen{row.Index, row.State, e.Attempt, e.Outcome}
	at, known := slices.BinarySearchFunc(r.seen, now.index, func(s seen, index int) int { return cmp.Compare(s.index, index) })
	switch {
	case !known:
		r.seen = slices.Insert(r.seen, at, now)
	case r.seen[at] == now && !changed:
		return
	}
	r.seen[at] = now
	u.Rows = append(u.Rows, row)
}

func recordedRow(e *journal.Entry, running bool) browse.Row {
	switch {
	case running && e.Progress == journal.NotStarted:
		return browse.Row{Index: e.Target.Index, Host: e.Target.Host.String()}
	case running && e.Progress == journal.Intended:
		return browse.Row{
			Index: e.Target.Index, Host: e.Target.Host.String(), State: browse.InFlight, Activity: runstate.Running,
			Attempt: e.Attempt, Since: e.Intents[len(e.Intents)-1].At,
		}
	}
	return doneRow(&e.Result)
}

// doneRow is the row of a result.
func doneRow(r *fleet.Result) browse.Row {
	return browse.Row{
		Index: r.Target.Index, Host: r.Target.Host.String(), State: browse.Done, Attempt: r.Attempt, End: r.End,
		Took: r.Took.Total(), Size: r.Stdout.Size + r.Stderr.Size,
	}
}

// Output implements browse.Source.
func (r *Recorded) Output(ctx context.Context, indexes []int, limit int, have func(int, browse.Output)) error {
	for e, err := range r.j.ShowTargets(ctx, r.info.Run, indexes) {
		if err != nil {
			return err //nolint:wrapcheck // it says what it is about
		}
		o := browse.Output{Done: e.Progress == journal.Done || r.over.Load()}
		for s, out := range []fleet.Output{e.Stdout, e.Stderr} {
			o.Ends[s], o.Sizes[s] = out.Bytes, int64(len(out.Bytes))
			if limit >= 0 {
				o.Ends[s] = out.Bytes[max(len(out.Bytes)-limit, 0):]
			}
		}
		have(e.Target.Index, o)
	}
	return nil
}

// Results implements browse.Source.
func (r *Recorded) Results(ctx context.Context) iter.Seq2[fleet.Result, error] {
	return func(yield func(fleet.Result, error) bool) {
		running := false
		if info, err := r.j.Run(ctx, r.info.Run); err == nil {
			running = info.State == journal.Running
		}
		for e, err := range r.j.Show(ctx, r.info.Run, func(e *journal.Entry) bool { return !running || e.Progress == journal.Done }) {
			if !yield(e.Result, err) {
				return
			}
		}
	}
}
