package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"time"

	"shoal"
	"shoal/fleet"
	"shoal/internal/clock"
	"shoal/internal/engine"
	"shoal/internal/ui"
	"shoal/record"
)

// An execution is one run, ready to begin.
type execution struct {
	opts    shoal.Options
	output  *outputFlags
	journal *journalFlags
	timeout time.Duration
	remote  *remoteFlags
	rerun   map[int]bool           // by index, the targets that may be started though they have been
	targets iter.Seq[fleet.Target] // planned, with their commands
	indexes []int                  // theirs, in ascending order; nil: they count from 0
	header  record.Header
	// begin opens the journal's run; nil begins a new one.
	begin func(ctx context.Context, j *journalFlags, h *record.Header, targets iter.Seq[fleet.Target]) (*keeper, error)
}

// execute runs and shows. Its error is an exitError once anything was started.
func execute(ctx context.Context, x execution, stdio Stdio) error {
	opts, h := x.opts, &x.header
	opts.Notice = func(text string) { say(stdio.Err, "%s", ui.Visible(text)) }
	opts.Engine.Clock = clock.New()
	defer opts.Engine.Clock.Close()
	dialer, closeDialer, err := opts.OpenDialer(ctx) // asks questions: before the progress line
	if err != nil {
		return err
	}
	defer closeDialer()
	carried := engine.DefaultFanout() // before connections are among the open files
	if x.begin == nil {
		x.begin = beginRun
	}
	kept, err := x.begin(ctx, x.journal, h, x.targets)
	if err != nil {
		return err
	}
	out, err := newDestinations(x.output, stdio, *h, x.indexes)
	if err != nil {
		return errors.Join(err, kept.abandon())
	}
	opts.Remote = x.remote.wrap(h.Run, kept.session())
	opts.Remote.Rerun = x.rerun
	patient := ctx // does not end with an abort
	ctx, stop := watchSignals(ctx, func(aborting bool) { sayStopping(out.stderr, aborting) })
	defer stop.end()
	out.onLost = stop.drain
	defer out.showing.abortWith(ctx)()
	helm := takeHelm(stdio.In, out, newCourse(opts.Engine, opts.Fanout, h.Targets, carried))
	defer helm.end()
	opts.Engine.Width, opts.Engine.Resized = helm.Width, helm.Resized
	if x.timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = opts.Engine.Clock.WithTimeout(ctx, x.timeout, fmt.Errorf("the run's timeout of %v passed", x.timeout))
		defer cancel()
	}
	opts.Dialer, opts.Drain, opts.Follow = dialer, stop.drained, out.follow
	opts.Notice = func(text string) { say(out.stderr, "%s", ui.Visible(text)) }
	opts.Engine.Intend = kept.intend()
	opts.Engine.Released = func(r engine.Release) {
		say(out.stderr, "%s commands were started together, within %v", ui.Count(int64(r.Targets)), r.Skew.Round(time.Microsecond))
	}
	defer releasing()()

	results := shoal.RunPlanned(ctx, opts, x.targets)
	tell := func(io.Writer) {}
	if x.remote.killOnCancel {
		k := newKiller(opts, opts.Remote)
		killing, cancel := stop.unlessHurried(patient)
		defer cancel()
		results = k.results(killing, results)
		tell = k.tell
	}
	failed := takeAll(results, out, kept, stop)
	tell(out.stderr)
	out.summary.Elapsed = max(0, time.Since(h.Started)) // of a resumed run, by the wall clock
	out.summary.Interrupted = stop.requested() || ctx.Err() != nil
	if failed != nil && out.summary.Targets() == 0 {
		return errors.Join(failed, out.abandon(), kept.abandon())
	}
	return finishRun(out, kept, failed, stop.patience(), h.Run)
}

// takeAll writes results down and then has them shown: a reader of our output who
// takes nothing must not keep them from the journal. Once one is lost, no command
// is started any more. Its error is the run's own.
func takeAll(results iter.Seq2[fleet.Result, error], out *destinations, kept *keeper, stop *stopper) error {
	for res, err := range results {
		if err != nil {
			return err
		}
		if err := kept.result(res); err != nil {
			out.lose(err)
		}
		if !out.take(res) {
			stop.drain()
		}
	}
	return nil
}

// finishRun closes what a run was written to and gives the exit code.
func finishRun(out *destinations, kept *keeper, failed error, p patience, run string) error {
	out.settle(p, run)
	code := exitCode(&out.summary, out.failure() == nil)
	if failed != nil {
		code = exitUnknown
	}
	if err := kept.end(out.summary.Interrupted, code, failed); err != nil {
		out.lose(err)
		code = max(code, exitUnknown)
	}
	if failed != nil {
		complain(out.stderr, failed)
	}
	out.close(p)
	if out.failure() != nil && code < exitUnknown {
		code = exitUnknown
	}
	if code != exitOK {
		return exitError(code)
	}
	return nil
}
