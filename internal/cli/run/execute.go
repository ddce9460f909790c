package run

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"time"

	"shoal"
	"shoal/fleet"
	"shoal/internal/cli/console"
	"shoal/internal/cli/display"
	"shoal/internal/cli/signals"
	"shoal/internal/engine"
	"shoal/internal/ui"
	"shoal/record"
)

// An Execution is a run that is ready to start.
type Execution struct {
	Opts    shoal.Options
	Output  *display.OutputFlags
	Journal *JournalFlags
	Timeout time.Duration
	Remote  *RemoteFlags
	Rerun   map[int]bool // by index: targets that may be started a second time
	Plan    *shoal.Plan  // of the targets, made with Opts
	Indexes []int        // indexes of the targets in ascending order; nil: they count from 0
	Header  record.Header
	// Begin begins or resumes the run in the journal; nil begins a new run.
	Begin func(ctx context.Context, j *JournalFlags, h *record.Header, targets iter.Seq[fleet.Target]) (*Journaling, error)
}

// Execute runs the commands and shows the results. Once anything was started,
// its error is a [console.ExitError].
func Execute(ctx context.Context, x Execution, stdio console.Stdio) error {
	opts, h := x.Opts, &x.Header
	input := unsent{from: stdio.In, notify: stdio.Err}
	if err := input.check(); err != nil {
		return err
	}
	if _, err := x.Plan.Open(ctx); err != nil { // may ask; before the progress line
		return err
	}
	carried := engine.DefaultFanout() // measured before connections use open files
	if x.Begin == nil {
		x.Begin = beginRun
	}
	kept, err := x.Begin(ctx, x.Journal, h, x.Plan.Recorded())
	if err != nil {
		return err
	}
	out, err := display.New(x.Output, stdio, *h, x.Indexes)
	if err != nil {
		return errors.Join(err, kept.Abandon())
	}
	opts.Remote = x.Remote.Wrap(h.Run, kept.session())
	opts.Remote.Rerun = x.Rerun
	patient := ctx // does not end with an abort
	ctx, stop := signals.Watch(ctx, func(aborting bool) { sayStopping(out.Stderr, aborting) })
	defer stop.End()
	out.OnLost = stop.Drain
	helm := takeControls(stdio.In, out, newWidthControl(opts.Engine, opts.Engine.Fanout, h.Targets, carried))
	defer helm.end()
	opts.Engine.Width, opts.Engine.Resized = helm.Width, helm.Resized
	if x.Timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = x.Plan.Clock().WithTimeout(ctx, x.Timeout, fmt.Errorf("the run's timeout of %v passed", x.Timeout))
		defer cancel()
	}
	defer out.Showing.AbortWith(ctx)()
	opts.Engine.Drain, opts.Engine.Follow = stop.Drained, out.Follow
	opts.Engine.Notice = func(text string) { console.Say(out.Stderr, "%s", ui.Visible(text)) }
	opts.Engine.Intend = kept.intend()
	opts.Engine.Released = func(r engine.Release) {
		console.Say(out.Stderr, "%s commands were started together, within %v", ui.Count(int64(r.Targets)), r.Skew.Round(time.Microsecond))
	}
	defer releasing()()

	results := x.Plan.Run(ctx, opts.Engine, opts.Remote)
	tell := func(io.Writer) {}
	if x.Remote.killOnCancel {
		k := newKiller(x.Plan, opts.Remote)
		killing, cancel := stop.UnlessHurried(patient)
		defer cancel()
		results = k.results(killing, results)
		tell = k.tell
	}
	failed := takeAll(stillUnknown(results, x.Rerun), out, kept, stop)
	tell(out.Stderr)
	input.notify = out.Stderr
	_ = input.check()                                   // what came since
	out.Summary.Elapsed = max(0, time.Since(h.Started)) // of a resumed run too, by the wall clock
	out.Summary.Interrupted = stop.Requested() || ctx.Err() != nil
	if failed != nil && out.Summary.Targets() == 0 {
		return errors.Join(failed, kept.Abandon(), out.Abandon(stop.Patience()))
	}
	return finishRun(out, kept, failed, stop.Patience(), h.Run)
}

// stillUnknown passes results on. A target in again may have run in an earlier
// session: that this session did not run it does not prove that it never ran.
func stillUnknown(results iter.Seq2[fleet.Result, error], again map[int]bool) iter.Seq2[fleet.Result, error] {
	return func(yield func(fleet.Result, error) bool) {
		for res, err := range results {
			if err == nil && again[res.Target.Index] && res.Outcome.DidNotRun() {
				res.Outcome = fleet.OutcomeUnknown
				res.Err = fmt.Errorf("it may have run in an earlier session; this one did not start it: %w", cmp.Or(res.Err, errNotStarted))
			}
			if !yield(res, err) {
				return
			}
		}
	}
}

var errNotStarted = errors.New("no reason was given")

// takeAll records each result and then queues it for display, so that a reader
// of our output that blocks does not delay the journal. Once a result is lost,
// no command is started any more. The error is the run's own.
func takeAll(results iter.Seq2[fleet.Result, error], out *display.Results, kept *Journaling, stop *signals.Stopper) error {
	for res, err := range results {
		if err != nil {
			return err
		}
		if err := kept.Result(res); err != nil {
			out.Lose("journal", err)
		}
		if !out.Take(res) {
			stop.Drain()
		}
	}
	return nil
}

// finishRun ends the run in the journal, then waits for the reader of our output,
// who may block, and closes the destinations. It returns the exit code as an error.
func finishRun(out *display.Results, kept *Journaling, failed error, p signals.Patience, run string) error {
	exitCode := func() int {
		if failed != nil {
			return console.ExitUnknown
		}
		return console.ExitCode(&out.Summary, out.Failure() == nil)
	}
	recorded := exitCode()
	if err := kept.endRun(out.Summary.Interrupted, recorded, failed); err != nil {
		out.Lose("journal's end", err)
	}
	out.Settle(p, run)
	if failed != nil {
		console.Complain(out.Stderr, failed)
	}
	out.Close(p)
	code := exitCode()
	if err := kept.amend(recorded, code); err != nil {
		out.Complain(p, err)
		code = max(code, console.ExitUnknown)
	}
	if code != console.ExitOK {
		return console.ExitError(code)
	}
	return nil
}
