// Package cli is the command line: it turns flags into options, runs, and shows
// what came of it. Call [Main].
package cli

import (
	"context"
	"errors"
	"fmt"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"
)

// Main runs the command line and gives the exit code of the process; see
// exitCode for the table.
func Main(ctx context.Context, args []string, stdio Stdio) int {
	// A reader of our output that goes away, such as head(1), has to be an
	// error and not our end: results are still to be counted.
	signal.Ignore(syscall.SIGPIPE)
	root := newRoot(stdio)
	root.SetArgs(args)
	err := root.ExecuteContext(ctx)
	if code, ok := errors.AsType[exitError](err); ok {
		return int(code)
	}
	if err != nil {
		complain(stdio.Err, err)
		return exitUsage
	}
	return exitOK
}

func newRoot(stdio Stdio) *cobra.Command {
	root := &cobra.Command{
		Use:   "shoal",
		Short: "Run a command on ten thousand machines over SSH, and know what happened on each",
		Long: `shoal runs a command on many machines over SSH at once and tells for each one
whether it ran, did not run, or cannot be known.

Start with:
  shoal run -w web[01-20] uptime                 a command on twenty hosts
  shoal run --hostfile hosts -b 'uname -r'       the same answers shown once
  shoal demo                                     see it work, no server needed`,
		SilenceErrors: true,
		SilenceUsage:  true,
		Args:          cobra.ArbitraryArgs, // RunE says what is wrong with them
		Version:       version,
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return cmd.Help()
			}
			return fmt.Errorf("unknown command %q\nhint: a command for the hosts stands after run and its flags: shoal run -w web[1-3] uptime", args[0])
		},
	}
	root.SetIn(stdio.In)
	root.SetOut(stdio.Out)
	root.SetErr(stdio.Err)
	root.SetVersionTemplate("shoal {{.Version}}\n")
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		if cmd == root {
			return fmt.Errorf("%w\nhint: the flags of a run stand after its name: shoal run -w web[1-3] uptime", err)
		}
		return fmt.Errorf("%w\nhint: %s --help lists the flags", err, cmd.CommandPath())
	})
	root.AddCommand(newRun(stdio), newHosts(stdio), newFleet(stdio), newDemo(stdio), newBench(stdio), newBenchFleet(stdio),
		newPlot(stdio), newKeys(stdio), newDebug(stdio), newHistory(stdio), newShow(stdio), newRerun(stdio),
		newResume(stdio), newResolve(stdio), newCollect(stdio), newSweep(stdio), newVerify(stdio), newPrune(stdio))
	return root
}
