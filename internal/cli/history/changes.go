package history

import (
	"context"
	"fmt"
	"io"
	"os"
	"strings"

	"shoal/hosts/expr"
	"shoal/internal/journal"
	"shoal/internal/output"
	"shoal/internal/ui"
)

const (
	// maxChanges is the number of changed results of a watch that are read for show.
	maxChanges = 10_000
	// maxChangeLines is the number of lines in which they are shown.
	maxChangeLines = 100
)

// showChanges prints when answers of a watch changed, the last changes last.
func showChanges(ctx context.Context, j *journal.Journal, id string, w io.Writer) error {
	changes, err := j.AnswerChanges(ctx, id, maxChanges)
	if err != nil || len(changes) == 0 {
		return err
	}
	type line struct {
		tick  int
		when  string
		end   string
		hosts []string
	}
	var lines []*line
	byKey := make(map[string]*line)
	for i := range changes {
		c := &changes[i]
		end := output.EndText(&c.End)
		key := fmt.Sprint(c.Tick, end)
		l := byKey[key]
		if l == nil {
			l = &line{tick: c.Tick, end: end, when: "before the ticks that are kept"}
			if !c.At.IsZero() {
				l.when = c.At.Local().Format("2006-01-02 15:04:05")
			}
			byKey[key] = l
			lines = append(lines, l)
		}
		l.hosts = append(l.hosts, c.Target.Host.String())
	}
	columns := ui.Inspect(w, os.Getenv).Columns()
	if columns <= 0 {
		columns = 200
	}
	var text strings.Builder
	text.WriteString("other results than in the tick before:\n")
	if more := len(lines) - maxChangeLines; more > 0 {
		lines = lines[more:]
		fmt.Fprintf(&text, "  … %s earlier ones\n", ui.Count(int64(more)))
	}
	for _, l := range lines {
		hosts := ui.Visible(expr.Fold(l.hosts))
		if len(l.hosts) > 1 {
			hosts += " (" + ui.Count(int64(len(l.hosts))) + ")"
		}
		text.WriteString(ui.Truncate(fmt.Sprintf("  %s tick %d: %s: %s", l.when, l.tick, l.end, hosts), columns) + "\n")
	}
	_, err = io.WriteString(w, text.String())
	return err
}
