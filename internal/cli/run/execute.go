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
	g, err := x.begin(ctx, stdio)
	if err != nil {
		return nil, err
	}
	return g.toEnd(ctx)
}

// A begun is an Execution that has begun, with what shows it.
type begun struct {
	*Execution

	run     *run.Run
	engine  engine.Options
	carried engine.Fanout // by this machine
	out     *display.Results
	shown   *browsing // nil without Browse
	input   unsent
	stdio   console.Stdio
}

// begin opens what the run needs, and begins it. After an error the journal is closed.
func (x *Execution) begin(ctx context.Context, stdio console.Stdio) (_ *begun, err error) {
	defer func() {
		if err != nil {
			err = errors.Join(err, x.closeJournal())
		}
	}()
	g := &begun{Execution: x, input: unsent{from: stdio.In, notify: stdio.Err, said: x.InputSent}, stdio: stdio}
	if err := g.input.check(); err != nil {
		return nil, err
	}
	x.Output.Named = x.Plan.Recorded()
	if err := x.Output.Check(); err != nil {
		return nil, err
	}
	if g.engine, err = x.Plan.Engine(ctx); err != nil { // may ask; before the progress line
		return nil, err
	}
	g.carried = engine.DefaultFanout() // measured before connections use open files
	if g.run, err = x.Begin(ctx); err != nil {
		return nil, err
	}
	x.Header.Run = g.run.ID
	if x.Browse {
		if g.shown, err = x.newBrowsing(ctx); err != nil {
			return nil, errors.Join(err, g.run.Abandon())
		}
	}
	x.Output.Brief = x.Journal != nil
	if x.Journal != nil {
		x.Output.Again = display.ShowAgain("last", x.StateDir)
	}
	if g.out, err = display.New(x.Output, stdio, x.Header, x.Indexes); err != nil {
		return nil, errors.Join(err, g.run.Abandon(), g.shown.close())
	}
	return g, nil
}

// toEnd runs the commands, and returns the arguments of the rerun that a person has chosen.
func (g *begun) toEnd(ctx context.Context) (again []string, err error) {
	out := g.out
	out.State.Sending(g.run.Bytes())
	if g.Workers != nil {
		g.Workers.notify(out.Stderr)
	}
	g.Verbose.To(out.Stderr)     // may wait for a reader: before signals are caught
	letGo := make(chan struct{}) // closed when a person who follows has seen enough
	endFollow := sync.OnceFunc(func() {
		out.State.Stopping()
		close(letGo)
	})
	ctx, stop := signals.Watch(ctx, func(aborting bool) {
		out.State.Stopping()
		if g.Output.Follow { // nobody waits for the end of tail -f
			console.Say(out.Stderr, "the commands are let go")
			endFollow()
			return
		}
		sayStopping(out.Stderr, out.State, aborting)
	})
	defer stop.End()
	if g.Journal != nil {
		defer g.Journal.HurryWith(stop.Hurried())()
	}
	out.OnLost = stop.Drain
	helm := g.steer(ctx, stop, endFollow)
	defer helm.end()
	spooled := g.Output.Spool(&g.engine)
	if spooled != nil {
		defer func() { _ = spooled.Close() }()
	}
	if g.Timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = g.engine.Clock.WithTimeout(ctx, g.Timeout, fmt.Errorf("the run's timeout of %v passed", g.Timeout))
		defer cancel()
	}
	defer out.Showing.AbortWith(ctx, stop.Hurried())()
	g.tell(stop)
	defer collector.FollowRun()()

	failed := takeAll(g.run.Results(ctx, run.Options{
		Engine: g.engine, Asking: g.Workers.asking(), LetGo: letGo, Hurry: stop.Hurried(), Lost: func(err error) { out.Lose("journal", err) },
	}), out, stop, g.End)
	if spooled != nil {
		out.Cut = spooled.Full()
	}
	return g.conclude(ctx, failed, stop)
}

// steer lets keys and signals change the width, or the browser, until end is called.
func (g *begun) steer(ctx context.Context, stop *signals.Stopper, endFollow func()) *controls {
	e := &g.engine
	helm := newControls(g.out.Stderr, newWidthControl(*e, e.Fanout, g.Header.Targets, g.carried))
	if g.Output.Follow {
		helm.endFollow = endFollow
	}
	if g.shown != nil {
		g.shown.start(ctx, g.Execution, g.stdio, g.out, helm, stop)
		e.Cancellable = true
		helm.take(nil, g.out)
	} else {
		helm.take(g.stdio.In, g.out)
	}
	e.Width, e.Resized = helm.Width, helm.Resized
	return helm
}

// tell has the engine tell what it does, and stop when it is asked to.
func (g *begun) tell(stop *signals.Stopper) {
	e, out := &g.engine, g.out
	e.Drain, e.Follow = stop.Drained, out.Follow
	e.Drained = func() (fleet.Reason, error) {
		if stop.Requested() {
			return fleet.ReasonInterrupted, nil
		}
		return out.StoppedBy()
	}
	out.Watch(e)
	e.Notice = func(text string) { console.Note(out.Stderr, text) }
	e.Released = func(r engine.Release) {
		console.Say(out.Stderr, "%s commands were started together, within %v", ui.Count(int64(r.Targets)), r.Skew.Round(time.Microsecond))
	}
}

// conclude says what came of the run, and ends it. failed is the run's own error.
func (g *begun) conclude(ctx context.Context, failed error, stop *signals.Stopper) (again []string, err error) {
	out := g.out
	g.input.notify = out.Stderr
	_ = g.input.check() // what came since
	sayGivenUp(out.Stderr, g.run.GivenUp())
	sayMarkersLeft(out.Stderr, g.run)
	out.Summary.Elapsed = max(0, time.Since(g.Header.Started)) // of a resumed run too, by the wall clock
	out.Summary.Interrupted = stop.Requested() || ctx.Err() != nil
	if ctx.Err() != nil && !stop.Requested() {
		g.stopped = context.Cause(ctx).Error()
	}
	if failed != nil && out.Summary.Targets() == 0 {
		g.shown.cancel()
		err := errors.Join(failed, g.run.Abandon(), g.closeJournal(), out.Abandon(stop.Patience()))
		_, closed := g.shown.wait()
		return nil, errors.Join(err, closed)
	}
	stderr := g.stdio.Err
	if g.shown != nil {
		stderr = g.shown.aside
	}
	err = g.finish(ctx, out, g.run, failed, stop.Patience(), stderr)
	again, failed = g.shown.wait()
	if failed != nil {
		console.Complain(g.stdio.Err, failed)
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
