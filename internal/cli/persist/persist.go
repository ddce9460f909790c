// Package persist is shoal persist: the processes that hold connections between runs.
package persist

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"slices"
	"syscall"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"shoal/internal/cli/console"
	"shoal/internal/cli/flags"
	"shoal/internal/cli/run"
	"shoal/internal/hint"
	"shoal/internal/holder"
	"shoal/internal/ssh/persist"
	"shoal/internal/ui"
)

// New returns shoal persist.
func New(stdio console.Stdio) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "persist",
		Short: "The process that holds connections between runs (run --persist)",
		Long: `shoal run --persist 10m has a process hold the connections of the run. A later run
with --persist that reaches a host in the same way (address, user, keys, route,
settings) uses its connection: no login, one round trip. The process ends when no run
has come for that time. There is one for each --state-dir.

It has no key and no password: each run checks the host keys, and signs, itself, also
where it uses a held connection, or one to a jump host. What it cannot hold, the run
dials: hosts that may need a password, behind a proxy command, or with a forwarded
agent. The summary says how many were held, and why the others were dialled.`,
		Example: `  shoal run --persist 10m --hostfile hosts uptime
  shoal persist list
  shoal persist refresh       # the next run logs in anew, with today's rights`,
		Args: cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return cmd.Help()
			}
			return console.UnknownCommand(cmd, args[0], "it is list, refresh or stop")
		},
	}
	cmd.AddCommand(newList(stdio), newAsk(stdio, "refresh", "Let go of all held connections, so that the next run logs in anew", persist.Refresh),
		newAsk(stdio, "stop", "End the process that holds connections; commands that run on them are lost", persist.Stop), newHold())
	return cmd
}

func newList(stdio console.Stdio) *cobra.Command {
	return &cobra.Command{
		Use: "list", Short: "List the processes of this user that hold connections", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return list(cmd.Context(), stdio) },
	}
}

func list(ctx context.Context, stdio console.Stdio) error {
	all, err := holder.List(ctx)
	if err != nil {
		return err
	}
	if len(all) == 0 {
		console.Say(stdio.Err, "no process holds connections")
		return nil
	}
	w := tabwriter.NewWriter(stdio.Out, 0, 0, 2, ' ', 0)
	_, _ = fmt.Fprintln(w, "PID\tHELD\tIN USE\tRUNS\tSINCE\tENDS IN\tSTATE DIRECTORY")
	for _, f := range all {
		if f.Err != nil {
			_, _ = fmt.Fprintf(w, "%d\t?\t?\t?\t?\t?\t%s\n", f.PID, ui.Visible(f.StateDir))
			continue
		}
		ends := "in use"
		if f.Runs == 0 {
			ends = ui.Duration(f.EndsIn.Round(time.Second))
		}
		_, _ = fmt.Fprintf(w, "%d\t%s\t%s\t%d\t%s\t%s\t%s\n", f.PID, ui.Count(int64(f.Idle)), ui.Count(int64(f.Used)), f.Runs,
			ui.Duration(time.Since(f.Started).Round(time.Second)), ends, ui.Visible(f.StateDir))
	}
	err = w.Flush()
	for _, f := range all {
		if f.Err != nil {
			console.Complain(stdio.Err, hint.Wrap(fmt.Errorf("process %d does not answer: %w", f.PID, f.Err), "shoal persist stop --all ends it"))
		}
	}
	return err
}

// newAsk returns a command that asks processes for something.
func newAsk(stdio console.Stdio, name, short string, what persist.Request) *cobra.Command {
	var (
		all      bool
		stateDir string
	)
	cmd := &cobra.Command{
		Use: name, Short: short, Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			found, err := holder.List(cmd.Context())
			if err != nil {
				return err
			}
			if dir, err := run.HolderDir(flags.StateDir(stateDir)); !all {
				if err != nil {
					return err
				}
				found = slices.DeleteFunc(found, func(f holder.Found) bool { return f.StateDir != dir })
			}
			if len(found) == 0 {
				return hint.New("no process holds connections for this state directory", "shoal persist list shows all of yours")
			}
			var errs []error
			for _, f := range found {
				if err := f.Ask(cmd.Context(), what); err != nil {
					errs = append(errs, fmt.Errorf("process %d: %w", f.PID, err))
					continue
				}
				console.Say(stdio.Err, "process %d: %s", f.PID, map[persist.Request]string{
					persist.Refresh: "its connections are let go", persist.Stop: "it ends",
				}[what])
			}
			return errors.Join(errs...)
		},
	}
	cmd.Flags().BoolVar(&all, "all", false, "all processes of this user, not only that of the state directory")
	cmd.Flags().StringVar(&stateDir, "state-dir", "", "that of the process with this `DIR` (default: as for run)")
	return cmd
}

// newHold returns the command of the process itself.
func newHold() *cobra.Command {
	var stateDir string
	cmd := &cobra.Command{
		Use: "hold", Short: "Hold connections; run --persist starts it", Hidden: true, Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			signal.Ignore(syscall.SIGHUP)
			ctx, stop := signal.NotifyContext(cmd.Context(), os.Interrupt, syscall.SIGTERM)
			defer stop()
			dir, err := run.HolderDir(flags.StateDir(stateDir))
			if err != nil {
				return err
			}
			ready := os.NewFile(3, "ready")
			return holder.Serve(ctx, dir, console.Version, ready)
		},
	}
	cmd.Flags().StringVar(&stateDir, "state-dir", "", "the `DIR` of the runs")
	return cmd
}
