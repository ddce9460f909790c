package markers

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"shoal/fleet"
	"shoal/internal/cli/console"
	"shoal/internal/cli/display"
	"shoal/internal/cli/flags"
	"shoal/internal/cli/signals"
	"shoal/internal/journal"
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

// detached selects targets whose detached command may still be running.
func detached(e *journal.Entry) bool {
	return e.Outcome == fleet.OutcomeDetached || journal.Unknown(e)
}

func collect(ctx context.Context, o collectOptions, name string, stdio console.Stdio) error {
	if err := o.output.Validate(); err != nil {
		return err
	}
	a, err := newRemoteQuery(ctx, o.far, name, detached, stdio)
	if err != nil {
		return err
	}
	switch {
	case !a.flags.Detach:
		return errors.Join(fmt.Errorf("the run %s was not detached\nhint: shoal show has its output", a.info.Run), a.end(console.ExitUsage))
	case len(a.asked) == 0:
		console.Say(stdio.Err, "nothing is left to collect")
		return a.end(console.ExitOK)
	}
	h := a.info.Header
	h.Targets = len(a.asked)
	indexes := make([]int, len(a.asked))
	for i := range a.asked {
		indexes[i] = a.asked[i].entry.Target.Index
	}
	out, err := display.New(o.output, stdio, h, indexes)
	if err != nil {
		return errors.Join(err, a.end(console.ExitUsage))
	}
	ctx, stop := signals.Watch(ctx, func(bool) {})
	defer stop.End()
	defer out.Showing.AbortWith(ctx)()
	c := &collecting{remoteQuery: a, out: out, limit: o.output.Kept(), files: o.output.Files(), begun: time.Now()}
	err = c.all(ctx, o.wait, stop)
	out.Summary.Elapsed = time.Since(c.begun)
	out.Summary.Interrupted = stop.Requested()
	out.Settle(stop.Patience(), a.info.Run)
	out.Close(stop.Patience())
	if err == nil && !o.keep {
		err = c.forget(ctx, stdio.Err)
	}
	code := console.ExitCode(&out.Summary, out.Failure() == nil)
	if len(c.pending) > 0 && code != console.ExitInterrupted {
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
