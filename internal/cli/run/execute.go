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
	"shoal/internal/clock"
	"shoal/internal/engine"
	"shoal/internal/run"
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
	Rerun   map[int]bool           // by index: targets that may be started a second time
	Targets iter.Seq[fleet.Target] // planned, with their commands
	Indexes []int                  // indexes of Targets in ascending order; nil: they count from 0
	Header  record.Header
	// Begin begins or resumes the run in the journal; nil begins a new run.
	Begin func(ctx context.Context, j *JournalFlags, h *record.Header, targets iter.Seq[fleet.Target]) (*Journaling, error)
}

// Execute runs the commands and shows the results. Once anything was started,
// its error is a [console.ExitError].
func Execute(ctx context.Context, x Execution, stdio console.Stdio) error {
	opts, h := x.Opts, &x.Header
	opts.Notice = func(text string) { console.Say(stdio.Err, "%s", ui.Visible(text)) }
	opts.Engine.Clock = clock.New()
	defer opts.Engine.Clock.Close()
	dialer, closeDialer, err := opts.OpenDialer(ctx) // may ask; before the progress line
	if err != nil {
		return err
	}
	defer closeDialer()
	carried := engine.DefaultFanout() // measured before connections use open files
	if x.Begin == nil {
		x.Begin = beginRun
	}
	kept, err := x.Begin(ctx, x.Journal, h, x.Targets)
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
	helm := takeControls(stdio.In, out, newWidthControl(opts.Engine, opts.Fanout, h.Targets, carried))
	defer helm.end()
	opts.Engine.Width, opts.Engine.Resized = helm.Width, helm.Resized
	if x.Timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = opts.Engine.Clock.WithTimeout(ctx, x.Timeout, fmt.Errorf("the run's timeout of %v passed", x.Timeout))
		defer cancel()
	}
	defer out.Showing.AbortWith(ctx)()
	opts.Dialer, opts.Drain, opts.Follow = dialer, stop.Drained, out.Follow
	opts.Notice = func(text string) { console.Say(out.Stderr, "%s", ui.Visible(text)) }
	opts.Engine.Intend = kept.intend()
	opts.Engine.Released = func(r engine.Release) {
		console.Say(out.Stderr, "%s commands were started together, within %v", ui.Count(int64(r.Targets)), r.Skew.Round(time.Microsecond))
	}
	defer run.FreeMemory()()

	results := shoal.RunPlanned(ctx, opts, x.Targets)
	tell := func(io.Writer) {}
	if x.Remote.killOnCancel {
		k := newKiller(opts.EngineOptions(dialer), opts.Remote)
		killing, cancel := stop.UnlessHurried(patient)
		defer cancel()
		results = k.results(killing, results)
		tell = k.tell
	}
	failed := takeAll(stillUnknown(results, x.Rerun), out, kept, stop)
	tell(out.Stderr)
	out.Summary.Elapsed = max(0, time.Since(h.Started)) // of a resumed run too, by the wall clock
	out.Summary.Interrupted = stop.Requested() || ctx.Err() != nil
	if failed != nil && out.Summary.Targets() == 0 {
		return errors.Join(failed, out.Abandon(), kept.Abandon())
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
			out.Lose(err)
		}
		if !out.Take(res) {
			stop.Drain()
		}
	}
	return nil
}

// finishRun closes the destinations of the run and returns its exit code as an
// error.
func finishRun(out *display.Results, kept *Journaling, failed error, p signals.Patience, run string) error {
	out.Settle(p, run)
	code := console.ExitCode(&out.Summary, out.Failure() == nil)
	if failed != nil {
		code = console.ExitUnknown
	}
	if err := kept.End(out.Summary.Interrupted, code, failed); err != nil {
		out.Lose(err)
		code = max(code, console.ExitUnknown)
	}
	if failed != nil {
		console.Complain(out.Stderr, failed)
	}
	out.Close(p)
	if out.Failure() != nil && code < console.ExitUnknown {
		code = console.ExitUnknown
	}
	if code != console.ExitOK {
		return console.ExitError(code)
	}
	return nil
}
