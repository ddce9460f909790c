package run

import (
	"context"
	"slices"

	"github.com/spf13/cobra"

	"shoal/internal/cli/console"
	"shoal/internal/hint"
	"shoal/internal/run"
)

// NewScript returns shoal script. rerun is as in New.
func NewScript(stdio console.Stdio, rerun func(ctx context.Context, args []string) error) *cobra.Command {
	f := RunFlags{rerun: rerun}
	cmd := &cobra.Command{
		Use:   "script [flags] FILE [-- ARG...]",
		Short: "Run a local script on many hosts and tell what happened on each",
		Long: `Run a local script on many hosts over SSH and tell what happened on each. It is the
same as shoal run --script.

FILE is sent to each host, verified there by size and SHA-256 before anything
starts, run by the program that its first line #! names (else by /bin/sh), and
removed. An ELF file for the hosts' kind of machine is run itself. Each ARG is one
argument, sent byte for byte: nothing in it is replaced, {host} neither.

Standard input of the script is what --stdin sends; else it has none. resume and
rerun read FILE again, and refuse if it is gone or has changed.`,
		Example: `  shoal script -w web[01-20] deploy.sh
  shoal script -g web --once upgrade.py -- --version '1.2 beta'
  shoal run --script check.sh --hostfile hosts -b -- /var`,
		RunE: func(cmd *cobra.Command, args []string) error {
			files := args
			if dash := cmd.ArgsLenAtDash(); dash >= 0 {
				files = args[:dash]
			}
			switch len(files) {
			case 1:
				return f.runScript(cmd.Context(), files[0], args[1:], stdio)
			case 0:
				return hint.New("no script to run", "it stands before its arguments: shoal script -w web[1-3] deploy.sh -- ARG")
			}
			return hint.New("there are words after the script", "its arguments stand after --: shoal script -w web[1-3] deploy.sh -- ARG")
		},
	}
	f.register(cmd, false)
	return cmd
}

// runScript runs a script with arguments.
func (f *RunFlags) runScript(ctx context.Context, path string, args []string, stdio console.Stdio) error {
	if slices.Contains([]string{"", "-", "/dev/stdin", "/dev/fd/0", "/proc/self/fd/0"}, path) {
		return hint.New("the script has to be a file, which resume and rerun read again", "shoal run --stdin sh sends a script through standard input")
	}
	script, err := run.ReadScript(path)
	if err != nil {
		return err
	}
	f.Wrapper.Script = script
	text := script.Words(args)
	if err := f.validate(text); err != nil {
		return err
	}
	return f.Run(ctx, text, "script "+text, stdio)
}
