package history

import (
	"context"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"

	"shoal/fleet"
	"shoal/hosts/expr"
	"shoal/internal/journal"
	"shoal/internal/output"
	"shoal/internal/report"
	"shoal/internal/ui"
)

const (
	// maxChanges is the number of changed results of a watch that are read for show.
	maxChanges = 10_000
	// maxChangeLines is the number of lines in which they are shown.
	maxChangeLines = 100
	// maxReported and maxReportedLines are the same for a report, which is made again and again
	// while the watch goes on.
	maxReported, maxReportedLines = 2000, 50
	// maxChangeHosts limits the columns of the hosts of a change in a report.
	maxChangeHosts = 400
)

// changesOf returns which hosts had another result in a tick than before, each end in each tick as
// one, the last ones last, from the last results of a watch.
func changesOf(ctx context.Context, j *journal.Journal, id string, results int) ([]report.Changed, error) {
	all, err := j.AnswerChanges(ctx, id, results)
	if err != nil {
		return nil, err
	}
	type change struct {
		report.Changed
		hosts []string
	}
	var changes []*change
	byKey := make(map[string]*change)
	for i := range all {
		one := &all[i]
		end := output.EndText(&one.End)
		key := fmt.Sprint(one.Tick, end)
		c := byKey[key]
		if c == nil {
			c = &change{Changed: report.Changed{What: end, Tick: one.Tick, When: "before the ticks that are kept", First: one.Target.Index}}
			if !one.At.IsZero() {
				c.When = one.At.Local().Format(time.DateTime)
			}
			byKey[key] = c
			changes = append(changes, c)
		}
		c.hosts = append(c.hosts, one.Target.Host.String())
	}
	told := make([]report.Changed, len(changes))
	for i, c := range changes {
		c.Hosts = ui.Visible(expr.Fold(c.hosts))
		if len(c.hosts) > 1 {
			c.Hosts += " (" + ui.Count(int64(len(c.hosts))) + ")"
		}
		told[i] = c.Changed
	}
	return told, nil
}

// showChanges prints when answers of a watch changed, the last changes last.
func showChanges(ctx context.Context, j *journal.Journal, id string, w io.Writer) error {
	changes, err := changesOf(ctx, j, id, maxChanges)
	if err != nil || len(changes) == 0 {
		return err
	}
	columns := ui.Inspect(w, os.Getenv).Columns()
	if columns <= 0 {
		columns = 200
	}
	var text strings.Builder
	text.WriteString("other results than in the tick before:\n")
	if more := len(changes) - maxChangeLines; more > 0 {
		changes = changes[more:]
		fmt.Fprintf(&text, "  … %s earlier ones\n", ui.Count(int64(more)))
	}
	for _, c := range changes {
		text.WriteString(ui.Truncate(fmt.Sprintf("  %s tick %d: %s: %s", c.When, c.Tick, c.What, c.Hosts), columns) + "\n")
	}
	_, err = io.WriteString(w, text.String())
	return err
}

// watchOf returns what a report has of a watch beside the results; nil for any other run.
func watchOf(ctx context.Context, j *journal.Journal, info *journal.RunInfo) (*report.Watch, error) {
	if info.Watch() == "" {
		return nil, nil
	}
	ticks, err := j.Ticks(ctx, info.Run)
	if err != nil {
		return nil, err
	}
	changes, err := changesOf(ctx, j, info.Run, maxReported)
	if err != nil {
		return nil, err
	}
	slices.Reverse(changes)
	w := &report.Watch{Head: watchHead(info, &ticks), Changes: changes}
	if w.Earlier = len(changes) - maxReportedLines; w.Earlier > 0 {
		w.Changes = changes[:maxReportedLines]
	} else {
		w.Earlier = 0
	}
	for i := range w.Changes {
		c := &w.Changes[i]
		c.When, c.Hosts = fmt.Sprintf("%s tick %d", c.When, c.Tick), ui.Truncate(c.Hosts, maxChangeHosts)
	}
	return w, nil
}

// watchHead says how a watch is going.
func watchHead(info *journal.RunInfo, t *journal.Ticks) [][2]string {
	ticks := ui.Count(int64(t.Count)) + ", " + rhythm(info)
	if t.Missed > 0 {
		ticks += ", " + ui.Count(int64(t.Missed)) + " missed"
	}
	head := [][2]string{{"ticks", ticks}}
	if t.Count == 0 {
		return head
	}
	last := &t.Last
	text := fmt.Sprintf("tick %d at %s", last.N, last.Started.Local().Format(time.DateTime))
	if last.Late >= time.Millisecond {
		text += ", " + ui.Duration(last.Late) + " late"
	}
	switch {
	case !last.Ended.IsZero():
		var parts []string
		for o, n := range last.Outcomes {
			if n > 0 {
				parts = append(parts, ui.Count(int64(n))+" "+strings.ReplaceAll(fleet.Outcome(o).String(), "_", " "))
			}
		}
		text += ": " + strings.Join(parts, ", ") + " in " + ui.Duration(max(0, last.Ended.Sub(last.Started)))
	case info.State == journal.Running:
		text += ", goes on"
	default:
		text += ", was broken off"
	}
	if n := len(last.Without); n > 0 {
		text += "; " + ui.CountOf(n, "host", "hosts") + " left out, whose command of an earlier tick went on"
	}
	return append(head, [2]string{"last", text})
}

// rhythm says when the ticks of a watch begin.
func rhythm(i *journal.RunInfo) string {
	how := "every "
	if _, err := time.ParseDuration(i.Watch()); err != nil { // --cron
		how = "at "
	}
	return how + ui.Visible(i.Watch())
}
