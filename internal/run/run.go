// Package run is the life of a run: begin it or resume it, record each intent before
// its command is sent and each result before anybody sees it, kill what was given up,
// end it, and later ask the hosts what became of its commands.
//
//	Begin, Earlier.Rerun, Earlier.Resume ─▸ Run.Results ─▸ Run.End
//	Inquire ─▸ Inquiry.Resolve or Inquiry.Collect ─▸ Inquiry.End
//
// A run needs planned targets, the engine's options with an open Dialer, and a
// journal if it is to be recorded. It knows no flags and no terminal. Closing the
// engine's Drain stops the starting of commands; ending the context abandons those
// that run.
package run

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"iter"
	"net/netip"
	"sync"

	"shoal/fleet"
	"shoal/internal/engine"
	"shoal/internal/journal"
	"shoal/internal/remote/wrap"
	"shoal/internal/ssh"
	"shoal/internal/transfer"
)

// A Plan is the planned targets of a run, with their commands.
type Plan interface {
	// Targets returns the targets, the same each time.
	Targets() iter.Seq[ssh.Target]
	// Recorded returns them without what only connecting needs.
	Recorded() iter.Seq[fleet.Target]
	// Planned returns the target with t's index.
	Planned(t fleet.Target) ssh.Target
}

// A Run is a run that this process works on.
type Run struct {
	// ID names the run; in a journal it is the run's identifier.
	ID string

	plan     Plan
	remote   Remote
	again    map[int]bool // by index: targets that may have run and may start again
	recorded *journal.Run // nil: no journal
	givenUp  []fleet.Host

	markersLeft int
	markersWhy  error
}

// Options are how this process works on a run.
type Options struct {
	// Engine are the settings of the fan-out, with its Dialer. Intend is set by
	// Results.
	Engine engine.Options
	// Asking connects for questions about commands that were given up, in place of Engine.Dialer, which
	// workers stand behind then. nil means Engine.Dialer.
	Asking ssh.Dialer
	// Hurry, when closed, ends the killing of commands that were given up. nil means
	// never.
	Hurry <-chan struct{}
	// LetGo, when closed, ends the run because a person has seen enough of its output: nothing
	// more is started, and commands that run are let go, with fleet.ReasonLetGo. nil means
	// never.
	LetGo <-chan struct{}
	// Lost is called with the first error of the journal. Nothing is started any more
	// then, and results still come. nil disables it.
	Lost func(error)
}

// Begin begins a run and records it in j; nil keeps no journal.
func Begin(ctx context.Context, j *journal.Journal, info journal.RunInfo, remote Remote, plan Plan) (*Run, error) {
	if err := remote.openPull(); err != nil {
		return nil, err
	}
	remote.key = newKey()
	r := &Run{ID: rand.Text(), plan: plan, remote: remote}
	if j == nil {
		return r, nil
	}
	info.Run, info.Options = "", remote.recorded(info.NoCommand)
	if remote.Push != nil || remote.Pull != nil || remote.Script != nil { // an older program would run the paths or arguments
		settings := journal.Settings{}
		if info.Settings != nil {
			settings = *info.Settings
		}
		settings.NotCommands = true
		info.Settings = &settings
	}
	recorded, err := j.Begin(ctx, info, plan.Recorded())
	if err != nil {
		return nil, fmt.Errorf("writing the run into the journal: %w", err)
	}
	r.ID, r.recorded = recorded.ID(), recorded
	return r, nil
}

// Marked reports whether the hosts keep markers, and can be asked what became of a command.
func (r *Run) Marked() bool { return r.remote.Marked() }

// Bytes returns how many bytes each target gets, and how many were sent to those that have not
// ended; nil if no files are pushed.
func (r *Run) Bytes() (each int64, flying func() int64) {
	if p := r.remote.Push; p != nil && p.Sends() {
		return p.Size, p.Flying
	}
	return 0, nil
}

// Session returns the number of processes that worked on the run before this one.
func (r *Run) Session() int {
	if r.recorded == nil {
		return 0
	}
	return r.recorded.Session()
}

// Results runs the commands and yields each result once it is recorded. Errors are the
// run's own, as those of [engine.Run]. It may be called once.
func (r *Run) Results(ctx context.Context, o Options) iter.Seq2[fleet.Result, error] {
	return func(yield func(fleet.Result, error) bool) {
		var err error
		if o.Engine.Dialer, err = r.remote.Dialer(o.Engine.Dialer, o.Engine.Clock); err != nil {
			yield(fleet.Result{}, err)
			return
		}
		e, marker := o.Engine, r.remote.wrap(r.ID, r.Session())
		marker.Rerun = r.again
		var kill *killer // nil: commands that are given up are not killed
		if r.remote.KillOnCancel {
			asking := o.Engine
			if o.Asking != nil {
				if asking.Dialer, err = r.remote.Dialer(o.Asking, o.Engine.Clock); err != nil {
					yield(fleet.Result{}, err)
					return
				}
			}
			kill = newKiller(asking, r.plan, marker)
			kill.workers = o.Asking != nil
		}
		k := keeper{run: r, lost: o.Lost, drain: make(chan struct{})}
		if r.recorded != nil {
			defer k.watch(e.Drain)()
			e.Drain = k.drain
		}
		r.follow(&e, kill)
		if r.recorded != nil && r.remote.tidies() {
			k.tidier = newTidier(&marker, r.recorded)
			e.Epilogue = k.tidier.epilogue()
			defer func() { r.markersLeft, r.markersWhy = k.tidier.left, k.tidier.why }()
		}
		switch {
		case r.remote.Push != nil:
			r.remote.Push.Run = r.ID
			e.Dialer, e.Idempotent = transfer.NewDialer(e.Dialer, r.remote.Push), true
		case r.remote.Pull != nil:
			e.Dialer, e.Idempotent = transfer.NewPullDialer(e.Dialer, r.remote.Pull), true
		default:
			wrapped, err := wrap.New(e.Dialer, marker)
			if err != nil {
				yield(fleet.Result{}, err)
				return
			}
			e.Dialer = wrapped
		}
		going, stop := unless(ctx, o.LetGo)
		defer stop()
		results := engine.Run(going, e, r.plan.Targets())
		if kill != nil {
			killing, cancel := unless(context.WithoutCancel(ctx), o.Hurry)
			defer cancel()
			defer func() { r.givenUp = kill.unproven }()
			results = kill.results(killing, results)
		}
		for res, err := range stillUnknown(results, r.again) {
			if err == nil && res.Reason == fleet.ReasonInterrupted && going.Err() != nil && ctx.Err() == nil {
				res.Reason, res.Err = fleet.ReasonLetGo, errLetGo
			}
			if err == nil {
				k.record(res)
			}
			if !yield(res, err) {
				return
			}
		}
	}
}

// follow records where commands are about to be sent: who asks for a marker has to ask the same
// machine. kill may be nil.
func (r *Run) follow(e *engine.Options, kill *killer) {
	if r.recorded == nil && kill == nil {
		return
	}
	e.Intend = func(t fleet.Target, attempt int, address netip.AddrPort) error {
		if kill != nil {
			kill.sent(t.Index, address)
		}
		if r.recorded == nil {
			return nil
		}
		return r.recorded.Intend(t.Index, attempt, address)
	}
	if !r.remote.Marked() {
		return
	}
	e.Dialled = func(t fleet.Target, attempt int, address netip.AddrPort) {
		if kill != nil {
			kill.sent(t.Index, address)
		}
		if r.recorded != nil {
			_ = r.recorded.Dialled(t.Index, attempt, address) // a journal that cannot be written says so at the result
		}
	}
}

// GivenUp returns, after Results, the hosts whose commands were to be killed and may
// still run.
func (r *Run) GivenUp() []fleet.Host { return r.givenUp }

// unless returns a context that also ends when stop is closed.
func unless(ctx context.Context, stop <-chan struct{}) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(ctx)
	go func() {
		select {
		case <-stop:
			cancel()
		case <-ctx.Done():
		}
	}()
	return ctx, cancel
}

// A keeper records results, and stops the starting of commands when the journal
// fails.
type keeper struct {
	run    *Run
	lost   func(error)
	tidier *tidier // nil: markers stay

	drain chan struct{} // closed by watch or record
	once  sync.Once     // closes drain
	told  sync.Once     // calls lost
}

// watch closes drain when stop is closed or the journal fails, until end is called.
func (k *keeper) watch(stop <-chan struct{}) (end func()) {
	over, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		select {
		case <-stop:
			k.once.Do(func() { close(k.drain) })
		case <-k.run.recorded.Failed():
			k.once.Do(func() { close(k.drain) })
		case <-over:
		}
	}()
	return func() { close(over); <-ended }
}

func (k *keeper) record(res fleet.Result) {
	if k.run.recorded == nil {
		return
	}
	err := k.run.recorded.Result(res)
	if err == nil {
		return
	}
	if k.tidier != nil {
		k.tidier.failed = true
	}
	k.once.Do(func() { close(k.drain) })
	if k.lost != nil {
		k.told.Do(func() { k.lost(fmt.Errorf("writing into the journal: %w", err)) })
	}
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

var errLetGo = errors.New("its output was no longer followed")

var errNotStarted = errors.New("no reason was given")

// End records how this process's work on the run ended. Its error lists everything
// that the journal lacks.
func (r *Run) End(how journal.Ending) error {
	if r.recorded == nil {
		return nil
	}
	return r.recorded.End(how)
}

// Amend changes the exit code that End recorded: it may depend on the reader of the
// output, for whom the end of a run must not wait.
func (r *Run) Amend(code int) error {
	if r.recorded == nil {
		return nil
	}
	return r.recorded.Amend(code)
}

// Abandon ends a run that started nothing.
func (r *Run) Abandon() error {
	return r.End(journal.Ending{Interrupted: true, ExitCode: exitUsage, Failure: "nothing was started"})
}

// exitUsage is the exit code that shoal has for a run that started nothing.
const exitUsage = 2
