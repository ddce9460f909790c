package history

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"shoal/internal/cli/console"
	"shoal/internal/cli/display"
	"shoal/internal/cli/flags"
	clirun "shoal/internal/cli/run"
	"shoal/internal/hint"
	"shoal/internal/journal"
	"shoal/internal/plainfile"
	"shoal/internal/report"
	"shoal/internal/ui"
)

// reportFlags are the flags of shoal report.
type reportFlags struct {
	display.EqualFlags
	diffTo  string
	format  flags.Choice
	file    string
	maxText flags.Size
}

// formats are the formats by the end of a file's name.
var formats = map[string]string{
	".html": "html", ".htm": "html", ".md": "markdown", ".json": "json", ".txt": "text", ".csv": "csv", ".xml": "junit",
}

// NewReport returns shoal report.
func NewReport(stdio console.Stdio) *cobra.Command {
	f := reportFlags{format: flags.Choice{Value: "text", Words: []string{"text", "markdown", "json", "html", "csv", "junit"}}, maxText: report.DefaultMaxText}
	var cmd *cobra.Command
	cmd, _ = journalCommand(stdio.Err, false, "report [flags] RUN", "Report on a run: causes, groups, times, a map of the hosts",
		`Report on a run from the journal: the summary, why hosts failed, equal results
with the names of their hosts and how they differ from the most frequent answer,
how long each phase took, open sessions over time, and a cell for each host. As
HTML it is one file that loads nothing and works without a network, from disk or
as an attachment: search, and press a cell to see what a host answered. As CSV it
has a row for each host, and as JUnit XML a test, for CI servers.

Answers are equal if they differ only in noise, such as times (--mask none: if
every byte is the same); what is shown is one host's real text. Texts of hosts
are cut at --max-text; what is left out is said.`,
		"  shoal report last\n  shoal report last -o run.html\n  shoal report last --format markdown > run.md", cobra.ExactArgs(1),
		func(ctx context.Context, j *journal.Journal, args []string) error {
			if end := formats[filepath.Ext(f.file)]; end != "" && !cmd.Flags().Changed("format") {
				f.format.Value = end
			}
			return f.report(ctx, j, args[0], stdio)
		})
	cmd.Flags().Var(&f.format, "format", "the format (default: as the name of --output ends, else text)")
	cmd.Flags().Lookup("format").DefValue = ""
	cmd.Flags().StringVarP(&f.file, "output", "o", "", "write to `FILE`, which is replaced once all is written")
	cmd.Flags().Var(&f.maxText, "max-text", "have this much of each text of a host")
	f.Register(cmd.Flags(), []string{"auto"})
	cmd.Flags().StringVar(&f.diffTo, "diff-to", "", "say how answers differ from that of `HOST` instead of the most frequent one")
	cmd.ValidArgsFunction = clirun.CompleteRun(false)
	return cmd
}

func (f *reportFlags) report(ctx context.Context, j *journal.Journal, name string, stdio console.Stdio) error {
	if f.maxText <= 0 {
		return hint.New("--max-text 0 would leave no text", "the least is 1")
	}
	equal, err := f.Parse()
	if err != nil {
		return err
	}
	id, err := j.Resolve(ctx, name)
	if err != nil {
		return err
	}
	info, err := j.Run(ctx, id)
	if err != nil {
		return err
	}
	if info.State == journal.Running {
		console.Say(stdio.Err, "the run goes on: hosts without a result are left out")
	}
	r, err := newReport(ctx, j, info, report.Options{MaxText: int(f.maxText), Groups: equal, Reference: f.diffTo}, false)
	if err != nil {
		return err
	}
	if r.NoReference {
		console.Say(stdio.Err, "%s gave no answer; the reference is the largest group", ui.Visible(f.diffTo))
	}
	if f.file != "" {
		err = plainfile.Replace(f.file, 0o600, func(w io.Writer) error { return f.write(r, w, ui.Outlet{}) })
	} else {
		err = f.write(r, stdio.Out, ui.Inspect(stdio.Out, os.Getenv))
	}
	if err != nil {
		return fmt.Errorf("writing the report: %w", err)
	}
	return nil
}

// newReport reads the report of a run. pending also takes targets that have no result yet.
func newReport(ctx context.Context, j *journal.Journal, info *journal.RunInfo, o report.Options, pending bool) (*report.Report, error) {
	o.Header = info.Header
	if info.Settings != nil {
		o.Directory = info.Settings.Directory
	}
	if n := len(info.Sessions); n > 0 {
		o.Interrupted = info.Sessions[n-1].Interrupted
	}
	var err error
	if o.Watch, err = watchOf(ctx, j, info); err != nil {
		return nil, err
	}
	c := report.NewCollector(o)
	for e, err := range j.Show(ctx, info.Run, journal.All) {
		switch {
		case err != nil:
			return nil, errors.Join(err, c.Close())
		case info.State != journal.Running || e.Progress == journal.Done:
			c.Add(e.Result)
		case pending:
			c.Pending(e.Target, e.Progress == journal.Intended)
		}
	}
	ended := info.Ended()
	if info.State == journal.Running {
		ended = time.Now()
	}
	var elapsed time.Duration
	if !ended.IsZero() {
		elapsed = max(0, ended.Sub(info.Started))
	}
	return c.Report(elapsed)
}

func (f *reportFlags) write(r *report.Report, w io.Writer, to ui.Outlet) error {
	switch f.format.Value {
	case "html":
		if to.Terminal {
			return hint.New("HTML is not for a terminal", "-o FILE writes it to a file")
		}
		return r.HTML(w)
	case "markdown":
		return r.Markdown(w)
	case "json":
		return r.JSON(w)
	case "csv":
		return r.CSV(w)
	case "junit":
		return r.JUnit(w)
	}
	return r.Text(w, to.Columns(), to.Colour)
}
