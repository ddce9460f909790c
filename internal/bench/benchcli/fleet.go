package benchcli

import (
	"context"
	"io"

	"github.com/spf13/cobra"

	"shoal/internal/cli/console"
	"shoal/internal/cli/fleet"
)

// benchFleetName is the subcommand with which shoal-bench run starts itself.
const benchFleetName = "fleet"

// newFleet is shoal fleet for a parent process: it ends when its standard input
// does, which also happens when the parent is killed.
func newFleet(stdio console.Stdio) *cobra.Command {
	cmd := fleet.New(stdio)
	cmd.Use, cmd.Hidden = benchFleetName, true
	serve := cmd.RunE
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		ctx, cancel := context.WithCancel(cmd.Context())
		defer cancel()
		go func() { // ends with the input, or with the process
			defer cancel()
			_, _ = io.Copy(io.Discard, stdio.In)
		}()
		cmd.SetContext(ctx)
		return serve(cmd, args)
	}
	return cmd
}
