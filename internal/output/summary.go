package output

import (
	"cmp"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"

	"shoal/fleet"
	"shoal/internal/ui"
	"shoal/record"
)

const (
	// anyColumns is the maximum width of a summary in one line, and of the names in it.
	anyColumns = 100
	// minNames is the minimum number of columns for a set of names.
	minNames = 24
	// maxCauseLines is the maximum number of cause lines in a summary.
	maxCauseLines = 12
)

// outcomeWords are the outcomes with their names in the summary, in its order.
var outcomeWords = []struct {
	outcome fleet.Outcome
	word    string
	style   ui.Style
}{
	{fleet.OutcomeOK, "ok", ui.Plain},
	{fleet.OutcomeFailed, "failed", ui.Red},
	{fleet.OutcomeSignalled, "signalled", ui.Red},
	{fleet.OutcomeNeverStarted, "never started", ui.Red},
	{fleet.OutcomeRefused, "refused", ui.Red},
	{fleet.OutcomeUnknown, "unknown", ui.Red},
	{fleet.OutcomeCancelled, "cancelled", ui.Yellow},
	{fleet.OutcomeDetached, "detached", ui.Plain},
}

// SummaryText returns the summary of a run in at most the given number of columns; 0, for
// what is not a terminal, means any number: then every cause and name is in it. It uses one line that includes the causes if they fit, otherwise one line of counts
// and one for each cause. With colour, the numbers of targets that
// failed are red. Host names are folded and cut to fit, with the number of omitted
// ones. Each line ends with a newline.
func SummaryText(s *record.Summary, columns int, colour bool) string {
	groups := slices.DeleteFunc(s.Groups(), func(g record.Group) bool { return g.Reason == fleet.ReasonLetGo })
	line := summaryLine(s, groups, false)
	oneLine := columns
	if columns <= 0 {
		columns, oneLine = math.MaxInt, anyColumns
	}
	if len(groups) == 0 || ui.Width(line) <= oneLine {
		return summaryLine(s, groups, colour) + "\n"
	}
	return summaryLine(s, nil, colour) + "\n" + causeLines(groups, columns)
}

// summaryLine returns the counts by outcome, with the causes of groups in brackets.
func summaryLine(s *record.Summary, groups []record.Group, colour bool) string {
	var parts []string
	letGo := 0
	for _, n := range s.LetGo {
		letGo += n
	}
	for _, o := range outcomeWords {
		if n := s.Outcomes[o.outcome] - s.LetGo[o.outcome]; n > 0 {
			text := count(n) + " " + o.word
			if colour {
				text = string(o.style.Append(nil, text))
			}
			parts = append(parts, text+inBrackets(groups, o.outcome))
		}
	}
	if letGo > 0 {
		parts = append(parts, count(letGo)+" followed to the end of the run")
	}
	if len(parts) == 0 {
		parts = []string{"no targets"}
	}
	text := strings.Join(parts, ", ")
	if s.Elapsed > 0 {
		text += " in " + ui.Duration(s.Elapsed)
	}
	if s.Truncated > 0 {
		text += "; " + count(s.Truncated) + " with output truncated"
	}
	if s.AgentSignatures > 0 {
		text += "; " + ui.CountOf(s.AgentSignatures, "signature", "signatures") + " of the agent for " + count(s.AgentHosts)
	}
	if s.NoAgent > 0 {
		text += "; " + count(s.NoAgent) + " without the agent"
	}
	if s.EnvRefused > 0 {
		text += "; " + count(s.EnvRefused) + " without a variable of SetEnv"
	}
	if s.Held > 0 || len(s.Dialled) > 0 {
		text += "; " + connections(s)
	}
	if s.Incomplete > 0 {
		text += "; " + count(s.Incomplete) + " with output incomplete"
	}
	if s.Interrupted {
		text = "interrupted: " + text
	}
	return text
}

// connections says how many connections were held, and why the others were dialled, most first.
func connections(s *record.Summary) string {
	reasons := slices.SortedFunc(maps.Keys(s.Dialled), func(a, b fleet.DialReason) int {
		return cmp.Or(cmp.Compare(s.Dialled[b], s.Dialled[a]), cmp.Compare(a, b))
	})
	var parts []string
	if s.Held > 0 {
		parts = append(parts, count(s.Held)+" held")
	}
	for _, why := range reasons {
		parts = append(parts, fmt.Sprintf("%s dialled: %s", count(s.Dialled[why]), strings.ReplaceAll(string(why), "_", " ")))
	}
	return strings.Join(parts, ", ")
}

func inBrackets(groups []record.Group, o fleet.Outcome) string {
	var causes []string
	for _, g := range groups {
		if g.Outcome == o {
			causes = append(causes, fmt.Sprintf("%s %s: %s", count(g.Targets), causeWord(&g), foldWithin(&g, anyColumns)))
		}
	}
	switch len(causes) {
	case 0:
		return ""
	case 1:
		// The count precedes the bracket already.
		_, only, _ := strings.Cut(causes[0], " ")
		return " (" + only + ")"
	}
	return " (" + strings.Join(causes, ", ") + ")"
}

// causeLines returns one line for each group: count, outcome, cause and names.
func causeLines(groups []record.Group, columns int) string {
	numbers := 0
	for _, g := range groups {
		numbers = max(numbers, len(count(g.Targets)))
	}
	var b strings.Builder
	for i, g := range groups {
		if i == maxCauseLines-1 && len(groups) > maxCauseLines && columns < math.MaxInt {
			rest := 0
			for _, g := range groups[i:] {
				rest += g.Targets
			}
			fmt.Fprintf(&b, "  %*s … and %d causes more\n", numbers, count(rest), len(groups)-i)
			break
		}
		head := fmt.Sprintf("  %*s %s, %s: ", numbers, count(g.Targets), wordOf(g.Outcome), causeWord(&g))
		if room := columns - ui.Width(head); room >= minNames {
			b.WriteString(head + foldWithin(&g, room) + "\n")
			continue
		}
		// Too narrow for both: the names go on the next line.
		under := strings.Repeat(" ", 2+numbers+1)
		b.WriteString(strings.TrimRight(head, " ") + "\n")
		b.WriteString(under + foldWithin(&g, columns-len(under)) + "\n")
	}
	return b.String()
}

func wordOf(o fleet.Outcome) string {
	for _, w := range outcomeWords {
		if w.outcome == o {
			return w.word
		}
	}
	return o.String()
}

// causeWord returns what distinguishes a group from the others with its outcome.
func causeWord(g *record.Group) string {
	if g.Various {
		return "various causes"
	}
	return causeOf(&fleet.End{Outcome: g.Outcome, Reason: g.Reason, Status: g.Status, Signal: g.Signal})
}

func causeOf(e *fleet.End) string {
	switch {
	case e.Reason != fleet.ReasonNone:
		return string(e.Reason)
	case e.Outcome == fleet.OutcomeFailed:
		return fmt.Sprintf("exit status %d", e.Status)
	case e.Outcome == fleet.OutcomeSignalled:
		return "signal " + ui.Truncate(ui.Visible(e.Signal), 20)
	}
	return "no reason given"
}

func count(n int) string { return ui.Count(int64(n)) }

// foldWithin folds as many names of a group as fit into the columns, at least one, and
// appends the number of omitted targets.
func foldWithin(g *record.Group, columns int) string {
	names := g.Hosts
	if len(names) == 0 {
		return "names not kept"
	}
	return foldSome(names, g.Targets, columns)
}
