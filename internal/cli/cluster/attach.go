package cluster

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"shoal/fleet"
	"shoal/internal/cli/console"
	"shoal/internal/cli/display"
	"shoal/internal/cli/flags"
	clirun "shoal/internal/cli/run"
	"shoal/internal/cli/signals"
	"shoal/internal/cluster"
	"shoal/internal/hint"
	"shoal/internal/journal"
	"shoal/record"
)

type attachFlags struct {
	flags.ClusterFlags
	display.OutputFlags
	stateDir string
	forget   bool
}

// NewAttach returns shoal attach.
func NewAttach(stdio console.Stdio) *cobra.Command {
	var f attachFlags
	cmd := &cobra.Command{
		Use:   "attach --cluster URL [flags] RUN",
		Short: "Go on with a run on workers that lost its shoal run",
		Long: `Take the place of a shoal run --cluster that is gone, here or on another machine:
workers go on with the run, results are shown as they come, and Ctrl-C stops it as
it stops shoal run. If the journal here has the run, it gets the results of the
hosts that were unknown. Hosts that had not been passed to workers stay as they
are: they did not run. Rollout and brakes ended with the shoal run that is gone.

Of a run that was resumed NATS may have several logs, which are gone on with one
after the other, the last first; of a host that counts which began with it last, and
of older ones nothing more is started.

The log of the run is removed from NATS when the journal here has all of it.`,
		Example: "  shoal attach --cluster nats://127.0.0.1:4222 last",
		Args:    cobra.ExactArgs(1),
		RunE:    func(cmd *cobra.Command, args []string) error { return f.attach(cmd.Context(), args[0], stdio) },
	}
	g := flags.NewGroup("Attaching")
	f.Register(g, "go on with a run whose log is at")
	g.StringVar(&f.stateDir, "state-dir", "", "the journal is in `DIR` (default: ~/.local/state/shoal)")
	g.BoolVar(&f.forget, "forget", false, "remove the log from NATS also if hosts stay unknown, or no journal here has the run")
	flags.AddInGroups(cmd, g, f.Output())
	cmd.ValidArgsFunction = clirun.CompleteRun(false)
	return cmd
}

// recorded is the run in the journal of this machine; nil fields mean that it has none.
type recorded struct {
	journal *journal.Journal
	run     *journal.Run
	header  record.Header
	unknown map[int]bool // by index: targets whose result the journal lacks
	began   map[int]int  // by index: the last session that was about to start the command
}

// open opens the journal, and the run in it.
func (f *attachFlags) open(ctx context.Context, name string) (r recorded, err error) {
	r.header = record.Header{Program: "shoal " + console.Version, Run: name, Started: time.Now()}
	dir := flags.StateDir(f.stateDir)
	if dir == "" {
		return r, nil
	}
	j, err := clirun.OpenExisting(ctx, dir)
	if errors.Is(err, clirun.ErrNoJournal) {
		return r, nil
	}
	if err != nil {
		return r, err
	}
	id, err := j.Resolve(ctx, name)
	if errors.Is(err, journal.ErrNoRun) {
		return r, j.Close()
	}
	if err == nil {
		err = r.resume(ctx, j, id)
	}
	if err != nil {
		return r, errors.Join(err, j.Close())
	}
	r.journal = j
	return r, nil
}

func (r *recorded) resume(ctx context.Context, j *journal.Journal, id string) error {
	info, err := j.Run(ctx, id)
	if err != nil {
		return err
	}
	if info.State == journal.Running {
		return hint.Wrap(fmt.Errorf("the run %s: %w", id, journal.ErrRunning), "wait for its end, or stop it")
	}
	unknown, began := make(map[int]bool), make(map[int]int)
	if _, err := j.Select(ctx, id, func(e *journal.Entry) bool {
		if sessions := info.SessionsOf(e); len(sessions) > 0 {
			began[e.Target.Index] = sessions[0]
		}
		if journal.Unknown(e) {
			unknown[e.Target.Index] = true
		}
		return false
	}); err != nil {
		return err
	}
	if r.run, err = j.Resume(ctx, id); err != nil {
		return err
	}
	r.header, r.unknown, r.began = info.Header, unknown, began
	return nil
}

// counts reports whether what the log of a session says of a target is not older than what the journal has: a later
// session may have started the command since.
func (r *recorded) counts(index, session int) bool {
	began, known := r.began[index]
	return !known || began == session
}

// mayStart reports whether commands of the log of a session may be started: a later session may have run them, and
// its own log is gone.
func (r *recorded) mayStart(session int) bool {
	for _, began := range r.began {
		if began > session {
			return false
		}
	}
	return true
}

// result records a result. A host that the journal has the end of keeps it.
func (r *recorded) result(res fleet.Result) error {
	if r.run == nil || !r.unknown[res.Target.Index] {
		return nil
	}
	return r.run.Result(res)
}

func (r *recorded) close(how journal.Ending) error {
	if r.journal == nil {
		return nil
	}
	return errors.Join(r.run.End(how), r.journal.Close())
}

func (f *attachFlags) attach(ctx context.Context, name string, stdio console.Stdio) error {
	if f.URL == "" {
		return hint.New("it is not said where the log of the run is", "--cluster nats://127.0.0.1:4222")
	}
	if err := f.OutputFlags.Validate(); err != nil {
		return err
	}
	r, err := f.open(ctx, name)
	if err != nil {
		return err
	}
	failed := func(err error) error {
		return errors.Join(err, r.close(journal.Ending{Interrupted: true, ExitCode: console.ExitUsage, Failure: "nothing was attached to"}))
	}
	notice := func(text string) { console.Note(stdio.Err, text) }
	conn, err := f.Connect("shoal attach", notice)
	if err != nil {
		return failed(err)
	}
	defer conn.Close()
	logs, err := conn.Logs(ctx, r.header.Run)
	if err != nil {
		return failed(err)
	}
	if len(logs) == 0 {
		logs = []string{r.header.Run} // Attach says that it is not there
	}
	slices.Reverse(logs)
	all := &attached{conn: conn, notice: notice}
	defer all.close()
	session := clirun.SessionOfLog(r.header.Run, logs[0])
	c, err := all.attach(ctx, logs[0], r.mayStart(session))
	if err != nil {
		return failed(err)
	}
	if len(logs) > 1 {
		notice(fmt.Sprintf("the run was resumed, and NATS has %d logs of it, of which the last is the first here", len(logs)))
	}
	h := r.header
	h.Targets = 0 // those that are in a shard are not counted before
	f.Brief = r.run != nil
	out, err := display.New(&f.OutputFlags, stdio, h, nil)
	if err != nil {
		return failed(err)
	}
	ctx, stop := signals.Watch(ctx, func(aborting bool) {
		all.stop()
		console.Say(out.Stderr, "stopping: workers start nothing more of the run; Ctrl-C twice within a second has them abandon what runs")
	})
	defer stop.End()
	defer out.Showing.AbortWith(ctx, stop.Hurried())()
	begun, unknown, seen := time.Now(), 0, make(map[int]bool)
	for n := 0; ; {
		for res := range c.Results(ctx) {
			if i := res.Target.Index; seen[i] || !r.counts(i, session) {
				continue
			} else if len(logs) > 1 {
				seen[i] = true
			}
			if res.Outcome == fleet.OutcomeUnknown {
				unknown++
			}
			if lost := r.result(res); lost != nil && err == nil {
				err = lost
				console.Complain(out.Stderr, lost)
			}
			out.Take(res)
		}
		if n++; n == len(logs) || stop.Requested() {
			break
		}
		session = clirun.SessionOfLog(h.Run, logs[n])
		next, failed := all.attach(ctx, logs[n], false) // the one before is newer
		if failed != nil {
			err = errors.Join(err, failed)
			console.Complain(out.Stderr, failed)
			break
		}
		c = next
	}
	complete := true
	all.each(func(c *cluster.Coordinator) { complete = complete && !c.Incomplete() })
	out.Summary.Elapsed, out.Summary.Interrupted = time.Since(begun), stop.Requested()
	out.Settle(stop.Patience(), h.Run)
	out.Close(stop.Patience())
	code := console.ExitCode(&out.Summary, out.Failure() == nil && err == nil && complete)
	if lost := r.close(journal.Ending{Interrupted: out.Summary.Interrupted, ExitCode: code}); lost != nil {
		console.Complain(stdio.Err, lost)
		err = errors.Join(err, lost)
		code = console.ExitUnknown
	}
	switch {
	case f.forget && err == nil:
		all.each((*cluster.Coordinator).Forget)
	case r.run == nil || unknown > 0 || !complete || out.Failure() != nil || err != nil:
		all.each((*cluster.Coordinator).Keep)
		console.Say(stdio.Err, "the log of the run stays in NATS; shoal attach --forget removes it")
	}
	if code != console.ExitOK {
		return console.ExitError(code)
	}
	return nil
}

// attached are the coordinators of the logs of a run that were attached to.
type attached struct {
	conn   *cluster.Conn
	notice func(string)

	mu      sync.Mutex
	stopped bool
	all     []*cluster.Coordinator
}

// attach attaches to a log. Unless starts is true, nothing of it is started any more.
func (a *attached) attach(ctx context.Context, log string, starts bool) (*cluster.Coordinator, error) {
	c, err := cluster.NewCoordinator(a.conn, cluster.CoordinatorOptions{Notice: a.notice})
	if err != nil {
		return nil, err
	}
	if !starts { // before anybody can ask
		c.Stop()
	}
	if err := c.Attach(ctx, log); err != nil {
		c.Close()
		return nil, err
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.all = append(a.all, c)
	if a.stopped {
		c.Stop()
	}
	return c, nil
}

func (a *attached) stop() {
	a.mu.Lock()
	a.stopped = true
	a.mu.Unlock()
	a.each((*cluster.Coordinator).Stop)
}

func (a *attached) each(do func(*cluster.Coordinator)) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, c := range a.all {
		do(c)
	}
}

func (a *attached) close() { a.each((*cluster.Coordinator).Close) }
