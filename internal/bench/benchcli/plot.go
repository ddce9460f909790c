package benchcli

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"

	"shoal/internal/bench/chart"
	"shoal/internal/bench/report"
	"shoal/internal/cli/console"
	"shoal/internal/cli/flags"
	"shoal/internal/hint"
	"shoal/internal/plainfile"
	"shoal/internal/ui"
)

// plotFlags are the flags of shoal-bench plot.
type plotFlags struct {
	png, svg, html string
	kind           flags.Choice
	dark           bool
	to             int
	markdown       bool
}

func newPlot(stdio console.Stdio) *cobra.Command {
	f := plotFlags{kind: flags.Choice{Value: string(chart.Projected)}}
	for _, k := range chart.Kinds() {
		f.kind.Words = append(f.kind.Words, string(k))
	}
	cmd := &cobra.Command{
		Use:   "plot [flags] FILE...",
		Short: "Show what shoal-bench run measured: tables, trends, projections and charts",
		Long: `Analyse the records of "shoal-bench run" and print tables, or write charts. Several
files are taken as one experiment if they were measured alike, so that large
sizes can be added later.

--png and --svg write one chart: "measured" has linear axes and what was
measured, "projected" logarithmic axes up to --to, "phases" how long each phase
of a host took, "resources" CPU, memory and open files over time. --html writes
all charts and tables as one page that needs no network.`,
		Example: `  shoal-bench plot bench.jsonl
  shoal-bench plot bench.jsonl --png chart.png --html bench.html
  shoal-bench plot bench.jsonl --chart measured --svg chart.svg --dark
  shoal-bench plot small.jsonl large.jsonl --to 1000000 --markdown`,
		Args: cobra.MinimumNArgs(1),
		RunE: func(_ *cobra.Command, args []string) error { return plotRecords(&f, args, stdio) },
	}
	flags := cmd.Flags()
	flags.SortFlags = false
	flags.StringVar(&f.png, "png", "", "write a chart as PNG to `FILE`")
	flags.StringVar(&f.svg, "svg", "", "write a chart as SVG to `FILE`")
	flags.StringVar(&f.html, "html", "", "write all charts and tables as one page to `FILE`")
	flags.Var(&f.kind, "chart", "which chart --png and --svg write")
	flags.BoolVar(&f.dark, "dark", false, "draw --png and --svg for a dark ground")
	flags.IntVar(&f.to, "to", report.Target, "project to this number of hosts: where the projected chart ends")
	flags.BoolVar(&f.markdown, "markdown", false, "print the tables as Markdown")
	return cmd
}

// plotRecords implements shoal-bench plot. It prints the tables unless an
// output file is named.
func plotRecords(f *plotFlags, paths []string, stdio console.Stdio) error {
	if f.to < 1 || f.to > 1e9 {
		return fmt.Errorf("--to %d is not between 1 and 1,000,000,000", f.to)
	}
	r, err := readReport(paths, f.to)
	if err != nil {
		return err
	}
	o := chart.Options{Dark: f.dark, To: f.to}
	wrote := false
	for _, out := range []struct {
		path  string
		write func(io.Writer) error
	}{
		{f.png, f.picture(r, o, (*chart.Picture).WritePNG)},
		{f.svg, f.picture(r, o, (*chart.Picture).WriteSVG)},
		{f.html, func(w io.Writer) error { return chart.WriteHTML(w, r, o) }},
	} {
		if out.path == "" {
			continue
		}
		if err := writeWhole(out.path, paths, out.write); err != nil {
			return err
		}
		wrote = true
	}
	if wrote && !f.markdown {
		return nil
	}
	return f.print(r, stdio)
}

// readReport reads the records as one experiment.
func readReport(paths []string, to int) (*report.Report, error) {
	var m report.Measurements
	for _, path := range paths {
		if err := addRecord(&m, path); err != nil {
			return nil, err
		}
	}
	r, err := m.Analyse(to)
	if errors.Is(err, report.ErrNothing) {
		return nil, hint.Wrap(err, "a larger time limit or fewer hosts let it come there")
	}
	return r, err
}

func addRecord(m *report.Measurements, path string) error {
	file, err := plainfile.Open(path)
	if err != nil {
		return fmt.Errorf("opening a bench record: %w", err)
	}
	defer func() { _ = file.Close() }()
	return m.Add(path, file)
}

// picture returns a function that draws the chart and writes it.
func (f *plotFlags) picture(r *report.Report, o chart.Options, write func(*chart.Picture, io.Writer) error) func(io.Writer) error {
	return func(w io.Writer) error {
		p, err := chart.Draw(r, chart.Kind(f.kind.Value), o)
		if err != nil {
			return fmt.Errorf("drawing the chart %q: %w", f.kind.Value, err)
		}
		return write(p, w)
	}
}

// writeWhole replaces a file only when the new content is complete, and never
// one of the records.
func writeWhole(path string, records []string, write func(io.Writer) error) error {
	if existing, err := os.Stat(path); err == nil {
		for _, record := range records {
			if info, err := os.Stat(record); err == nil && os.SameFile(existing, info) {
				return hint.Wrap(fmt.Errorf("%s is the record itself", path), "write the chart to another file")
			}
		}
	}
	var b bytes.Buffer
	if err := write(&b); err != nil {
		return err
	}
	if err := os.WriteFile(path, b.Bytes(), 0o644); err != nil {
		return fmt.Errorf("writing a chart: %w", err)
	}
	return nil
}

// print prints the tables.
func (f *plotFlags) print(r *report.Report, stdio console.Stdio) error {
	columns := ui.Inspect(stdio.Out, os.Getenv).Columns()
	var b bytes.Buffer
	for i, t := range r.Tables() {
		if i > 0 {
			b.WriteByte('\n')
		}
		if f.markdown {
			b.WriteString(t.Markdown())
		} else {
			b.WriteString(t.Text(columns))
		}
	}
	if _, err := b.WriteTo(stdio.Out); err != nil {
		return fmt.Errorf("printing the tables: %w", err)
	}
	return nil
}
