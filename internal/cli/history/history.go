// Package history implements the commands that work on earlier runs in the
// journal: history, show, verify, prune, rerun and resume. The journal itself
// is internal/journal; asking the hosts about an earlier run is package
// markers.
package history

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"shoal/fleet"
	"shoal/internal/cli/console"
	"shoal/internal/cli/display"
	"shoal/internal/cli/flags"
	clirun "shoal/internal/cli/run"
	"shoal/internal/cli/signals"
	"shoal/internal/hint"
	"shoal/internal/journal"
	"shoal/internal/output"
	"shoal/internal/run"
	"shoal/internal/ui"
	"shoal/record"
)

// journalCommand makes a command that opens the journal and calls do. write
// opens it for writing.
func journalCommand(stderr io.Writer, write bool, use, short, long, example string, args cobra.PositionalArgs,
	do func(ctx context.Context, j *journal.Journal, args []string) error,
) (*cobra.Command, *string) {
	dir := new(string)
	cmd := &cobra.Command{
		Use: use, Short: short, Long: long, Example: example, Args: args,
		RunE: func(cmd *cobra.Command, args []string) error {
			var j *journal.Journal
			var err error
			if write {
				j, err = clirun.OpenExisting(cmd.Context(), flags.StateDir(*dir))
			} else {
				j, err = clirun.OpenJournalToRead(cmd.Context(), flags.StateDir(*dir), stderr)
			}
			switch {
			case errors.Is(err, clirun.ErrNoJournal) && len(args) == 0: // all of its runs are none
				text, _ := hint.Split(err.Error())
				console.Say(stderr, "%s", ui.Visible(text))
				return nil
			case err != nil:
				return err
			}
			defer func() { _ = j.Close() }()
			return do(cmd.Context(), j, args)
		},
	}
	cmd.Flags().StringVar(dir, "state-dir", "", "the state `DIR` with the journal (default: ~/.local/state/shoal)")
	return cmd, dir
}

// counts lists the outcomes that occurred and their numbers.
func counts(s *record.Summary) string {
	text := ""
	for o := range fleet.NumOutcomes {
		if n := s.Outcomes[o]; n > 0 {
			if text != "" {
				text += ", "
			}
			text += ui.Count(int64(n)) + " " + strings.ReplaceAll(o.String(), "_", " ")
		}
	}
	return text
}

func shortened(s string, columns int) string {
	if r := []rune(s); len(r) > columns {
		return string(r[:columns-1]) + "…"
	}
	return s
}

// NewShow returns shoal show.
func NewShow(stdio console.Stdio) *cobra.Command {
	var f display.OutputFlags
	var which string
	var cmd *cobra.Command
	var dir *string
	cmd, dir = journalCommand(stdio.Err, false, "show [flags] RUN [EXPR...]", "Show what happened in a run, again",
		`Show the results of a run, or of some of its hosts, from the journal: as they
would have been shown then, by the same flags. Of a watch these are the last answers,
and below is what changed when.`,
		"  shoal show last -b\n  shoal show last 'web[01-07]'\n  shoal show last --only failed,cause=auth", cobra.MinimumNArgs(1),
		func(ctx context.Context, j *journal.Journal, args []string) error {
			f.Again = display.ShowAgain(args[0], *dir)
			return show(ctx, j, args[0], args[1:], which, &f, stdio)
		})
	group := f.Output()
	cmd.Flags().AddFlagSet(group.FlagSet)
	cmd.ValidArgsFunction = clirun.CompleteRun(false)
	cmd.Flags().StringVar(&which, "only", "", "only targets that are `WORDS`: "+selectionWords())
	_ = cmd.RegisterFlagCompletionFunc("only", clirun.CompleteSelection) // it exists
	return cmd
}

// selectionWords lists the words that a selector accepts.
func selectionWords() string {
	text := ""
	for _, s := range journal.Selections {
		text += s.Name + ", "
	}
	return text + run.Differs + " (from the most frequent answer), cause=REASON"
}

func show(ctx context.Context, j *journal.Journal, name string, hosts []string, which string, f *display.OutputFlags, stdio console.Stdio) error {
	f.Selects = run.HasDiffers(which)
	if err := f.Validate(); err != nil {
		return err
	}
	id, err := j.Resolve(ctx, name)
	if err != nil {
		return err
	}
	selector := journal.All
	if which != "" {
		if selector, err = run.ParseSelection(ctx, j, id, which, f.GroupOptions()); err != nil {
			return err
		}
	}
	f.Some = which != "" || len(hosts) > 0
	f.AddAgain(which, hosts)
	if len(hosts) > 0 {
		named, err := namedHosts(ctx, j, id, hosts)
		if err != nil {
			return err
		}
		all := selector
		selector = func(e *journal.Entry) bool { return named(e) && all(e) }
	}
	info, err := j.Run(ctx, id)
	if err != nil {
		return err
	}
	if !f.JSON() {
		if err := showHead(ctx, j, info, stdio.Err); err != nil {
			return err
		}
	}
	f.Progress.Value = "never"
	f.Ordered = false // the journal returns them in order already
	if f.Files() || f.NamesReference() || ui.Inspect(stdio.Out, os.Getenv).Terminal {
		targets, err := j.Select(ctx, id, journal.All)
		if err != nil {
			return err
		}
		f.Named = slices.Values(targets)
	}
	if err := f.Check(); err != nil {
		return err
	}
	out, err := display.New(f, stdio, info.Header, nil)
	if err != nil {
		return err
	}
	for e, err := range j.Show(ctx, id, selector) {
		if err != nil {
			return cutShort(err, out)
		}
		if info.State == journal.Running && e.Progress != journal.Done {
			continue // it has no result yet; the head counts it
		}
		if out.Take(e.Result); out.Failure() != nil { // which was said
			_ = out.Abandon(signals.Patience{})
			return console.ExitError(console.ExitUnknown)
		}
	}
	if ended := info.Ended(); !ended.IsZero() {
		out.Summary.Elapsed = max(0, ended.Sub(info.Started))
	}
	out.Settle(signals.Patience{}, "")
	out.Close(signals.Patience{})
	if info.Watch() != "" && !f.JSON() && !f.Some && out.Failure() == nil {
		if err := showChanges(ctx, j, id, stdio.Out); err != nil {
			return err
		}
	}
	if out.Failure() != nil {
		return console.ExitError(console.ExitUnknown)
	}
	return nil
}

// cutShort prints the summary of what was shown before err ended it.
func cutShort(err error, out *display.Results) error {
	_, _ = fmt.Fprint(out.Stderr, output.SummaryText(&out.Summary, out.Columns(), false))
	_ = out.Abandon(signals.Patience{})
	return err
}

// NewVerify returns shoal verify.
func NewVerify(stdio console.Stdio) *cobra.Command {
	cmd, _ := journalCommand(stdio.Err, false, "verify RUN", "Check that the journal has a run as it was written",
		`Check the database, and every row and output that the journal has of a run, and
count the targets of which nobody knows whether their command ran.`,
		"  shoal verify last", cobra.ExactArgs(1),
		func(ctx context.Context, j *journal.Journal, args []string) error {
			return verify(ctx, j, args[0], stdio)
		})
	cmd.ValidArgsFunction = clirun.CompleteRun(false)
	return cmd
}

func verify(ctx context.Context, j *journal.Journal, name string, stdio console.Stdio) error {
	id, err := j.Resolve(ctx, name)
	if err != nil {
		return err
	}
	report, err := j.Verify(ctx, id)
	if err != nil {
		return err
	}
	for _, p := range report.Problems {
		console.Complain(stdio.Err, p)
	}
	_, err = fmt.Fprintf(stdio.Out, "%s: %d targets, %d intents, %d results, %d outputs; %d targets with an intent and no result; %d problems\n",
		id, report.Targets, report.Intents, report.Results, report.Contents, len(report.Unresolved), len(report.Problems))
	if err == nil && !report.OK() {
		return console.ExitError(console.ExitUnknown)
	}
	return err
}

// NewPrune returns shoal prune.
func NewPrune(stdio console.Stdio) *cobra.Command {
	keep := journal.Retention{}
	days := clirun.KeptDays
	larger := flags.Size(clirun.KeptBytes)
	cmd, _ := journalCommand(stdio.Err, true, "prune [flags]", "Remove old runs from the journal",
		`Remove runs from the journal that are old, and those that were begun first while
it is too large. A running run is never removed, and one that was interrupted or
has crashed, so that shoal resume can continue it, only with --interrupted. Other
processes may work on runs meanwhile.`,
		"  shoal prune --days 30 --size 500M", cobra.NoArgs,
		func(ctx context.Context, j *journal.Journal, _ []string) error {
			age, err := clirun.Days(days, 0)
			if err != nil {
				return err
			}
			keep.MaxAge, keep.MaxBytes = age, int64(larger)
			pruned, err := j.Prune(ctx, keep)
			if errors.Is(err, journal.ErrMostOld) {
				return hint.Wrap(err, "is the clock right? --most removes them all the same")
			}
			if err != nil {
				return err
			}
			if n := len(pruned.Kept); n > 0 {
				console.Say(stdio.Err, "%s runs stay that were interrupted and may be resumed, the first of them %s; --interrupted removes them",
					ui.Count(int64(n)), pruned.Kept[0])
			}
			_, err = fmt.Fprintf(stdio.Out, "%d runs removed, %s bytes freed\n", len(pruned.Runs), ui.Count(pruned.Bytes))
			return err
		})
	cmd.Flags().IntVar(&days, "days", clirun.KeptDays, "keep runs for `N` days; 0 for ever")
	cmd.Flags().Var(&larger, "size", "keep so much at the most; 0 for no limit")
	cmd.Flags().BoolVar(&keep.Interrupted, "interrupted", false, "remove also runs that may be resumed")
	cmd.Flags().BoolVar(&keep.Most, "most", false, "remove old runs even if they are most of all, or all")
	return cmd
}
