package shoal

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"sync"
	"time"

	"shoal/fleet"
	"shoal/internal/groups"
	"shoal/internal/journal"
	"shoal/internal/mask"
	"shoal/internal/placeholder"
	"shoal/internal/run"
	"shoal/internal/watch"
	"shoal/record"
)

// WatchOptions say when [Watch] starts its command, and what counts as a change.
type WatchOptions struct {
	// Every is the time from the beginning of a tick to that of the next. It is required. A tick that
	// is due while the one before goes on begins late, or never if the next one is due too.
	Every time.Duration
	// Jitter delays each tick but the first by a random time of up to this, less than Every.
	Jitter time.Duration
	// Ticks is the number of ticks. 0 means no limit.
	Ticks int
	// Mask compares answers without times, process numbers and other noise, as --mask auto does. The
	// names of hosts count no more than these.
	Mask bool
	// Confirm is the number of ticks in a row for which something must hold before it is one of
	// Tick.Changes. 0 means 1.
	Confirm int
	// Hold says how long connections are held, unless the Options are those of a [Pool].
	Hold Hold
}

// A ChangeKind is what happened at a host.
type ChangeKind string

// The kinds of changes.
const (
	ChangeFirst   ChangeKind = "first"   // its first result, with nothing to compare it with
	ChangeAnswer  ChangeKind = "changed" // another answer than the one before, which may be long ago
	ChangeStopped ChangeKind = "stopped" // it gives no answer any more
	ChangeBack    ChangeKind = "back"    // it answers again, as it did before it stopped
)

// A Change is what happened at a host.
type Change struct {
	Kind   ChangeKind
	Result Result // as it is now
	// Before is the output of the answer before, by stream. There is none for ChangeFirst, and where it
	// was not kept, because all different answers together are too large.
	Before [fleet.NumStreams][]byte
	// Since is when the answer before was given last; zero for ChangeFirst.
	Since time.Time
}

// A Tick is one start of the command on all targets.
type Tick struct {
	N            int // from 1
	Began, Ended time.Time
	Late         time.Duration // after it was due
	Missed       int           // ticks since the one before that never began
	Summary      record.Summary
	Held         int // targets that had a held connection
	// Changes are what happened at hosts, in the order of their results.
	Changes []Change
	// Answers is the number of different answers of all targets, and Silent that of targets
	// which gave none last.
	Answers, Silent int
	// Oldest is when the target answered last whose last answer is the oldest; zero if none has.
	Oldest time.Time
}

// Watch runs the command on every target again and again, over connections that are held from one tick
// to the next, and yields each tick when it has ended: what happened, against the ticks before. Not
// answering is no other answer: a host that stops answering, also because a time limit ended its command,
// and comes back with its old answer has not changed. No command runs twice in a tick.
//
// known_hosts and ssh_config are read for each tick, and the iteration over targets is repeated. With a
// Journal the watch is one run, which the program shoal shows as its own (shoal show, shoal web);
// it keeps equal answers once.
//
// An error is the watch's own, and comes last; a host's failure is a result. Closing Options.Drain
// ends the watch after the tick that goes on; ending ctx, or leaving the loop, abandons its commands. Of o,
// Rollout, Output and Resume must not be set, nor of its Remote what leaves markers.
func Watch(ctx context.Context, targets iter.Seq[Target], command string, w WatchOptions, o Options) iter.Seq2[Tick, error] {
	return func(yield func(Tick, error) bool) {
		t := &ticker{targets: targets, command: command, opts: o, schedule: watch.Schedule{Every: w.Every, Jitter: w.Jitter, Ticks: w.Ticks}}
		err := errors.Join(o.Validate(), o.watches(), t.schedule.Validate())
		if w.Confirm < 0 {
			err = errors.Join(err, errors.New("WatchOptions.Confirm is negative; 0 means 1"))
		}
		if err == nil {
			err = t.watch(ctx, w, yield)
		}
		if err != nil {
			yield(Tick{}, err)
		}
	}
}

// watches returns an error for options that Watch does not have.
func (o Options) watches() error {
	r, b := o.Remote, o.Rollout
	if o.Output != nil || o.Resume != (ResumeOptions{}) || r.Once || r.KillOnCancel || r.Detach ||
		len(b.Stages) > 0 || b.MaxFail != nil || b.MaxUnknown != nil || b.FailFast || b.Barrier {
		return errors.New("a watch has no Rollout, Output and Resume, and no Remote.Once, KillOnCancel and Detach")
	}
	return nil
}

// A ticker is a watch that goes on.
type ticker struct {
	targets  iter.Seq[Target]
	command  string
	opts     Options
	schedule watch.Schedule

	template *placeholder.Template
	remote   run.Remote
	compare  *watch.Comparer
	run      *run.Watch // nil before the first tick
}

// watch returns the watch's own failure, unless yield has stopped it.
func (t *ticker) watch(ctx context.Context, w WatchOptions, yield func(Tick, error) bool) (err error) {
	if t.opts.pool == nil {
		pool, err := NewPool(t.opts, w.Hold)
		if err != nil {
			return err
		}
		defer func() { _ = pool.Close() }()
		t.opts = pool.opts
	}
	if t.template, err = placeholder.Parse(t.command, placeholder.Unquoted); err != nil {
		return fmt.Errorf("reading the command: %w", err)
	}
	if t.remote, err = t.opts.input(ctx, t.opts.Remote.remote()); err != nil {
		return err
	}
	defer wipe(t.remote)
	equal := groups.Options{}
	if w.Mask {
		equal = groups.Options{Masker: mask.New(mask.All), Auto: true}
	}
	t.compare = watch.New(watch.Options{Groups: equal, Confirm: w.Confirm})

	ctx, cancel := context.WithCancel(ctx)
	var scheduling sync.WaitGroup
	defer scheduling.Wait()
	defer cancel()
	ticks := make(chan ended) // sent and closed by the goroutine below; unbuffered: a tick waits until it is taken
	scheduling.Go(func() {
		defer close(ticks)
		failed := false
		t.schedule.Run(ctx, t.opts.Drain, func(d watch.Due) {
			if failed {
				return
			}
			var e ended
			e.tick, e.err = t.tick(ctx, d)
			failed = e.err != nil
			select {
			case ticks <- e:
			case <-ctx.Done():
			}
		})
	})
	left := false
	for e := range ticks {
		if err = e.err; err != nil {
			break
		}
		if left = !yield(e.tick, nil); left {
			break
		}
	}
	how := journal.Ending{Interrupted: left || ctx.Err() != nil}
	cancel()
	scheduling.Wait()
	if err != nil {
		how.Failure = err.Error()
	}
	if t.run != nil {
		err = errors.Join(err, t.run.End(how))
	}
	if left {
		if err != nil {
			t.opts.notice(err.Error())
		}
		return nil
	}
	return err
}

// ended is a tick that has ended, or could not.
type ended struct {
	tick Tick
	err  error
}

// tick starts the command everywhere, and returns what came of it.
func (t *ticker) tick(ctx context.Context, d watch.Due) (tick Tick, err error) {
	w, err := t.opts.open(ctx, t.targets, t.template, t.opts.entry())
	if err != nil {
		return tick, err
	}
	defer w.close()
	if t.run == nil {
		var j *journal.Journal
		if t.opts.Journal != nil {
			j = t.opts.Journal.journal
		}
		if t.run, err = run.BeginWatch(ctx, j, w.info(t.command), t.remote, w.plan, t.schedule.String()); err != nil {
			return tick, err
		}
	}
	tick = Tick{N: d.N, Began: time.Now(), Late: d.Late, Missed: d.Missed}
	at := journal.Tick{N: d.N, Started: tick.Began, Late: d.Late, Missed: d.Missed}
	for _, err := range t.run.Tick(ctx, at, w.plan, run.Options{Engine: w.engine}, func(r *Result) bool { return t.take(&tick, r) }) {
		if err != nil {
			return tick, err
		}
	}
	state := t.compare.State()
	tick.Ended, tick.Answers, tick.Silent, tick.Oldest = time.Now(), state.Answers, state.Silent, state.Oldest
	if ctx.Err() != nil {
		return tick, nil
	}
	return tick, t.run.Trim(ctx, w.engine.Targets)
}

// take compares a result, and reports whether it is to be recorded.
func (t *ticker) take(tick *Tick, r *Result) bool {
	tick.Summary.Add(*r)
	if c := r.Connection; c != nil && c.Held {
		tick.Held++
	}
	if r.Reason == fleet.ReasonInterrupted { // by us: it says nothing about the host
		return r.Outcome != fleet.OutcomeCancelled
	}
	_, e, changed := t.compare.Add(r, time.Now())
	if e.Kind != watch.None {
		c := Change{Kind: kindsOfChange[e.Kind], Result: *r, Since: e.Since}
		if e.Kind != watch.First && e.Before != nil && e.Before.Kept {
			c.Before = e.Before.Outputs
		}
		tick.Changes = append(tick.Changes, c)
	}
	return changed
}

var kindsOfChange = map[watch.Kind]ChangeKind{
	watch.First: ChangeFirst, watch.Changed: ChangeAnswer, watch.Stopped: ChangeStopped, watch.Back: ChangeBack,
}
