package run

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"sync"
	"time"

	"shoal/fleet"
	"shoal/hosts/expr"
	"shoal/internal/cli/console"
	"shoal/internal/cli/display"
	"shoal/internal/cli/signals"
	"shoal/internal/collector"
	"shoal/internal/connect"
	"shoal/internal/engine"
	"shoal/internal/hint"
	"shoal/internal/journal"
	"shoal/internal/run"
	"shoal/internal/ui"
	"shoal/record"
)

// An Execution is a run that is ready to start.
type Execution struct {
	Opts    connect.Options
	Output  *display.OutputFlags
	Journal *journal.Journal // closed by Execute; nil keeps none
	// StateDir is where the journal is, as --state-dir has it; "" means the usual place.
	StateDir string
	Timeout  time.Duration
	Plan     *connect.Plan    // of the targets, made with Opts
	Indexes  []int            // indexes of the targets in ascending order; nil: they count from 0
	Header   record.Header    // Execute sets Run
	Verbose  *display.Verbose // nil without -v
	// InputSent reports that commands get the standard input of this process.
	InputSent bool

	// Workers run the commands; nil: this process does.
	Workers *Workers

	// End is what is done when the run has ended; nil: nothing.
	End *EndFlags
	// Browse shows the run in a browser. Rerun runs shoal rerun with the arguments that a
	// person has chosen there, after the end. Kills says that cancelled commands are killed.
	Browse bool
	Rerun  func(ctx context.Context, args []string) error
	Kills  bool

	stopped string // why the run was interrupted, unless by a signal
	// Begin begins or resumes the run.
	Begin func(ctx context.Context) (*run.Run, error)
}

// Execute runs the commands and shows the results. Once anything was started,
// its error is a [console.ExitError].
func Execute(ctx context.Context, x Execution, stdio console.Stdio) error {
	again, err := execute(ctx, x, stdio)
	if again != nil {
		return x.Rerun(ctx, again)
	}
	return err
}

// execute is Execute, and returns the arguments of the rerun that a person has chosen; nil: none.
func execute(ctx context.Context, x Execution, stdio console.Stdio) (again []string, err error) {
	input := unsent{from: stdio.In, notify: stdio.Err, said: x.InputSent}
	if err := input.check(); err != nil {
		return nil, errors.Join(err, x.closeJournal())
	}
	x.Output.Named = x.Plan.Recorded()
	if err := x.Output.Check(); err != nil {
		return nil, errors.Join(err, x.closeJournal())
	}
	e, err := x.Plan.Engine(ctx) // may ask; before the progress line
	if err != nil {
		return nil, errors.Join(err, x.closeJournal())
	}
	carried := engine.DefaultFanout() // measured before connections use open files
	r, err := x.Begin(ctx)
	if err != nil {
		return nil, errors.Join(err, x.closeJournal())
	}
	x.Header.Run = r.ID
	var shown *browsing
	if x.Browse {
		if shown, err = x.newBrowsing(ctx); err != nil {
			return nil, errors.Join(err, r.Abandon(), x.closeJournal())
		}
	}
	x.Output.Brief = x.Journal != nil
	if x.Journal != nil {
		x.Output.Again = display.ShowAgain("last", x.StateDir)
	}
	out, err := display.New(x.Output, stdio, x.Header, x.Indexes)
	if err != nil {
		return nil, errors.Join(err, r.Abandon(), x.closeJournal(), shown.close())
	}
	out.State.Sending(r.Bytes())
	if x.Workers != nil {
		x.Workers.notify(out.Stderr)
	}
	x.Verbose.To(out.Stderr)     // may wait for a reader: before signals are caught
	letGo := make(chan struct{}) // closed when a person who follows has seen enough
	endFollow := sync.OnceFunc(func() {
		out.State.Stopping()
		close(letGo)
	})
	ctx, stop := signals.Watch(ctx, func(aborting bool) {
		out.State.Stopping()
		if x.Output.Follow { // nobody waits for the end of tail -f
			console.Say(out.Stderr, "the commands are let go")
			endFollow()
			return
		}
		sayStopping(out.Stderr, out.State, aborting)
	})
	defer stop.End()
	if x.Journal != nil {
		defer x.Journal.HurryWith(stop.Hurried())()
	}
	out.OnLost = stop.Drain
	helm := newControls(out.Stderr, newWidthControl(e, e.Fanout, x.Header.Targets, carried))
	if x.Output.Follow {
		helm.endFollow = endFollow
	}
	if shown != nil {
		shown.start(ctx, &x, stdio, out, helm, stop)
		e.Cancellable = true
		helm.take(nil, out)
	} else {
		helm.take(stdio.In, out)
	}
	defer helm.end()
	spooled := x.Output.Spool(&e)
	if spooled != nil {
		defer func() { _ = spooled.Close() }()
	}
	e.Width, e.Resized = helm.Width, helm.Resized
	if x.Timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = e.Clock.WithTimeout(ctx, x.Timeout, fmt.Errorf("the run's timeout of %v passed", x.Timeout))
		defer cancel()
	}
	defer out.Showing.AbortWith(ctx, stop.Hurried())()
	e.Drain, e.Follow = stop.Drained, out.Follow
	e.Drained = func() (fleet.Reason, error) {
		if stop.Requested() {
			return fleet.ReasonInterrupted, nil
		}
		return out.StoppedBy()
	}
	out.Watch(&e)
	e.Notice = func(text string) { console.Note(out.Stderr, text) }
	e.Released = func(r engine.Release) {
		console.Say(out.Stderr, "%s commands were started together, within %v", ui.Count(int64(r.Targets)), r.Skew.Round(time.Microsecond))
	}
	defer collector.FollowRun()()

	failed := takeAll(r.Results(ctx, run.Options{Engine: e, Asking: x.Workers.asking(), LetGo: letGo, Hurry: stop.Hurried(), Lost: func(err error) { out.Lose("journal", err) }}), out, stop, x.End)
	if spooled != nil {
		out.Cut = spooled.Full()
	}
	input.notify = out.Stderr
	_ = input.check() // what came since
	sayGivenUp(out.Stderr, r.GivenUp())
	sayMarkersLeft(out.Stderr, r)
	out.Summary.Elapsed = max(0, time.Since(x.Header.Started)) // of a resumed run too, by the wall clock
	out.Summary.Interrupted = stop.Requested() || ctx.Err() != nil
	if ctx.Err() != nil && !stop.Requested() {
		x.stopped = context.Cause(ctx).Error()
	}
	if failed != nil && out.Summary.Targets() == 0 {
		shown.cancel()
		err := errors.Join(failed, r.Abandon(), x.closeJournal(), out.Abandon(stop.Patience()))
		_, closed := shown.wait()
		return nil, errors.Join(err, closed)
	}
	stderr := stdio.Err
	if shown != nil {
		stderr = shown.aside
	}
	err = x.finish(ctx, out, r, failed, stop.Patience(), stderr)
	again, failed = shown.wait()
	if failed != nil {
		console.Complain(stdio.Err, failed)
	}
	return again, err
}

func (x *Execution) closeJournal() error {
	if x.Journal == nil {
		return nil
	}
	return x.Journal.Close()
}

// takeAll queues each result, which is recorded, for display. Once a result is lost,
// no command is started any more. The error is the run's own.
func takeAll(results iter.Seq2[fleet.Result, error], out *display.Results, stop *signals.Stopper, end *EndFlags) error {
	for res, err := range results {
		if err != nil {
			return err
		}
		end.take(&res)
		if !out.Take(res) {
			stop.Drain()
		}
	}
	return nil
}

func sayGivenUp(w io.Writer, hosts []fleet.Host) {
	if len(hosts) > 0 {
		console.Say(w, "given up, and may still run: %s", ui.Visible(expr.Fold(Names(hosts))))
	}
}

func sayMarkersLeft(w io.Writer, r *run.Run) {
	n, why := r.MarkersLeft()
	if n == 0 {
		return
	}
	short, _ := hint.Split(why.Error())
	what := "markers stay on their hosts"
	if n == 1 {
		what = "marker stays on its host"
	}
	console.Say(w, "%s %s until shoal sweep: %s", ui.Count(int64(n)), what, ui.Visible(short))
}

// finish ends the run in the journal, then waits for the reader of our output, who
// may block, and closes the destinations. It returns the exit code as an error.
func (x *Execution) finish(ctx context.Context, out *display.Results, r *run.Run, failed error, p signals.Patience, stderr io.Writer) error {
	lost := false // results are not in the journal, so that resume would be misled
	exitCode := func() int {
		if failed != nil || lost {
			return console.ExitUnknown
		}
		return console.ExitCode(&out.Summary, out.Failure() == nil && out.Cut == nil)
	}
	how := journal.Ending{Interrupted: out.Summary.Interrupted, ExitCode: exitCode(), Failure: x.stopped}
	if failed != nil {
		how.Failure = failed.Error()
	} else if out.Failure() != nil {
		_, why := out.StoppedBy()
		how.Failure, _ = hint.Split(why.Error())
	}
	if err := r.End(how); err != nil {
		lost = true
		out.Lose("journal's end", err)
	}
	out.Settle(p, x.Header.Run)
	if x.Journal != nil {
		out.Recorded = &display.Recorded{Run: r.ID, StateDir: x.StateDir, Marked: r.Marked()}
	}
	if failed != nil {
		console.Complain(out.Stderr, failed)
	}
	if out.Cut != nil {
		console.Complain(out.Stderr, hint.Wrap(fmt.Errorf("output was cut: %w", out.Cut), "--spool-budget sets how much is kept, --max-output how much of each stream"))
	}
	out.Close(p)
	code := exitCode()
	var err error
	if code != how.ExitCode {
		err = r.Amend(code)
	}
	if err = errors.Join(err, x.closeJournal()); err != nil {
		out.Complain(p, err)
		code = max(code, console.ExitUnknown)
	}
	x.End.ended(ctx, x.Header, &out.Summary, code, stderr)
	if code != console.ExitOK {
		return console.ExitError(code)
	}
	return nil
}
