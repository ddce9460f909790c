package shoal

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"iter"
	"maps"
	"slices"
	"strings"
	"time"

	"shoal/internal/engine"
	"shoal/internal/groups"
	"shoal/internal/hint"
	"shoal/internal/journal"
	"shoal/internal/plan"
	"shoal/internal/run"
	"shoal/record"
)

// A Journal records runs. An intent is on disk before its command is sent; a result is
// queued for the disk before it is yielded, and all are on disk when the run ends. After
// kill -9 or a power cut a target whose result was not on disk yet is one that may have
// run. Several processes may use one directory at the same time; the program shoal uses
// that of [DefaultStateDir].
//
// A run is named by its identifier, a unique part of it, "last", or "last-1".
type Journal struct{ journal *journal.Journal }

// OpenJournal opens the journal in a directory, and creates both if they are missing.
func OpenJournal(ctx context.Context, dir string) (*Journal, error) {
	j, err := journal.Open(ctx, dir, journal.Options{})
	if err != nil {
		return nil, err
	}
	return &Journal{j}, nil
}

// Close closes the journal. Runs that go on are left to be resumed.
func (j *Journal) Close() error { return j.journal.Close() }

// A RunInfo is what a journal has of a run.
type RunInfo struct {
	record.Header           // Run is the identifier
	Parent        string    // the run of which some targets were run again; "" means none
	Ended         time.Time // of the last process that worked on it; zero: it did not end
	Interrupted   bool      // that process stopped before all targets were done
	Running       bool      // a process is working on it
}

// Runs returns the runs, the one begun last first. A damaged one is an error that names
// it, and the others follow.
func (j *Journal) Runs(ctx context.Context) iter.Seq2[RunInfo, error] {
	return func(yield func(RunInfo, error) bool) {
		for info, err := range j.journal.Runs(ctx, journal.Filter{}) {
			r := RunInfo{Header: info.Header, Parent: info.Parent, Ended: info.Ended(), Running: info.State == journal.Running}
			if n := len(info.Sessions); n > 0 {
				r.Interrupted = info.Sessions[n-1].Interrupted
			}
			if !yield(r, err) {
				return
			}
		}
	}
}

// Results returns what happened on each target of a run, in the order of the targets.
func (j *Journal) Results(ctx context.Context, name string) iter.Seq2[Result, error] {
	return func(yield func(Result, error) bool) {
		id, err := j.journal.Resolve(ctx, name)
		if err != nil {
			yield(Result{}, err)
			return
		}
		for e, err := range j.journal.Show(ctx, id, journal.All) {
			if !yield(e.Result, err) {
				return
			}
		}
	}
}

// Resume goes on with a run that was interrupted, or whose process is gone: what is done
// stays done, what certainly did not run is run, and what may have run is left alone
// unless o.Resume says otherwise, as are targets that a rerun of the run has taken. Targets
// are reached as they were, and o.Remote is the run's own; give the other Options again. The
// journal keeps, for shoal resume too, which of them the run had, and what o says nothing of
// is an error unless o.Resume.IgnoreSettings is set. It yields the results of this process.
func (j *Journal) Resume(ctx context.Context, name string, o Options) iter.Seq2[Result, error] {
	return func(yield func(Result, error) bool) {
		e, err := run.ReadToResume(ctx, j.journal, name, run.ResumeOptions{RerunUnknown: o.Resume.RerunUnknown, PastBrake: o.Resume.PastBrake, PastRerun: o.Resume.PastRerun})
		var remote run.Remote
		if err == nil {
			remote, err = run.RemoteOf(e.Info)
			o.secret(remote.Become)
		}
		defer func() { wipe(remote) }()
		if err == nil {
			remote, err = o.input(ctx, remote)
		}
		closeFiles := func() {}
		if err == nil {
			closeFiles, err = run.Reopen(ctx, e.Info, &remote)
		}
		defer closeFiles()
		j.again(ctx, e, err, o, func(w *work) (*run.Run, error) { return e.Resume(ctx, j.journal, remote, w.plan) })(yield)
	}
}

// Rerun makes a new run of the same command on those targets of a run that are which:
// words such as "failed", "never-started", "differs" or "unknown", separated by commas, as
// for shoal rerun. Of the Options that the run had see [Journal.Resume].
func (j *Journal) Rerun(ctx context.Context, name, which string, o Options) iter.Seq2[Result, error] {
	return func(yield func(Result, error) bool) {
		id, err := j.journal.Resolve(ctx, name)
		var selector journal.Selector
		if err == nil {
			selector, err = run.ParseSelection(ctx, j.journal, id, which, groups.Options{})
		}
		var e *run.Earlier
		if err == nil {
			e, err = run.ReadToRerun(ctx, j.journal, id, selector)
		}
		remote := o.Remote.remote()
		defer func() { wipe(remote) }()
		if err == nil {
			remote, err = o.input(ctx, remote)
		}
		closeFiles := func() {}
		if err == nil {
			closeFiles, err = run.Reopen(ctx, e.Info, &remote)
		}
		defer closeFiles()
		j.again(ctx, e, err, o, func(w *work) (*run.Run, error) {
			return e.Rerun(ctx, j.journal, w.info(e.Info.Command), remote, w.plan)
		})(yield)
	}
}

// again runs the targets of e, unless reading them failed.
func (j *Journal) again(ctx context.Context, e *run.Earlier, err error, o Options, begin func(*work) (*run.Run, error)) iter.Seq2[Result, error] {
	return func(yield func(Result, error) bool) {
		o, invalid := o.in(j)
		if err == nil {
			err = errors.Join(invalid, o.ignored(e.Info))
		}
		if err != nil {
			yield(Result{}, err)
			return
		}
		for _, text := range []string{e.LeftOut(), e.Taken()} {
			if text != "" && o.Notice != nil {
				o.Notice(text)
			}
		}
		if len(e.Targets) == 0 {
			return
		}
		w, err := o.open(ctx, slices.Values(e.Targets), nil, plan.Listed(e.Targets))
		if err != nil {
			yield(Result{}, err)
			return
		}
		defer w.close()
		r, err := begin(w)
		w.results(ctx, r, err)(yield)
	}
}

// in returns o with j as its journal, and an error if they are invalid.
func (o Options) in(j *Journal) (Options, error) {
	if o.Journal != nil && o.Journal != j {
		return o, errors.New("Options.Journal is not the journal that has the run; nil takes that one")
	}
	o.Journal = j
	return o, o.Validate()
}

// ignored returns an error if the run was made with flags that o says nothing of.
func (o Options) ignored(info *journal.RunInfo) error {
	if info.Settings == nil || o.Resume.IgnoreSettings {
		return nil
	}
	missing, given := maps.Clone(info.Settings.Flags), o.flags()
	maps.DeleteFunc(missing, func(name string, _ []string) bool { return given[name] != nil })
	if len(missing) == 0 {
		return nil
	}
	return hint.Wrap(fmt.Errorf("the run %s was made with --%s, which these Options do not take over", info.Run,
		strings.Join(slices.Sorted(maps.Keys(missing)), ", --")),
		"set what is to hold of it, and Resume.IgnoreSettings; or use shoal resume or rerun")
}

// Resolve asks the hosts what became of the commands of which it is unknown, and of
// detached ones that may not have started. What has not started by now never will. It
// yields one result for each: where it is still unknown, Err says why. The run must have
// left markers; see [Remote].
func (j *Journal) Resolve(ctx context.Context, name string, o Options) iter.Seq2[Result, error] {
	return j.inquire(ctx, name, o, run.ReadMarked, run.Unresolved, func(q *run.Inquiry, yield func(Result, error) bool) bool {
		for r, err := range q.Resolve(ctx) {
			if !yield(r.Result, err) || err != nil {
				return false
			}
		}
		return true
	})
}

// Collect fetches exit status and output of the commands of a run with Remote.Detach
// that have ended since, and output of which the journal has only a part if o can keep
// more of it. It yields one result for each: where it is not known yet, or could not be
// fetched, Err says why. wait asks again, 1 s to 30 s apart, until every command has ended that can.
// When all results were taken, those that the journal has whole are removed from the
// hosts.
func (j *Journal) Collect(ctx context.Context, name string, wait bool, o Options) iter.Seq2[Result, error] {
	c := run.CollectOptions{MaxOutput: cmp.Or(o.Limits.MaxOutput, engine.DefaultMaxOutput), Wait: wait, Stop: o.Drain}
	return j.inquire(ctx, name, o, run.ReadDetached, c.Selects(nil), func(q *run.Inquiry, yield func(Result, error) bool) bool {
		c := q.Collect(c)
		for res, err := range c.Results(ctx) {
			if !yield(res, err) || err != nil {
				return false
			}
		}
		for _, p := range c.Pending() {
			if p.Result.Err = p.Err; p.Err == nil {
				p.Result.Err = errors.New(run.StateWords(p.State))
			}
			if !yield(p.Result, nil) {
				return false
			}
		}
		if _, err := c.Forget(ctx); err != nil {
			return yield(Result{}, err)
		}
		return true
	})
}

// inquire asks about the selected targets of a run, which read reads. ask reports whether yield may be
// called again.
func (j *Journal) inquire(ctx context.Context, name string, o Options,
	read func(context.Context, *journal.Journal, string) (*journal.RunInfo, run.Remote, error), sel journal.Selector,
	ask func(*run.Inquiry, func(Result, error) bool) bool,
) iter.Seq2[Result, error] {
	return func(yield func(Result, error) bool) {
		o, err := o.in(j)
		var info *journal.RunInfo
		if err == nil {
			info, _, err = read(ctx, j.journal, name)
		}
		var q *run.Inquiry
		if err == nil {
			q, err = run.Inquire(ctx, j.journal, info, sel)
		}
		if err != nil {
			yield(Result{}, err)
			return
		}
		open := true
		if len(q.Targets) > 0 {
			w, err := o.open(ctx, slices.Values(q.Targets), nil, plan.Listed(q.Targets))
			if err != nil {
				yield(Result{}, errors.Join(err, q.End(0)))
				return
			}
			defer w.close()
			o.secret(q.Become())
			defer wipe(run.Remote{Become: q.Become()})
			if err := q.Reach(w.engine, w.plan.Targets()); err != nil {
				yield(Result{}, errors.Join(err, q.End(0)))
				return
			}
			open = ask(q, yield)
		}
		if err := q.End(0); err != nil && open {
			yield(Result{}, err)
		}
	}
}
