package markers

import (
	"cmp"
	"maps"
	"slices"
	"strings"
	"time"

	"shoal/fleet"
	"shoal/internal/hint"
	"shoal/internal/run"
	"shoal/internal/ui"
)

// tellWaitingAfter is the time before --wait first prints which targets it
// waits for, and the minimum between two such lines.
const tellWaitingAfter = 2 * time.Second

// A waitingNote limits the lines that tell which targets --wait waits for: only
// when the list has changed, and not too often.
type waitingNote struct {
	last string
	due  time.Time
}

func newWaitingNote(now time.Time) *waitingNote { return &waitingNote{due: now.Add(tellWaitingAfter)} }

// text returns the line to print before a pause of wait; "" for none.
func (n *waitingNote) text(waiting []run.Pending, now time.Time, wait time.Duration) string {
	text := "waiting for " + byCause(waiting, "; ")
	if text == n.last || now.Add(wait).Before(n.due) {
		return ""
	}
	n.last, n.due = text, now.Add(10*tellWaitingAfter)
	return text
}

// byCause lists targets grouped by the reason why they are missing, largest
// group first, safe for a terminal.
func byCause(pending []run.Pending, between string) string {
	hosts := make(map[string][]fleet.Host)
	for _, p := range pending {
		hosts[cause(p)] = append(hosts[cause(p)], p.Result.Target.Host)
	}
	causes := slices.SortedFunc(maps.Keys(hosts), func(a, b string) int {
		return cmp.Or(cmp.Compare(len(hosts[b]), len(hosts[a])), cmp.Compare(a, b))
	})
	lines := make([]string, len(causes))
	for i, cause := range causes {
		lines[i] = folded(hosts[cause]) + ": " + ui.Visible(cause)
	}
	return strings.Join(lines, between)
}

// cause returns why the target's result is missing.
func cause(p run.Pending) string {
	if p.Err == nil {
		return run.StateWords(p.State)
	}
	text, _ := hint.Split(p.Err.Error())
	return text
}
