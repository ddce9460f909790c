package markers

import (
	"context"
	"errors"
	"io"
	"maps"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"shoal/fleet"
	"shoal/hosts/expr"
	"shoal/internal/cli/console"
	"shoal/internal/cli/display"
	"shoal/internal/cli/flags"
	clirun "shoal/internal/cli/run"
	"shoal/internal/cli/signals"
	"shoal/internal/journal"
	"shoal/internal/run"
	"shoal/internal/ui"
)

// NewCollect returns shoal collect.
func NewCollect(stdio console.Stdio) *cobra.Command {
	var (
		f          markerFlags
		out        display.OutputFlags
		wait, keep bool
		again      bool
	)
	cmd := &cobra.Command{
		Use:   "collect [flags] RUN",
		Short: "Fetch what came of commands that were detached",
		Long: `Fetch exit status and output of the commands that a run with --detach started and
that have ended since, show them as shoal run does, write them into the journal,
and remove from the hosts what is stored here whole: the journal keeps 64 MiB of
each stream, --outdir everything. What still runs is left alone and can be
fetched later.

Output of which the journal has only a part is fetched anew where --max-output or
--outdir can keep all of it, and replaces what the journal has; --again fetches what
--keep left on the hosts too.`,
		Example: "  shoal run --detach -w web[01-20] 'apt-get -y upgrade'\n  shoal collect last -b --wait",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return collect(cmd.Context(), collectOptions{far: &f, output: &out, wait: wait, keep: keep, again: again}, args[0], stdio)
		},
	}
	g := flags.NewGroup("Collecting")
	g.BoolVar(&wait, "wait", false, "ask again, 1 s to 30 s apart, until every command has ended that can; says for whom it waits, and gives up on a host that 3 rounds tell nothing of, or that cannot be reached for 10m")
	g.BoolVar(&keep, "keep", false, "leave marker and output on the hosts")
	g.BoolVar(&again, "again", false, "fetch also what was collected before, where it is still on the hosts")
	f.register(cmd, g, out.Output())
	cmd.ValidArgsFunction = clirun.CompleteRun(false)
	return cmd
}

type collectOptions struct {
	far               *markerFlags
	output            *display.OutputFlags
	wait, keep, again bool
}

func collect(ctx context.Context, o collectOptions, name string, stdio console.Stdio) error {
	if err := o.output.Validate(); err != nil {
		return err
	}
	opts := run.CollectOptions{MaxOutput: o.output.Kept(), Files: o.output.Files(), Again: o.again, Keep: o.keep, Wait: o.wait}
	cut := make(map[int]fleet.Host)
	a, err := newRemoteQuery(ctx, o.far, name, run.ReadDetached, opts.Selects(cut), stdio)
	if err != nil {
		return err
	}
	sayCut(stdio.Err, cut, a.Info.Run)
	if len(a.Targets) == 0 {
		console.Say(stdio.Err, "nothing is left to collect")
		return a.end(console.ExitOK)
	}
	out, err := o.display(ctx, a, stdio)
	if err != nil {
		return errors.Join(err, a.end(console.ExitUsage))
	}
	return (&collection{a, out, opts}).run(ctx, stdio)
}

// sayCut says of which hosts the journal has only a part of the output.
func sayCut(stderr io.Writer, cut map[int]fleet.Host, id string) {
	if len(cut) == 0 {
		return
	}
	var hosts []fleet.Host
	for _, i := range slices.Sorted(maps.Keys(cut)) {
		hosts = append(hosts, cut[i])
	}
	console.Say(stderr, "the journal has only a part of the output of %s: shoal collect --max-output 0 --outdir DIR %s fetches what is left there",
		folded(hosts), id)
}

// display opens what shows and stores the results.
func (o *collectOptions) display(ctx context.Context, a *remoteQuery, stdio console.Stdio) (*display.Results, error) {
	h := a.Info.Header
	h.Targets = len(a.Targets)
	indexes := make([]int, len(a.Targets))
	for i, t := range a.Targets {
		indexes[i] = t.Index
	}
	if o.output.Files() || ui.Inspect(stdio.Out, os.Getenv).Terminal {
		all, err := a.journal.Select(ctx, a.Info.Run, journal.All) // so that a later collect names files alike
		if err != nil {
			return nil, err
		}
		o.output.Named = slices.Values(all)
	}
	return display.New(o.output, stdio, h, indexes)
}

// A collection is a collect that is ready to start.
type collection struct {
	*remoteQuery

	out  *display.Results
	opts run.CollectOptions
}

// run fetches and shows the results, and removes from the hosts what is stored here whole.
func (x *collection) run(ctx context.Context, stdio console.Stdio) error {
	x.verbose.To(x.out.Stderr)
	ctx, stop := signals.Watch(ctx, func(bool) {})
	release := sync.OnceFunc(stop.End)
	defer release()
	defer x.journal.HurryWith(stop.Hurried())()
	defer x.out.Showing.AbortWith(ctx, stop.Hurried())()
	begun := time.Now()
	c, err := x.fetch(ctx, stop)
	x.sayMissing(c)
	x.out.Summary.Elapsed = time.Since(begun)
	x.out.Summary.Interrupted = stop.Requested()
	x.out.Settle(stop.Patience(), x.Info.Run)
	x.out.Close(stop.Patience())
	x.verbose.To(nil)
	var left run.Remaining
	whole := !x.out.Stuck && x.out.Failure() == nil
	if err == nil && whole {
		left, err = c.Forget(ctx)
	}
	code := console.ExitCode(&x.out.Summary, x.out.Failure() == nil)
	if len(c.Pending()) > 0 && code != console.ExitInterrupted {
		code = console.ExitUnknown
	}
	if err != nil {
		code = max(code, console.ExitUnknown)
	}
	release() // a reader of what follows may have stopped
	if lost := x.end(code); lost != nil {
		err, code = errors.Join(err, lost), console.ExitUnknown
	}
	if !whole {
		console.Say(stdio.Err, "markers and output stay on the hosts, since not all was shown and stored here: shoal collect --again %s fetches them once more", x.Info.Run)
	}
	sayRemaining(stdio.Err, left, x.Info.Run)
	if err != nil {
		console.Complain(stdio.Err, err)
	}
	if code != console.ExitOK {
		return console.ExitError(code)
	}
	return nil
}

// fetch fetches the results until stop is drained, and queues them for display.
func (x *collection) fetch(ctx context.Context, stop *signals.Stopper) (c *run.Collection, err error) {
	told := newWaitingNote(time.Now())
	x.opts.Stop = stop.Drained
	x.opts.Waiting = func(pending []run.Pending, pause time.Duration) {
		if text := told.text(pending, time.Now(), pause); text != "" {
			console.Say(x.out.Stderr, "%s", text)
		}
	}
	c = x.Collect(x.opts)
	for res, failed := range c.Results(ctx) {
		if err = failed; err == nil {
			x.out.Take(res)
		}
	}
	return c, err
}

// sayMissing says what was not fetched, or not kept in the journal.
func (x *collection) sayMissing(c *run.Collection) {
	for line := range strings.SplitSeq(byCause(c.Pending(), "\n"), "\n") {
		if line != "" {
			console.Say(x.out.Stderr, "not collected: %s", line)
		}
	}
	if gone := c.Gone(); len(gone) > 0 {
		console.Say(x.out.Stderr, "nothing is left on %s; shoal show %s has what was fetched before", folded(gone), x.Info.Run)
	}
	if shorter := c.Shorter(); len(shorter) > 0 {
		console.Say(x.out.Stderr, "of %s the journal keeps the output that it had, which is more than --max-output keeps now", folded(shorter))
	}
}

// folded returns the names of the hosts, safe for a terminal.
func folded(hosts []fleet.Host) string { return ui.Visible(expr.Fold(clirun.Names(hosts))) }

// sayRemaining says where markers and output stay, why, and how to fetch them.
func sayRemaining(stderr io.Writer, left run.Remaining, id string) {
	for _, c := range []struct {
		hosts []fleet.Host
		why   string
	}{
		{left.Writing, ", since processes of the command run there and may write more: shoal collect %s fetches it later"},
		{left.Cut, ", since not all of it is stored here: shoal collect --max-output 0 --outdir DIR %s stores all"},
		{left.Kept, ": shoal collect --again %s fetches them once more and removes them"},
	} {
		if len(c.hosts) > 0 {
			console.Say(stderr, "markers and output stay on %s"+c.why, folded(c.hosts), id)
		}
	}
}
