package history

import (
	"bytes"
	"cmp"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/spf13/cobra"

	"shoal/fleet"
	"shoal/hosts"
	"shoal/hosts/expr"
	"shoal/hosts/groups"
	"shoal/internal/cli/console"
	"shoal/internal/cli/flags"
	"shoal/internal/hint"
	"shoal/internal/journal"
	"shoal/internal/report"
	"shoal/internal/ui"
	"shoal/record"
)

// historyFlags are the flags of shoal history.
type historyFlags struct {
	journal.Filter
	since    flags.Seconds
	hosts    []string
	outcomes []string
	json     bool
}

// NewHistory returns shoal history.
func NewHistory(stdio console.Stdio) *cobra.Command {
	var f historyFlags
	cmd, _ := journalCommand(stdio.Err, false, "history [flags]", "List the runs that were made, the last first",
		`List the runs in the journal, the last begun first: identifier, when it began, how
long it took and what became of its targets; below, of which run it is a rerun, as
whom it logged in, its hosts and its command. Reruns stand under their first run,
if that is listed too. Eight cells have the shares of outcomes: · ok, x failed, ! did
not run, ? unknown, - cancelled, > detached or running. Where RUN is asked for, "last" means
the one begun last, last~1 the one before it, and the beginning or the last part of
an identifier is enough. If the journal is damaged, the runs that can be read are
listed, the others are named, and the exit code is 4.`,
		"  shoal history\n  shoal history --since 24h --host web03 --outcome failed\n  shoal history -n 0 --json", cobra.NoArgs,
		func(ctx context.Context, j *journal.Journal, _ []string) error { return history(ctx, j, &f, stdio) })
	cmd.Flags().IntVarP(&f.Limit, "number", "n", 10, "show `N` runs; 0 for all")
	cmd.Flags().Var(&f.since, "since", "only runs that began within this time")
	cmd.Flags().StringArrayVar(&f.hosts, "host", nil, "only runs with one of these hosts: `EXPR` as for run -w, or a pattern such as 'web*'")
	cmd.Flags().StringVar(&f.Command, "command", "", "only runs whose command has this `TEXT` in it")
	cmd.Flags().StringVar(&f.User, "user", "", "only runs that logged in as `USER` somewhere")
	cmd.Flags().StringSliceVar(&f.outcomes, "outcome", nil, "only runs with a target that is one of these `OUTCOMES`: "+strings.Join(outcomeWords(), ", "))
	cmd.Flags().BoolVar(&f.json, "json", false, "write JSON lines, one per run")
	_ = cmd.RegisterFlagCompletionFunc("outcome", cobra.FixedCompletions(outcomeWords(), cobra.ShellCompDirectiveNoFileComp))
	return cmd
}

// outcomeWords are the outcomes as --outcome takes them.
func outcomeWords() []string {
	var words []string
	for o := fleet.OutcomeOK; o < fleet.NumOutcomes; o++ {
		words = append(words, strings.ReplaceAll(o.String(), "_", "-"))
	}
	return words
}

// filter returns the journal's filter, without the outcomes and, if there are some,
// without the limit. Expressions may name groups; nil: none.
func (f *historyFlags) filter(named expr.Groups) (journal.Filter, error) {
	filter := f.Filter
	if d := f.since.Duration(); d > 0 {
		filter.Since = time.Now().Add(-d)
	}
	if len(f.outcomes) > 0 {
		filter.Limit = 0
	}
	if len(f.hosts) > 0 {
		filter.Hosts = []string{} // an expression may leave no host
	}
	for _, text := range f.hosts {
		if strings.ContainsAny(text, "*?") {
			if at := strings.IndexAny(text, "[],!&^@ \t"); at >= 0 {
				return filter, hint.Wrap(fmt.Errorf("--host %.80q: a pattern has * and ? only, and no %q of an expression", text, text[at]),
					"--host may be given several times, such as --host 'web0?' --host 'db*'")
			}
			filter.Hosts = append(filter.Hosts, text)
			continue
		}
		e, err := expr.NewResolver(named).Parse(text)
		if err != nil {
			return filter, fmt.Errorf("--host %.80q: %w", text, err)
		}
		for name := range e.Names() {
			h, err := hosts.ParseHost(name)
			if err != nil {
				return filter, fmt.Errorf("--host %.80q: %w", text, err)
			}
			filter.Hosts = append(filter.Hosts, h.Name)
		}
	}
	return filter, nil
}

// outcomesOf returns the outcomes that words name.
func outcomesOf(words []string) (outcomes []fleet.Outcome, err error) {
	for _, word := range words {
		o, err := fleet.ParseOutcome(strings.ReplaceAll(word, "-", "_"))
		if err != nil {
			return nil, hint.Wrap(fmt.Errorf("--outcome %.40q is none", word), "one of "+strings.Join(outcomeWords(), ", "))
		}
		outcomes = append(outcomes, o)
	}
	return outcomes, nil
}

func history(ctx context.Context, j *journal.Journal, f *historyFlags, stdio console.Stdio) error {
	outcomes, err := outcomesOf(f.outcomes)
	if err != nil {
		return err
	}
	filter, err := f.filter(flags.ClusterShellGroups(ctx, groups.Limits{}))
	if err != nil {
		return err
	}
	out := ui.Inspect(stdio.Out, os.Getenv)
	var runs []listedRun
	listed, damaged := 0, false
	for info, err := range j.Runs(ctx, filter) {
		var o *journal.Outline
		if err == nil {
			o, err = j.Outline(ctx, info.Run)
		}
		if errors.Is(err, journal.ErrNoRun) {
			continue // pruned in the meantime
		}
		if err != nil {
			console.Complain(stdio.Err, err)
			damaged = true
			continue
		}
		if len(outcomes) > 0 && !hasOutcome(&o.Summary, outcomes) {
			continue
		}
		if f.json {
			if err := writeRun(stdio.Out, &info, o, out.Terminal); err != nil {
				return err
			}
		} else {
			runs = append(runs, listedRun{
				id: info.Run, parent: info.Parent, below: about(&info, o) + ": " + commandText(&info),
				row: []string{info.Run, begun(&info), took(&info), report.Cells(&o.Summary, o.Waiting, o.Started, listCells), became(&info, o)},
			})
		}
		if listed++; listed == f.Limit {
			break
		}
	}
	if !f.json && listed > 0 {
		err = writeTable(stdio.Out, underTheirFirst(runs), cmp.Or(out.Columns(), 200))
	}
	switch {
	case err == nil && damaged:
		return console.ExitError(console.ExitUnknown)
	case !f.json && listed == 0:
		console.Say(stdio.Err, "no run is like that")
	}
	return err
}

// listCells is the number of cells that show the outcomes of a run in the list.
const listCells = 8

// begun returns when a run began.
func begun(i *journal.RunInfo) string { return i.Started.Local().Format("2006-01-02 15:04:05") }

// A listedRun is a row of the table of runs.
type listedRun struct {
	id, parent string
	row        []string
	below      string // the line below it
	rerun      bool   // it stands under the run that it is a rerun of
}

// underTheirFirst moves reruns under the run that they, or those that they are reruns of, were
// taken from, in the order of their beginning. runs are the last begun first, and so is what has
// moved together, by the last of it. Reruns of a run that is not listed stay where they are.
func underTheirFirst(runs []listedRun) []listedRun {
	parents := make(map[string]string, len(runs))
	for _, r := range runs {
		parents[r.id] = r.parent
	}
	first := func(id string) string {
		for range runs { // a damaged journal may have a circle
			parent := parents[id]
			if _, listed := parents[parent]; !listed {
				break
			}
			id = parent
		}
		return id
	}
	groups := make(map[string][]listedRun)
	var order []string
	for _, r := range runs {
		root := first(r.id)
		if groups[root] == nil {
			order = append(order, root)
		}
		groups[root] = append(groups[root], r)
	}
	arranged := make([]listedRun, 0, len(runs))
	for _, root := range order {
		for _, r := range slices.Backward(groups[root]) {
			r.rerun = r.id != root
			arranged = append(arranged, r)
		}
	}
	return arranged
}

// writeTable writes the table of the runs, with a line below each row.
func writeTable(w io.Writer, runs []listedRun, columns int) error {
	rows := [][]string{{"run", "began", "took", "", "what became of its targets"}}
	for _, r := range runs {
		if r.rerun {
			r.row[0] = "  " + r.row[0]
		}
		rows = append(rows, r.row)
	}
	var b strings.Builder
	for i, line := range strings.SplitAfter(ui.AlignTable(rows), "\n") {
		b.WriteString(ui.Wrap(line, columns))
		if i > 0 && i <= len(runs) {
			indent := "    "
			if runs[i-1].rerun {
				indent = "      "
			}
			b.WriteString(ui.Truncate(indent+runs[i-1].below, columns) + "\n")
		}
	}
	_, err := io.WriteString(w, b.String())
	return err
}

func hasOutcome(s *record.Summary, any []fleet.Outcome) bool {
	for _, o := range any {
		if s.Outcomes[o] > 0 {
			return true
		}
	}
	return false
}

// took returns the time from the beginning of a run to its end, or until now; "" if that
// is not known.
func took(i *journal.RunInfo) string {
	switch ended := i.Ended(); {
	case !ended.IsZero():
		return ui.Duration(max(0, ended.Sub(i.Started)))
	case i.State == journal.Running:
		return ui.Duration(max(0, time.Since(i.Started)))
	}
	return ""
}

// neverBegan reports whether a run ended before anything of it was started.
func neverBegan(i *journal.RunInfo) bool {
	return i.State == journal.Ended && len(i.Sessions) == 1 && i.Sessions[0].ExitCode == console.ExitUsage
}

// became says what became of the targets of a run.
func became(i *journal.RunInfo, o *journal.Outline) string {
	if i.Watch() != "" {
		return watched(i, o)
	}
	text := counts(&o.Summary)
	switch {
	case i.State == journal.Running:
		var parts []string
		if text != "" {
			parts = append(parts, text)
		}
		for _, p := range []struct {
			n    int
			what string
		}{{o.Started, " started"}, {o.Waiting, " waiting"}} {
			if p.n > 0 {
				parts = append(parts, ui.Count(int64(p.n))+p.what)
			}
		}
		return "running: " + strings.Join(parts, ", ")
	case i.State == journal.Incomplete, neverBegan(i):
		return "nothing was started"
	case i.State == journal.Crashed:
		return "crashed: " + text
	case i.Sessions[len(i.Sessions)-1].Interrupted:
		return "interrupted: " + text
	}
	return text
}

// watched says what came of a watch.
func watched(i *journal.RunInfo, o *journal.Outline) string {
	text := ui.CountOf(o.Ticks.Count, "tick", "ticks") + ", " + rhythm(i)
	if i.State == journal.Running || i.State == journal.Crashed {
		text = i.State.String() + ": " + text
	}
	if o.Ticks.Missed > 0 {
		text += ", " + ui.Count(int64(o.Ticks.Missed)) + " missed"
	}
	if last := counts(&o.Summary); last != "" {
		text += "; last " + last
	}
	return text
}

// brokenOff reports whether the last tick of a watch was broken off, with its process.
func brokenOff(i *journal.RunInfo, t *journal.Ticks) bool {
	return i.State != journal.Running && t.Count > 0 && t.Last.Ended.IsZero()
}

// about says of which run i is a rerun, why it ended early, and as whom it logged in
// where.
func about(i *journal.RunInfo, o *journal.Outline) string {
	text := ""
	if i.Parent != "" {
		text = "rerun of " + i.Parent + "; "
	}
	if n := len(i.Sessions); n > 0 && i.Sessions[n-1].Failure != "" && !neverBegan(i) {
		text += ui.Visible(fmt.Sprintf("%.100s", i.Sessions[n-1].Failure)) + "; "
	}
	if len(o.Users) > 0 {
		text += ui.Visible(o.Users[0])
	}
	if n := len(o.Users) - 1; n > 0 {
		text += fmt.Sprintf(" and %d more", n)
	}
	switch n := len(o.Hosts); n {
	case 0:
		text += " on no host"
	case 1:
		text += " on " + ui.Visible(o.Hosts[0])
	default:
		text += " on " + ui.Count(int64(n)) + " hosts"
	}
	if i.Targets != len(o.Hosts) {
		text += ", " + ui.Count(int64(i.Targets)) + " targets"
	}
	return text
}

func commandText(i *journal.RunInfo) string {
	if i.NoCommand {
		return "(command not kept)"
	}
	return ui.Visible(fmt.Sprintf("%.1000s", i.Command))
}

// A runLine is a run as --json has it.
type runLine struct {
	Run             string         `json:"run"`
	Parent          string         `json:"rerun_of,omitempty"`
	Started         time.Time      `json:"started"`
	Ended           *time.Time     `json:"ended,omitempty"`
	State           string         `json:"state"`
	Interrupted     bool           `json:"interrupted"`
	ExitCode        *int           `json:"exit_code,omitempty"`
	Error           string         `json:"error,omitempty"`
	Program         string         `json:"program"`
	Command         *string        `json:"command"` // null: not kept
	CommandEncoding string         `json:"command_encoding,omitempty"`
	Targets         int            `json:"targets"`
	Hosts           int            `json:"hosts"`
	Users           []string       `json:"users"`
	Outcomes        map[string]int `json:"outcomes"`
	StartedTargets  int            `json:"in_progress"`
	Waiting         int            `json:"waiting"`
	Watch           string         `json:"watch,omitempty"` // the interval of a watch, whose outcomes are the last ones
	Ticks           int            `json:"ticks,omitempty"`
	MissedTicks     int            `json:"missed_ticks,omitempty"`
}

// writeRun writes a run as a line of JSON.
func writeRun(w io.Writer, i *journal.RunInfo, o *journal.Outline, terminal bool) error {
	line := runLine{
		Run: i.Run, Parent: i.Parent, Started: i.Started, State: i.State.String(), Program: i.Program,
		Targets: i.Targets, Hosts: len(o.Hosts), Users: o.Users, Outcomes: make(map[string]int),
		StartedTargets: o.Started, Waiting: o.Waiting, Watch: i.Watch(), Ticks: o.Ticks.Count, MissedTicks: o.Ticks.Missed,
	}
	for outcome := range fleet.NumOutcomes {
		if n := o.Outcomes[outcome]; n > 0 {
			line.Outcomes[outcome.String()] = n
		}
	}
	if ended := i.Ended(); !ended.IsZero() {
		last := i.Sessions[len(i.Sessions)-1]
		line.Ended, line.ExitCode, line.Interrupted, line.Error = &ended, &last.ExitCode, last.Interrupted, last.Failure
	}
	if !i.NoCommand {
		line.Command = &i.Command
		if !utf8.ValidString(i.Command) {
			text := base64.StdEncoding.EncodeToString([]byte(i.Command))
			line.Command, line.CommandEncoding = &text, "base64"
		}
	}
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(line); err != nil {
		return fmt.Errorf("writing the run %s as JSON: %w", i.Run, err)
	}
	text := b.Bytes()
	if terminal {
		text = ui.AppendVisible(nil, text, ui.KeepNewline)
	}
	_, err := w.Write(text)
	return err
}

// showHead says on standard error what the run was that is shown.
func showHead(ctx context.Context, j *journal.Journal, i *journal.RunInfo, stderr io.Writer) error {
	o, err := j.Outline(ctx, i.Run)
	if err != nil {
		return err
	}
	time := "begun " + begun(i)
	switch d := took(i); {
	case i.State == journal.Running:
		time += ", " + d + " so far"
	case d != "":
		time += ", took " + d
	}
	if i.State != journal.Ended || i.Sessions[len(i.Sessions)-1].Interrupted || i.Watch() != "" {
		time += "; " + became(i, o)
	}
	by := "by " + ui.Visible(i.Program)
	if i.Settings != nil && i.Settings.Directory != "" {
		by += " in " + ui.Visible(i.Settings.Directory)
	}
	text := fmt.Sprintf("shoal: run %s: %s\n  %s\n  %s; %s\n", i.Run, shortened(commandText(i), 200), time, about(i, o), by)
	if brokenOff(i, &o.Ticks) {
		text += fmt.Sprintf("  tick %d was broken off: what its commands did is not known; below are the answers before\n", o.Ticks.Count)
	}
	_, err = io.WriteString(stderr, ui.Wrap(text, ui.Inspect(stderr, os.Getenv).Columns()))
	return err
}
