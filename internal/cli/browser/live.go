package browser

import (
	"context"
	"iter"
	"sync"
	"time"

	"shoal/fleet"
	"shoal/internal/browse"
	"shoal/internal/runstate"
)

// A Live is a run of this process, as a browse.Source and as the sink of its results. What has
// ended is read from the journal, so that no output is kept here.
type Live struct {
	state   *runstate.State
	aside   *Aside
	names   func(yield func(fleet.Target) bool)
	journal *Recorded

	flying map[int]browse.Row // what Poll has told to be in flight; its own

	mu       sync.Mutex
	results  []browse.Row // that Poll has not told
	finished bool
}

// NewLive returns a run that begins now. names are its targets; journal reads the journal that
// it is recorded in; aside has the messages.
func NewLive(names iter.Seq[fleet.Target], journal *Recorded, aside *Aside) *Live {
	return &Live{names: names, journal: journal, aside: aside, flying: make(map[int]browse.Row)}
}

// Watch sets the state that shows what is in flight. It is called before Poll.
func (l *Live) Watch(s *runstate.State) { l.state = s }

// Result implements output.Sink.
func (l *Live) Result(r fleet.Result) error {
	row := doneRow(&r)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.results = append(l.results, row)
	return nil
}

// Close implements output.Sink.
func (l *Live) Close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.finished = true
	return nil
}

// Poll implements browse.Source.
func (l *Live) Poll(context.Context) (browse.Update, error) {
	var u browse.Update
	if l.names != nil {
		for t := range l.names {
			u.Rows = append(u.Rows, browse.Row{Index: t.Index, Host: t.Host.String()})
		}
		l.names = nil
	}
	now := time.Now()
	flying := l.state.InFlight(now) // before the results: what has ended meanwhile is in these
	l.mu.Lock()
	results := l.results
	l.results, u.Over = nil, l.finished
	l.mu.Unlock()

	ended := make(map[int]bool, len(results))
	for i := range results {
		ended[results[i].Index] = true
	}
	still := make(map[int]browse.Row, len(flying))
	for i := range flying {
		f := &flying[i]
		if ended[f.Target.Index] {
			continue
		}
		row := flyingRow(f, now)
		before, known := l.flying[row.Index]
		if known && before.Attempt == row.Attempt {
			row.Since = before.Since // not exactly the same each time
			if quiet := row.LastByte.Sub(before.LastByte); f.Output && quiet.Abs() < time.Millisecond {
				row.LastByte = before.LastByte
			}
		}
		still[row.Index] = row
		if !known || before != row {
			u.Rows = append(u.Rows, row)
		}
	}
	for index, row := range l.flying {
		switch _, is := still[index]; {
		case is || ended[index]:
		case row.Activity != runstate.Storing: // its result is on its way, or there will be another attempt
			row.Activity = runstate.Storing
			still[index] = row
			u.Rows = append(u.Rows, row)
		default:
			u.Rows = append(u.Rows, browse.Row{Index: index, Host: row.Host, Attempt: row.Attempt})
		}
	}
	l.flying = still
	u.Rows = append(u.Rows, results...)
	at := l.state.Now(now)
	u.Elapsed, u.Stopping = at.Elapsed, at.Stopping
	u.Notices = l.aside.Notices()
	return u, nil
}

func flyingRow(f *runstate.InFlight, now time.Time) browse.Row {
	row := browse.Row{
		Index: f.Target.Index, Host: f.Target.Host.String(), State: browse.InFlight, Activity: f.Activity,
		Attempt: f.Attempt, Since: now.Add(-f.Age), Slow: f.Slow,
	}
	row.Phase = f.Phase
	if f.Output {
		row.LastByte = now.Add(-f.Quiet)
	}
	return row
}

// Output implements browse.Source.
func (l *Live) Output(ctx context.Context, indexes []int, limit int, have func(int, browse.Output)) error {
	var ended []int
	for _, index := range indexes {
		most := limit
		if most < 0 {
			most = maxWhole
		}
		ends, kept, ok := l.state.Tail(index, most)
		if !ok {
			ended = append(ended, index)
			continue
		}
		have(index, browse.Output{Ends: ends, Sizes: kept})
	}
	if ended == nil {
		return nil
	}
	return l.journal.Output(ctx, ended, limit, func(index int, o browse.Output) {
		if o.Done { // otherwise the journal does not have the result yet
			have(index, o)
		}
	})
}

// maxWhole is how much of an output that still grows a pager gets, in bytes: it is copied.
const maxWhole = 64 << 20

// Results implements browse.Source.
func (l *Live) Results(ctx context.Context) iter.Seq2[fleet.Result, error] {
	return l.journal.Results(ctx)
}
