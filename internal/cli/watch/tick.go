package watch

import (
	"cmp"
	"context"
	"fmt"
	"iter"
	"os"
	"runtime/debug"
	"slices"
	"strings"
	"time"

	"shoal/fleet"
	"shoal/internal/cli/run"
	"shoal/internal/connect"
	"shoal/internal/engine"
	"shoal/internal/journal"
	"shoal/internal/output"
	shoalrun "shoal/internal/run"
	"shoal/internal/ssh"
	"shoal/internal/ui"
	"shoal/internal/watch"
	"shoal/record"
)

// A round is a tick while it goes on, and what came of it.
type round struct {
	watch.Due
	began, ended time.Time
	summary      record.Summary
	held         int
	dialled      map[fleet.DialReason]int
	events       []watch.Event
	confirmed    []watch.Event
	first        *output.Gathered // first answers; nil: there are none, or JSON is written
	without      int              // hosts that were left out
}

// tick starts the command everywhere, and shows what changed.
func (w *watcher) tick(ctx context.Context, d watch.Due) error {
	r := &round{Due: d, began: time.Now(), dialled: make(map[fleet.DialReason]int)}
	w.sayLate(r)
	plan, e, done, err := w.open(ctx)
	if err != nil {
		if d.N == 1 || ctx.Err() != nil {
			return err
		}
		w.view.say("tick %d was left out: %s", d.N, ui.Visible(err.Error()))
		return nil
	}
	defer done()
	t := journal.Tick{N: d.N, Started: r.began, Late: d.Late, Missed: d.Missed}
	of := &targets{plan: plan, ctx: ctx, stop: w.stop, began: r.began}
	if d.N > 1 {
		of.order = w.offsets
	}
	if w.flags.overlap {
		t.Without = w.claim(d.N, of)
		defer w.release(d.N)
		r.without = len(t.Without)
	}
	for _, err := range w.run.Tick(ctx, t, of, shoalrun.Options{Engine: e}, func(res *fleet.Result) bool { return w.take(r, res) }) {
		if err != nil {
			return err
		}
	}
	err = w.finish(ctx, r)
	if sum(r.dialled) >= manyDials {
		debug.FreeOSMemory()
	}
	return err
}

// manyDials is after how many dials of a tick memory is returned to the system: connecting needs far more
// than the ticks that follow, which may be too near to one another for it to be noticed otherwise.
const manyDials = 1000

func (w *watcher) sayLate(r *round) {
	if d := r.Slept; d > 0 {
		w.view.say("this machine slept for %s, or its clock was set forward", ui.Duration(d))
	} else if d < 0 {
		w.view.say("the clock was set back by %s", ui.Duration(-d))
	}
	if r.Missed > 0 && r.Slept <= 0 {
		w.view.say("%s missed before tick %d: the one before took too long", ui.CountOf(r.Missed, "tick was", "ticks were"), r.N)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.missed += r.Missed
	w.next = w.schedule.Next(r.began, r.Late)
}

// open opens what connecting needs: known_hosts is read for each tick.
func (w *watcher) open(ctx context.Context) (*connect.Plan, engine.Options, func(), error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	plan, done := w.plan, func() {}
	if w.opts.Hold == nil {
		var err error
		if plan, err = w.planOf(ctx); err != nil {
			return nil, engine.Options{}, nil, err
		}
		done = plan.Close
	} else {
		plan.Close() // what the tick before has opened
	}
	e, err := plan.Engine(ctx)
	if err != nil {
		done()
		return nil, engine.Options{}, nil, err
	}
	e.Notice = func(text string) { w.view.note(text) }
	return plan, e, done, nil
}

// claim marks the hosts that the tick starts, and returns those whose command of an earlier tick
// has not ended.
func (w *watcher) claim(n int, of *targets) (without []int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for t := range w.plan.Recorded() {
		if w.busy[t.Index] != 0 {
			without = append(without, t.Index)
			continue
		}
		w.busy[t.Index] = n
	}
	of.without = make(map[int]bool, len(without))
	for _, i := range without {
		of.without[i] = true
	}
	return without
}

// release frees the hosts of a tick that gave no result.
func (w *watcher) release(n int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for i, tick := range w.busy {
		if tick == n {
			delete(w.busy, i)
		}
	}
}

// take compares a result and reports whether it is to be recorded.
func (w *watcher) take(r *round, res *fleet.Result) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.busy[res.Target.Index] == r.N {
		delete(w.busy, res.Target.Index)
	}
	r.summary.Add(*res)
	switch c := res.Connection; {
	case c == nil:
	case c.Held:
		r.held++
	default:
		r.dialled[c.Why]++
	}
	if res.Reason == fleet.ReasonInterrupted { // by us: it says nothing about the host
		return res.Outcome != fleet.OutcomeCancelled
	}
	seen, confirmed, changed := w.compare.Add(res, time.Now())
	if seen.Kind != watch.None {
		r.events = append(r.events, seen)
		w.kinds[seen.Kind]++
	}
	if confirmed.Kind != watch.None && confirmed.Kind != watch.First {
		r.confirmed = append(r.confirmed, confirmed)
	}
	if seen.Kind == watch.First && !w.flags.json {
		if r.first == nil {
			r.first = output.NewGathered(output.GatheredOptions{
				Stdout: w.view.out, Stderr: w.view.errs, Groups: w.equal, Rest: w.rest(), Max: maxFirst,
			})
		}
		_ = r.first.Result(*res) // it is kept, and written by Close
	}
	return changed
}

// maxFirst is the number of groups of first answers that are shown.
const maxFirst = 50

// finish shows a tick that has ended, and tells whoever wants to know.
func (w *watcher) finish(ctx context.Context, r *round) error {
	w.shows.Lock() // ticks are shown in the order in which they ended
	w.mu.Lock()
	r.ended = time.Now()
	w.ticks++
	if w.last == nil || w.last.N < r.N {
		w.last = r
	}
	state := w.compare.State()
	if w.oldest = state.Oldest; state.Silent == 0 {
		w.oldest = time.Time{}
	}
	changes := w.compare.Changes(r.events)
	confirmed := w.compare.Changes(r.confirmed)
	if len(confirmed) > 0 {
		w.lastly = r.ended
	}
	switch w.flags.until.Value {
	case "ok":
		w.met = w.met || r.summary.Outcomes[fleet.OutcomeOK] == w.total
	case "same":
		w.met = w.met || state.Answers == 1 && state.Silent == 0 && r.summary.Targets() == w.total
	case "changed":
		w.met = w.met || len(confirmed) > 0
	}
	met := w.met
	metrics := output.WatchMetrics{
		Name: run.MetricsName(w.flags.metrics), Ticks: w.ticks, Missed: w.missed, Changes: w.kinds, Tick: &r.summary, Begun: r.began, Ended: r.ended, Late: r.Late, State: state,
		Held: r.held, Dialled: sum(r.dialled),
	}
	text := metrics.Text()
	w.mu.Unlock()
	err := w.show(r, changes, state)
	w.shows.Unlock()
	r.events, r.confirmed, r.first = nil, nil, nil // the last round stays
	if err != nil {
		return err
	}
	if w.flags.metrics != "" {
		run.WriteMetrics(w.flags.metrics, text, w.view)
	}
	if w.flags.onChange != "" && len(confirmed) > 0 {
		if err := w.tell(ctx, r, confirmed); err != nil {
			return err
		}
	}
	if met {
		w.end(nil)
	}
	if err := w.run.Trim(ctx, w.total); err != nil && ctx.Err() == nil {
		return err
	}
	return nil
}

// tell has the command of --on-change run.
func (w *watcher) tell(ctx context.Context, r *round, confirmed []watch.Change) error {
	text, err := w.changeJSON(r, confirmed)
	if err != nil {
		return err
	}
	w.hook.Lock()
	defer w.hook.Unlock()
	run.RunHook(ctx, "--on-change", w.flags.onChange, text, w.view)
	return nil
}

func sum(counts map[fleet.DialReason]int) (n int) {
	for _, c := range counts {
		n += c
	}
	return n
}

// show shows a tick, if there is something to tell. shows must be held.
func (w *watcher) show(r *round, changes []watch.Change, state watch.State) (err error) {
	w.view.print(func() {
		if w.flags.json {
			err = w.writeJSON(r, changes, state)
			return
		}
		if r.N > 1 && len(r.events) == 0 {
			return
		}
		out := w.view.out
		if _, err = fmt.Fprintf(out.W, "%s\n", w.heading(r)); err != nil {
			return
		}
		if r.first != nil {
			err = r.first.Close()
		}
		if err == nil {
			err = out.Changes(changes, r.ended, w.rest())
		}
	})
	if err != nil {
		return fmt.Errorf("showing a tick: %w", err)
	}
	return nil
}

// heading is the line above what changed in a tick.
func (w *watcher) heading(r *round) string {
	kinds := make(map[watch.Kind]int)
	for _, e := range r.events {
		kinds[e.Kind]++
	}
	text := fmt.Sprintf("%s tick %d: ", r.began.Local().Format(time.TimeOnly), r.N)
	if r.N == 1 && w.earlier != nil {
		text = fmt.Sprintf("%s tick 1, compared with the watch %s: ", r.began.Local().Format(time.TimeOnly), w.earlier.Run)
	}
	what := cmp.Or(counts(kinds), "nothing changed")
	switch first := kinds[watch.First]; {
	case r.N == 1 && w.earlier == nil:
		what = "first answers"
	case first > 0:
		what += ", " + ui.Count(int64(first)) + " without an earlier answer"
	}
	text += what + "; " + outcomes(&r.summary) + " in " + ui.Duration(r.ended.Sub(r.began))
	return text + lag(r) + connections(r)
}

// lag says how late a tick began, if that is worth a word.
func lag(r *round) string {
	if r.Late <= time.Second {
		return ""
	}
	return ", " + ui.Duration(r.Late) + " late"
}

// connections says how many connections were dialled though others are held, and why.
func connections(r *round) (text string) {
	for _, why := range []fleet.DialReason{
		fleet.DialLost, fleet.DialRefused, fleet.DialExpired, fleet.DialSettings, fleet.DialHostKey, fleet.DialLetGo, fleet.DialInUse,
	} {
		if n := r.dialled[why]; n > 0 {
			text += fmt.Sprintf("; %s dialled anew (%s)", ui.Count(int64(n)), strings.ReplaceAll(string(why), "_", " "))
		}
	}
	return text
}

// counts says how often what happened.
func counts(kinds map[watch.Kind]int) string {
	var text string
	for _, k := range []struct {
		kind      watch.Kind
		one, many string
	}{
		{watch.Changed, "changed", "changed"}, {watch.Stopped, "stopped answering", "stopped answering"}, {watch.Back, "answers again", "answer again"},
	} {
		if n := kinds[k.kind]; n > 0 {
			if text != "" {
				text += ", "
			}
			text += ui.CountOf(n, k.one, k.many)
		}
	}
	return text
}

// status is the line of a terminal between two ticks.
func (w *watcher) status(now time.Time) string {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.last == nil {
		text := fmt.Sprintf("the first tick of %s", ui.CountOf(w.total, "host", "hosts"))
		if left := w.next.Sub(now).Round(time.Second); left > 0 {
			text += fmt.Sprintf(" in %v", left)
		}
		return text
	}
	r := w.last
	text := fmt.Sprintf("tick %d: %s in %s", r.N, outcomes(&r.summary), ui.Duration(r.ended.Sub(r.began)))
	text += lag(r)
	if left := w.next.Sub(now).Round(time.Second); left > 0 {
		text += fmt.Sprintf("; next in %v", left)
	}
	if !w.oldest.IsZero() {
		text += fmt.Sprintf("; oldest answer %v ago", now.Sub(w.oldest).Round(time.Second))
	}
	if !w.lastly.IsZero() {
		text += "; last change " + w.lastly.Local().Format(time.TimeOnly)
	}
	return text + connections(r)
}

// onSignals ends the watch at the first signal and aborts at the second.
func (w *watcher) onSignals(ctx context.Context, aborting func()) (context.Context, func()) {
	return untilSignals(ctx, func(n int) {
		if n == 1 {
			w.end(nil)
			return
		}
		aborting()
	}, func(n int, sig os.Signal) {
		if n == 1 {
			w.view.say("%s: the watch ends with the tick that goes on; another one aborts", sig)
			return
		}
		w.view.say("aborting: commands that run are abandoned and may go on where they run")
	})
}

// targets are those of a tick. It implements run.Plan.
type targets struct {
	plan    *connect.Plan
	ctx     context.Context // of the tick
	stop    <-chan struct{} // closed: hosts that have not had their turn have none
	began   time.Time
	order   []turn // nil: all at once
	without map[int]bool
}

// A turn is the time of a host within each tick.
type turn struct {
	target fleet.Target
	after  time.Duration
}

// turnsOf returns the turns of a plan's targets, in their order.
func turnsOf(plan *connect.Plan, spread time.Duration) []turn {
	var all []turn
	for t := range plan.Recorded() {
		all = append(all, turn{t, watch.Offset(t.Host.String(), spread)})
	}
	slices.SortStableFunc(all, func(a, b turn) int { return cmp.Compare(a.after, b.after) })
	return all
}

// Targets implements run.Plan.
func (s *targets) Targets() iter.Seq[ssh.Target] {
	return func(yield func(ssh.Target) bool) {
		if s.order == nil {
			for t := range s.plan.Targets() {
				if !s.without[t.Index] && !yield(t) {
					return
				}
			}
			return
		}
		for _, turn := range s.order {
			if s.without[turn.target.Index] {
				continue
			}
			if !s.wait(turn.after-time.Since(s.began)) || !yield(s.plan.Planned(turn.target)) {
				return
			}
		}
	}
}

func (s *targets) wait(d time.Duration) bool {
	timer := time.NewTimer(max(d, 0))
	defer timer.Stop()
	select {
	case <-s.stop:
		return false
	case <-s.ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}

// Recorded implements run.Plan.
func (s *targets) Recorded() iter.Seq[fleet.Target] { return s.plan.Recorded() }

// Planned implements run.Plan.
func (s *targets) Planned(t fleet.Target) ssh.Target { return s.plan.Planned(t) }
