package output

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"shoal/hosts/expr"
	"shoal/internal/runstate"
	"shoal/internal/ui"
)

// byActivity are the names of the hosts in flight that do the same.
type byActivity struct {
	activity runstate.Activity
	names    []string // in the order of the targets
}

// groupByActivity returns what is in flight in the order of the activities, without empty
// groups.
func groupByActivity(all []runstate.InFlight) (groups []byActivity) {
	all = slices.Clone(all)
	slices.SortFunc(all, func(a, b runstate.InFlight) int { return a.Target.Index - b.Target.Index })
	for a := range runstate.NumActivities {
		g := byActivity{activity: a}
		for _, f := range all {
			if f.Activity == a {
				g.names = append(g.names, f.Target.Host.String())
			}
		}
		if len(g.names) > 0 {
			groups = append(groups, g)
		}
	}
	return groups
}

// foldNames folds as many names as fit into the columns, at least one, and appends the number
// of the others.
func foldNames(names []string, columns int) string { return foldSome(names, len(names), columns) }

// foldSome is foldNames of total targets, of which only some may have their names in names.
func foldSome(names []string, total, columns int) string {
	text := ui.Visible(expr.Fold(names))
	if len(names) == total && ui.Width(text) <= columns {
		return text
	}
	more := func(shown int) string {
		if shown == total {
			return ""
		}
		return fmt.Sprintf(" … and %s more", count(total-shown))
	}
	fits := func(n int) bool {
		return ui.Width(ui.Visible(expr.Fold(names[:n]))+more(n)) <= columns
	}
	// Search exponentially, then by bisection: the set may be large, but few names fit.
	low, high := 1, 2
	for high <= len(names) && fits(high) {
		low, high = high, 2*high
	}
	high = min(high, len(names)+1)
	for low+1 < high {
		if mid := (low + high) / 2; fits(mid) {
			low = mid
		} else {
			high = mid
		}
	}
	return ui.Visible(expr.Fold(names[:low])) + more(low)
}

// maxListed is how many attempts a list of those in flight has, the oldest.
const maxListed = 20

// InFlightText lists who is in flight at a time, the oldest first: phase, age and the age of
// the last output of each, and how many others there are. Each line ends with a newline.
func InFlightText(s *runstate.State, now time.Time) string {
	all, at := s.InFlight(now), s.Now(now)
	if len(all) == 0 {
		return "nothing is in flight" + waitingText(&at) + "\n"
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%s in flight%s", count(len(all)), waitingText(&at))
	if at.Median > 0 {
		fmt.Fprintf(&b, "; the median of those done is %s", ui.Duration(at.Median))
	}
	b.WriteString(":\n")
	listed := all[:min(len(all), maxListed)]
	rows := make([][]string, len(listed))
	for i, f := range listed {
		rows[i] = []string{"  " + ui.Truncate(ui.Visible(f.Target.Host.String()), maxNames), seconds(f.Age), whatItDoes(&f)}
	}
	b.WriteString(ui.AlignTable(rows))
	if rest := all[len(listed):]; len(rest) > 0 {
		var parts []string
		for _, g := range groupByActivity(rest) {
			parts = append(parts, count(len(g.names))+" "+g.activity.String())
		}
		fmt.Fprintf(&b, "  … and %s younger: %s\n", count(len(rest)), strings.Join(parts, ", "))
	}
	return b.String()
}

func waitingText(n *runstate.Snapshot) string {
	if n.Waiting == 0 {
		return ""
	}
	return ", " + count(n.Waiting) + " waiting"
}

// whatItDoes returns what an attempt does, with its phase if the word does not say it, and
// when its last output came.
func whatItDoes(f *runstate.InFlight) string {
	text := f.Activity.String()
	if f.Activity == runstate.Connecting {
		text += " (" + f.Phase.String() + ")"
	}
	if f.Attempt > 1 {
		text += fmt.Sprintf(", attempt %d", f.Attempt)
	}
	switch {
	case f.Output:
		text += ", last output " + seconds(f.Quiet) + " ago"
	case f.Activity >= runstate.Running:
		text += ", no output"
	}
	if f.Slow {
		text += ", slow"
	}
	return text
}

// PhasesText returns the names of the hosts in flight by what they do, in about the given
// number of columns for each set of names: "2 connecting: web[1-2]; 1 running: db1". "" if
// nothing is.
func PhasesText(s *runstate.State, now time.Time, columns int) string {
	var parts []string
	for _, g := range groupByActivity(s.InFlight(now)) {
		parts = append(parts, fmt.Sprintf("%s %s: %s", count(len(g.names)), g.activity, foldNames(g.names, columns)))
	}
	return strings.Join(parts, "; ")
}
