package markers

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"strconv"

	"github.com/spf13/cobra"

	"shoal/fleet"
	"shoal/internal/cli/console"
	clirun "shoal/internal/cli/run"
	"shoal/internal/hint"
	"shoal/internal/remote"
	"shoal/internal/run"
	"shoal/internal/ui"
)

// NewResolve returns shoal resolve.
func NewResolve(stdio console.Stdio) *cobra.Command {
	var f markerFlags
	cmd := &cobra.Command{
		Use:   "resolve [flags] RUN",
		Short: "Ask the hosts what became of the commands of which nobody knows",
		Long: `Ask each host of which it is unknown whether its command ran what its marker says,
and write the answer into the journal: that it ended, and how; that it still
runs; or that it never started, and from now on never will. Of detached commands it
finds those that never started; those that run or have ended are left to shoal collect,
which fetches their output too. The run must have been made with --once,
--kill-on-cancel or --detach.

That a command never started counts if one machine says so ` + strconv.Itoa(run.NeverAnswers) + ` times, on as many
connections, to the address that was dialled then: a name may lead to several.`,
		Example: "  shoal resolve last\n  shoal resume last    # then goes on with those that never started",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return resolve(cmd.Context(), &f, args[0], stdio)
		},
	}
	f.register(cmd)
	cmd.ValidArgsFunction = clirun.CompleteRun(false)
	return cmd
}

func resolve(ctx context.Context, f *markerFlags, name string, stdio console.Stdio) error {
	a, err := newRemoteQuery(ctx, f, name, run.ReadMarked, run.Unresolved, stdio)
	if err != nil {
		return err
	}
	if len(a.Targets)+a.Mute == 0 {
		console.Say(stdio.Err, "nothing is unknown")
		return a.end(console.ExitOK)
	}
	left, err := printAnswers(stdio.Out, a.Resolve(ctx))
	left += a.Mute
	code := console.ExitOK
	if left > 0 || err != nil {
		code = console.ExitUnknown
	}
	if err := errors.Join(err, a.end(code)); err != nil {
		return err
	}
	if code != console.ExitOK {
		console.Say(stdio.Err, "%s of %s are still unknown", ui.Count(int64(left)), ui.Count(int64(len(a.Targets)+a.Mute)))
		return console.ExitError(code)
	}
	return nil
}

// printAnswers prints a line for each target and returns the number of targets
// that stay unknown.
func printAnswers(out io.Writer, answers iter.Seq2[run.Resolution, error]) (left int, err error) {
	for r, err := range answers {
		if err != nil {
			return left, err
		}
		if !r.Known && r.Detached == "" {
			left++
		}
		if _, err := fmt.Fprintf(out, "%s: %s\n", ui.Visible(r.Result.Target.Host.String()), answerWords(&r)); err != nil {
			return left, err
		}
	}
	return left, nil
}

func answerWords(a *run.Resolution) string {
	r := &a.Result
	switch a.Detached {
	case remote.StateRunning:
		return "detached: " + run.StateWords(remote.StateRunning) + "; shoal collect fetches what comes of it"
	case remote.StateEnded:
		return "detached: it has ended, and shoal collect fetches what came of it"
	}
	if !a.Known {
		text, _ := hint.Split(r.Err.Error())
		return "unknown: " + ui.Visible(text)
	}
	switch r.Outcome {
	case fleet.OutcomeOK:
		return "ok: it ran and exited 0"
	case fleet.OutcomeFailed:
		return fmt.Sprintf("failed: it ran, exit status %d", r.Status)
	case fleet.OutcomeSignalled:
		return "signalled: it ran and was ended, " + string(r.Reason)
	}
	return "never started, and never will"
}
