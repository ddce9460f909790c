package simfleet

import (
	"fmt"
	"iter"
	"strings"

	"shoal/fleet"
)

// A Report is the result of comparing a run's results with what the servers saw.
type Report struct {
	// Targets is the expected number of targets.
	Targets int
	// Outcomes counts the results by outcome.
	Outcomes [fleet.NumOutcomes]int
	// Violations describes the first 100 violations.
	Violations []string
	// Found is the number of all violations.
	Found int
	// Ambiguous describes the cases in which several targets have the same host and
	// command, and it cannot be decided whether one of them ran twice and another,
	// which is unknown, did not run. {index} in the command distinguishes them.
	Ambiguous []string
	// Uncompared counts results with output that was cut at a place which the
	// log does not reach: more than PrefixSize bytes, or more of a fleet's output
	// than it keeps. The rest of their bytes was compared.
	Uncompared int
}

// OK reports whether everything is as the servers saw it, and nothing is
// ambiguous.
func (r Report) OK() bool { return r.Found+len(r.Ambiguous) == 0 }

// String returns one line per violation, or one line that says that there is
// none.
func (r Report) String() string {
	var b strings.Builder
	if r.OK() {
		fmt.Fprintf(&b, "%d targets, all as the servers saw them", r.Targets)
		if r.Uncompared > 0 {
			fmt.Fprintf(&b, " (of %d the last bytes of cut output were not compared)", r.Uncompared)
		}
		return b.String()
	}
	fmt.Fprintf(&b, "%d targets, %d violations", r.Targets, r.Found)
	if n := len(r.Ambiguous); n > 0 {
		fmt.Fprintf(&b, ", %d times targets that cannot be told apart", n)
	}
	b.WriteByte('\n')
	for _, v := range r.Violations {
		b.WriteString(v)
		b.WriteByte('\n')
	}
	if more := r.Found - len(r.Violations); more > 0 {
		fmt.Fprintf(&b, "and %d more\n", more)
	}
	for _, a := range r.Ambiguous[:min(len(r.Ambiguous), maxViolations)] {
		b.WriteString(a)
		b.WriteByte('\n')
	}
	if len(r.Ambiguous) > 0 {
		b.WriteString("hint: have {index} in the command, so that each target has one of its own\n")
	}
	return b.String()
}

const maxViolations = 100

func (r *Report) violate(format string, args ...any) {
	r.Found++
	if len(r.Violations) < maxViolations {
		r.Violations = append(r.Violations, fmt.Sprintf(format, args...))
	}
}

// Check compares a fleet's log with the results of a run over this many targets
// (faults.md, method 1). The log must be complete: call it when the run is over
// and, where commands may still be ending, after Fleet.Close. Targets name
// their host as Fleet.Host does.
//
//   - Every target has one result, and the outcomes sum to the targets.
//   - ok, failed and signalled: the command ran once, with that status or
//     signal, and wrote those bytes. Where output is truncated its size must
//     be right and its bytes the first that were written; where it is
//     incomplete, its bytes must be the first, and not more than there were.
//   - never_started, refused and cancelled: it did not run, and has no output.
//   - unknown: it ran at most once, and its output is the first that one exec
//     wrote.
//   - detached: it was started once, and has no output.
//   - Every exec belongs to a result: a refused one to refused or unknown.
//
// A command in a wrapper (package remote) is found by the shell that the wrapper starts it with,
// and counts as often as that happens; a wrapper that starts nothing is a refusal, if its target
// says so, and queries about markers are left out. Commands that are too long for a line, and come
// through standard input, are not found.
//
// Targets with the same host and command are compared as a set, in which their
// outcomes and outputs tell most of them apart; see Report.Ambiguous for the
// rest.
func Check(log []Exec, results iter.Seq[fleet.Result], targets int) Report {
	r := Report{Targets: targets}
	groups := make(map[groupKey]*group)
	at := func(key groupKey) *group {
		g := groups[key]
		if g == nil {
			g = &group{key: key}
			groups[key] = g
		}
		return g
	}
	var order []*group // so that the report is the same each time
	seen := make([]bool, max(0, targets))
	for result := range results {
		r.addOutcome(result, seen)
		g := at(groupKey{result.Target.Host.Name, result.Target.Command})
		if g.empty() {
			order = append(order, g)
		}
		g.addResult(&r, result)
	}
	known := func(host, command string) bool {
		g := groups[groupKey{host, command}]
		return g != nil && g.results > 0
	}
	for _, e := range log {
		runs, declined := startsOf(e, known)
		if declined != "" {
			at(groupKey{e.Host, declined}).declined++
		}
		for _, run := range runs {
			g := at(groupKey{run.Host, run.Command})
			if g.empty() {
				order = append(order, g)
			}
			g.addExec(run)
		}
	}
	for i, ok := range seen {
		if !ok {
			r.violate("target %d has no result", i)
		}
	}
	for _, g := range order {
		g.check(&r)
	}
	return r
}

// addOutcome checks what a result says of itself.
func (r *Report) addOutcome(result fleet.Result, seen []bool) {
	t := result.Target
	switch {
	case t.Index < 0 || t.Index >= len(seen):
		r.violate("target %d (%.80q) is not one of the %d", t.Index, t.Host.Name, len(seen))
	case seen[t.Index]:
		r.violate("target %d (%.80q) has more than one result", t.Index, t.Host.Name)
	default:
		seen[t.Index] = true
	}
	o := result.Outcome
	if o == fleet.OutcomeNone || o >= fleet.NumOutcomes {
		r.violate("target %d (%.80q) has the outcome %v", t.Index, t.Host.Name, o)
		return
	}
	r.Outcomes[o]++
	consistent := true
	switch o {
	case fleet.OutcomeOK:
		consistent = result.Status == 0 && result.Signal == ""
	case fleet.OutcomeFailed:
		consistent = result.Status != 0 && result.Signal == ""
	case fleet.OutcomeSignalled:
		consistent = result.Signal != ""
	}
	if o.Ran() && (!consistent || !result.Flags.Has(fleet.FlagExitKnown)) {
		r.violate("target %d (%.80q) is %v with status %d, signal %.40q and flags %q",
			t.Index, t.Host.Name, o, result.Status, result.Signal, result.Flags)
	}
}
