// Package markers implements the commands that ask the hosts about an earlier
// run: resolve, collect and sweep. They read or remove the markers that the
// wrapper (internal/remote) left there, and never run a command again.
package markers

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"shoal/fleet"
	"shoal/internal/cli/console"
	"shoal/internal/cli/display"
	"shoal/internal/cli/flags"
	clirun "shoal/internal/cli/run"
	"shoal/internal/hint"
	"shoal/internal/remote"
	"shoal/internal/run"
	"shoal/internal/ui"
)

// NewSweep returns shoal sweep.
func NewSweep(stdio console.Stdio) *cobra.Command {
	var (
		f      markerFlags
		days   int
		runDir string
	)
	cmd := &cobra.Command{
		Use:   "sweep [flags] [DIR...]",
		Short: "Remove old markers, and what pushes have left, from hosts",
		Long: `Remove the markers of --once, --kill-on-cancel and --detach, with the output in
them, in which nothing has happened for some days, unless something still runs.

With DIR, remove instead what pushes that were cut off have left in these directories
and below them, in which nothing was written for some days (.shoal-push.*). A relative
DIR is seen from the account's home.`,
		Example: "  shoal sweep -w web[01-20] --days 7\n  shoal sweep -w web[01-20] --days 1 /etc/app /srv/www",
		RunE: func(cmd *cobra.Command, dirs []string) error {
			age, err := clirun.Days(days, 1)
			if err != nil {
				return err
			}
			if len(dirs) == 0 {
				return sweep(cmd.Context(), &f, stdio, func(nonce string) (string, error) { return remote.Sweep(nonce, runDir, age) })
			}
			if runDir != "" {
				return hint.New("--run-dir is for markers, and DIR for what pushes have left", "leave out one of them")
			}
			return sweep(cmd.Context(), &f, stdio, func(nonce string) (string, error) { return remote.SweepFiles(nonce, dirs, days) })
		},
	}
	g := flags.NewGroup("Sweeping")
	g.IntVar(&days, "days", 30, "keep what is younger than `N` days, which no start may take")
	g.StringVar(&runDir, "run-dir", "", "the `DIR` with the markers there (default: .local/state/shoal/marks in the account's home)")
	f.register(cmd, f.Targets(), g)
	return cmd
}

// sweep asks each host the question.
func sweep(ctx context.Context, f *markerFlags, stdio console.Stdio, question func(nonce string) (string, error)) error {
	if err := f.cluster.Validate(f.given, f.Jump, 0); err != nil {
		return err
	}
	opts, err := f.Options()
	if err != nil {
		return err
	}
	verbose := display.NewVerbose(f.Verbose, stdio)
	defer verbose.Close()
	opts.Engine.Verbose = verbose.Func()
	list, err := f.Load(ctx, &opts, stdio)
	if err != nil {
		return err
	}
	remoteAs := run.Remote{}
	if remoteAs.Become, err = f.BecomeOptions(f.given.Changed); err != nil {
		return err
	}
	if b := remoteAs.Become; b != nil && b.Direct {
		return hint.New("a shell removes what sweep finds, and --become-direct runs none as the other user", "leave it out")
	}
	if err := errors.Join(remoteAs.Validate(), f.ReadBecomePassword(ctx, remoteAs.Become)); err != nil {
		return err
	}
	workers, err := f.through(ctx, &opts, list.Len(), stdio)
	if err != nil {
		return err
	}
	if workers != nil {
		defer workers.Close()
	}
	plan, err := opts.Plan(ctx, list.Targets(1), nil)
	if err != nil {
		return err
	}
	defer plan.Close()
	e, err := plan.Engine(ctx)
	if err != nil {
		return err
	}
	if e.Dialer, err = remoteAs.Dialer(e.Dialer, e.Clock); err != nil {
		return err
	}
	failed := 0
	for a, err := range run.Query(ctx, e, 0, plan.Targets(), func(_ fleet.Target, nonce string) (string, error) {
		return question(nonce)
	}) {
		if err != nil {
			return err
		}
		text := fmt.Sprintf("%d removed, %d left", a.Report.Removed, a.Report.Remaining)
		if a.Err != nil {
			failed++
			short, _ := hint.Split(a.Err.Error())
			text = "not swept: " + ui.Visible(short)
		} else if a.Report.State == remote.StateAbsent {
			failed++
			text = "not swept: no such directory"
		} else if a.Report.State == remote.StateUnclear {
			failed++
			text = "not swept: the run directory is not one of the account's own with mode 0700"
		}
		if _, err := fmt.Fprintf(stdio.Out, "%s: %s\n", ui.Visible(a.Target.Host.String()), text); err != nil {
			return err
		}
	}
	if failed > 0 {
		return console.ExitError(console.ExitNotStarted)
	}
	return nil
}
