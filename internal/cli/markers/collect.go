package markers

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"shoal/fleet"
	"shoal/hosts/expr"
	"shoal/internal/cli/console"
	"shoal/internal/cli/display"
	"shoal/internal/cli/flags"
	clirun "shoal/internal/cli/run"
	"shoal/internal/cli/signals"
	"shoal/internal/run"
	"shoal/internal/ui"
)

// NewCollect returns shoal collect.
func NewCollect(stdio console.Stdio) *cobra.Command {
	var (
		f          markerFlags
		out        display.OutputFlags
		wait, keep bool
	)
	cmd := &cobra.Command{
		Use:   "collect [flags] RUN",
		Short: "Fetch what came of commands that were detached",
		Long: `Fetch exit status and output of the commands that a run with --detach started and
that have ended since, show them as shoal run does, write them into the journal,
and remove from the hosts what is stored here whole: the journal keeps 64 MiB of
each stream, --outdir everything. What still runs is left alone and can be
fetched later.`,
		Example: "  shoal run --detach -w web[01-20] 'apt-get -y upgrade'\n  shoal collect last -b --wait",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return collect(cmd.Context(), collectOptions{far: &f, output: &out, wait: wait, keep: keep}, args[0], stdio)
		},
	}
	g := flags.NewGroup("Collecting")
	g.BoolVar(&wait, "wait", false, "ask again, 1 s to 30 s apart, until every command has ended that can; says for whom it waits, and gives up on a host that 3 rounds tell nothing of, or that cannot be reached for 10m")
	g.BoolVar(&keep, "keep", false, "leave marker and output on the hosts")
	f.register(cmd, g, out.Output())
	return cmd
}

type collectOptions struct {
	far        *markerFlags
	output     *display.OutputFlags
	wait, keep bool
}

func collect(ctx context.Context, o collectOptions, name string, stdio console.Stdio) error {
	if err := o.output.Validate(); err != nil {
		return err
	}
	a, err := newRemoteQuery(ctx, o.far, name, run.Collectable, stdio)
	if err != nil {
		return err
	}
	switch {
	case !a.remote.Detach:
		return errors.Join(fmt.Errorf("the run %s was not detached\nhint: shoal show has its output", a.Info.Run), a.end(console.ExitUsage))
	case len(a.Targets) == 0:
		console.Say(stdio.Err, "nothing is left to collect")
		return a.end(console.ExitOK)
	}
	h := a.Info.Header
	h.Targets = len(a.Targets)
	indexes := make([]int, len(a.Targets))
	for i, t := range a.Targets {
		indexes[i] = t.Index
	}
	out, err := display.New(o.output, stdio, h, indexes)
	if err != nil {
		return errors.Join(err, a.end(console.ExitUsage))
	}
	ctx, stop := signals.Watch(ctx, func(bool) {})
	defer stop.End()
	defer out.Showing.AbortWith(ctx)()
	begun, told := time.Now(), newWaitingNote(time.Now())
	c := a.Collect(run.CollectOptions{
		MaxOutput: o.output.Kept(), Files: o.output.Files(), Wait: o.wait, Stop: stop.Drained,
		Waiting: func(pending []run.Pending, pause time.Duration) {
			if text := told.text(pending, time.Now(), pause); text != "" {
				console.Say(out.Stderr, "%s", text)
			}
		},
	})
	for res, failed := range c.Results(ctx) {
		if err = failed; err == nil {
			out.Take(res)
		}
	}
	for line := range strings.SplitSeq(byCause(c.Pending(), "\n"), "\n") {
		if line != "" {
			console.Say(out.Stderr, "not collected: %s", line)
		}
	}
	out.Summary.Elapsed = time.Since(begun)
	out.Summary.Interrupted = stop.Requested()
	out.Settle(stop.Patience(), a.Info.Run)
	out.Close(stop.Patience())
	switch {
	case err != nil || o.keep:
	case out.Stuck || out.Failure() != nil:
		console.Say(stdio.Err, "markers and output stay on the hosts, since not all was shown and stored here")
	default:
		var left []fleet.Host
		if left, err = c.Forget(ctx); len(left) > 0 {
			console.Say(stdio.Err, "markers and output stay on %s, since not all of it is stored here (--max-output 0 --outdir DIR stores all)",
				ui.Visible(expr.Fold(clirun.Names(left))))
		}
	}
	code := console.ExitCode(&out.Summary, out.Failure() == nil)
	if len(c.Pending()) > 0 && code != console.ExitInterrupted {
		code = console.ExitUnknown
	}
	if err = errors.Join(err, a.end(code)); err != nil {
		console.Complain(stdio.Err, err)
		code = max(code, console.ExitUnknown)
	}
	if code != console.ExitOK {
		return console.ExitError(code)
	}
	return nil
}
