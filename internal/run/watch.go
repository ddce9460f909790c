package run

import (
	"context"
	"crypto/rand"
	"fmt"
	"iter"
	"sync"
	"time"

	"shoal/fleet"
	"shoal/internal/journal"
)

// A Watch is a run whose command is started on its targets again at each tick. The start of a
// tick on a target is a command of its own: nothing of it is tried again once it may have run.
type Watch struct {
	ID string

	remote   Remote
	recorded *journal.Run // nil: no journal

	trim  sync.RWMutex // held for reading while results are recorded, for writing by Trim
	mu    sync.Mutex   // guards the following
	rows  int          // results that were written since the last Trim
	ticks int
}

// What a Watch keeps in the journal, beside the last answer of each target: the last ticks, and
// the last results of each target. Rows are removed when there are twice as many.
const (
	keepTicks   = 100_000
	keepResults = 20
)

// BeginWatch begins a watch with a schedule, such as "30s", and records it in j; nil keeps no journal.
func BeginWatch(ctx context.Context, j *journal.Journal, info journal.RunInfo, remote Remote, plan Plan, schedule string) (*Watch, error) {
	w := &Watch{ID: rand.Text(), remote: remote}
	if j == nil {
		return w, nil
	}
	info.Run, info.Options = "", remote.recorded(info.NoCommand)
	info.SetWatch(schedule)
	recorded, err := j.Begin(ctx, info, plan.Recorded())
	if err != nil {
		return nil, fmt.Errorf("writing the watch into the journal: %w", err)
	}
	w.ID, w.recorded = recorded.ID(), recorded
	return w, nil
}

// Tick starts the command on the targets of plan, which are among those of the watch, and yields
// their results. The tick is on disk before the first command is sent. A result is recorded if
// changed reports that it is other than the one before of its target. Errors are the tick's own;
// after one of the journal no further tick begins.
func (w *Watch) Tick(ctx context.Context, t journal.Tick, plan Plan, o Options, changed func(*fleet.Result) bool) iter.Seq2[fleet.Result, error] {
	return func(yield func(fleet.Result, error) bool) {
		w.trim.RLock()
		defer w.trim.RUnlock()
		if w.recorded != nil {
			if err := w.recorded.BeginTick(t); err != nil {
				yield(fleet.Result{}, fmt.Errorf("writing the tick into the journal: %w", err))
				return
			}
		}
		r, err := Begin(ctx, nil, journal.RunInfo{}, w.remote, plan)
		if err != nil {
			yield(fleet.Result{}, err)
			return
		}
		rows := 0
		for res, err := range r.Results(ctx, o) {
			if err == nil {
				t.Outcomes[res.Outcome]++
				if changed(&res) && w.recorded != nil {
					rows++
					if lost := w.recorded.TickResult(t.N, res); lost != nil {
						err = fmt.Errorf("writing a result into the journal: %w", lost)
					}
				}
			}
			if !yield(res, err) || err != nil {
				return
			}
		}
		w.mu.Lock()
		w.rows += rows
		w.ticks++
		w.mu.Unlock()
		if w.recorded == nil {
			return
		}
		t.Ended = time.Now()
		if err := w.recorded.EndTick(t); err != nil {
			yield(fleet.Result{}, fmt.Errorf("writing the end of the tick into the journal: %w", err))
		}
	}
}

// Trim removes what the journal need not keep, if that is much and no tick goes on.
func (w *Watch) Trim(ctx context.Context, targets int) error {
	w.mu.Lock()
	due := w.recorded != nil && (w.rows > keepResults*max(targets, 100) || w.ticks > keepTicks)
	w.mu.Unlock()
	if !due || !w.trim.TryLock() {
		return nil
	}
	defer w.trim.Unlock()
	w.mu.Lock()
	w.rows, w.ticks = 0, 0
	w.mu.Unlock()
	return w.recorded.Trim(ctx, keepTicks, keepResults)
}

// End records how the watch ended. Its error lists everything that the journal lacks.
func (w *Watch) End(how journal.Ending) error {
	if w.recorded == nil {
		return nil
	}
	return w.recorded.End(how)
}
