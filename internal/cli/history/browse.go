package history

import (
	"context"
	"io"

	"github.com/spf13/cobra"

	"shoal/internal/browse"
	"shoal/internal/cli/browser"
	"shoal/internal/cli/console"
	clirun "shoal/internal/cli/run"
	"shoal/internal/journal"
)

// NewBrowse returns shoal browse.
func NewBrowse(stdio console.Stdio) *cobra.Command {
	var dir *string
	var cmd *cobra.Command
	cmd, dir = journalCommand(stdio.Err, false, "browse [flags] [RUN]", "Look at a run on the whole screen: hosts, causes, groups, outputs",
		`Browse a run, by default the last one: its hosts by state, cause, group or text,
the output of each, groups of equal answers and how they differ. A run that
another process works on is read again as it goes on; shoal run --browse shows a
run of its own, and can cancel hosts and change the width.

Keys are those of less and vi; ? lists them. r runs the command again on hosts
that failed or did not run, after a question. The mouse stays the terminal's,
unless m gives it to the browser.`,
		"  shoal browse\n  shoal browse last~1", cobra.MaximumNArgs(1),
		func(ctx context.Context, j *journal.Journal, args []string) error {
			name := "last"
			if len(args) > 0 {
				name = args[0]
			}
			return browseRun(ctx, j, name, *dir, stdio)
		})
	cmd.ValidArgsFunction = clirun.CompleteRun(false)
	run := cmd.RunE
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if err := browser.Check(stdio, "shoal show and shoal report print a run"); err != nil {
			return err
		}
		return run(cmd, args)
	}
	return cmd
}

func browseRun(ctx context.Context, j *journal.Journal, name, dir string, stdio console.Stdio) error {
	id, err := j.Resolve(ctx, name)
	if err != nil {
		return err
	}
	info, err := j.Run(ctx, id)
	if err != nil {
		return err
	}
	b := browser.Start(ctx, browse.Options{
		Source: browser.NewRecorded(j, info), Run: id, Command: info.Command, Rerun: browser.RerunLine(id, dir),
	}, "", stdio)
	b.Listen()
	args, err := b.Wait()
	if err != nil || args == nil {
		return err
	}
	return RunAgain(ctx, args, stdio)
}

// RunAgain runs shoal rerun with arguments that browser.RerunLine has made. It says which.
func RunAgain(ctx context.Context, args []string, stdio console.Stdio) error {
	browser.SayLine(stdio.Err, args)
	cmd := NewRerun(stdio)
	cmd.SilenceErrors, cmd.SilenceUsage = true, true
	cmd.SetOut(io.Discard)
	cmd.SetErr(io.Discard)
	cmd.SetArgs(args[1:])
	return cmd.ExecuteContext(ctx)
}
