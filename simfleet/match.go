package simfleet

import (
	"fmt"

	"shoal/fleet"
)

// groupKey is what the server can tell targets apart by.
type groupKey struct{ host, command string }

func (k groupKey) String() string { return fmt.Sprintf("%.80q: %.80q", k.host, k.command) }

// A group is all results and execs of one host and command.
type group struct {
	key                    groupKey
	whole                  []claim // of results that ran and have all their output
	partial                []claim // of results that ran and do not
	refused, unknown, none int     // results by what they allow
	ran                    []Exec  // execs that the server accepted
	turnedDown             int     // execs that it did not
}

// A claim is what a result says of its exec. It is comparable.
type claim struct {
	index   int
	facts   facts
	cut     [fleet.NumStreams]bool // the hash is of a part only
	atLeast bool                   // the sizes are lower bounds
}

// facts are what an exec and a result of it have in common.
type facts struct {
	status  uint32
	signal  string
	streams [fleet.NumStreams]Written
}

func (g *group) empty() bool {
	return len(g.whole)+len(g.partial)+g.refused+g.unknown+g.none+len(g.ran)+g.turnedDown == 0
}

func (g *group) addExec(e Exec) {
	if e.Accepted {
		g.ran = append(g.ran, e)
	} else {
		g.turnedDown++
	}
}

func (g *group) addResult(r fleet.Result) {
	switch {
	case r.Outcome.Ran():
		c := claimOf(r)
		if c.cut == [fleet.NumStreams]bool{} && !c.atLeast {
			g.whole = append(g.whole, c)
		} else {
			g.partial = append(g.partial, c)
		}
	case r.Outcome == fleet.OutcomeRefused:
		g.refused++
	case r.Outcome == fleet.OutcomeUnknown:
		g.unknown++
	default:
		g.none++
	}
}

func claimOf(r fleet.Result) claim {
	c := claim{index: r.Target.Index, atLeast: r.Flags.Has(fleet.FlagOutputIncomplete)}
	if c.facts.signal = r.Signal; r.Signal == "" {
		c.facts.status = r.Status
	}
	for i, out := range []fleet.Output{fleet.Stdout: r.Stdout, fleet.Stderr: r.Stderr} {
		c.cut[i] = out.Truncated() || c.atLeast
		w := WrittenOf(out.Bytes)
		w.Size = out.Size
		c.facts.streams[i] = w
	}
	return c
}

func factsOf(e Exec) facts {
	return facts{e.Status, e.Signal, [fleet.NumStreams]Written{fleet.Stdout: e.Stdout, fleet.Stderr: e.Stderr}}
}

// allows says whether e may be the exec that c tells of.
func (c claim) allows(e Exec) bool {
	f := factsOf(e)
	if !ended(e) || f.status != c.facts.status || f.signal != c.facts.signal {
		return false
	}
	for i, w := range f.streams {
		got := c.facts.streams[i]
		switch {
		case c.atLeast && got.Size > w.Size,
			!c.atLeast && got.Size != w.Size,
			!c.cut[i] && got.SHA256 != w.SHA256:
			return false
		}
	}
	return true
}

// ended says that the server told the client how the exec ended.
func ended(e Exec) bool { return e.HasStatus || e.Signal != "" }

func (g *group) check(r *Report) {
	free, missing := g.matchWhole()
	free, more := g.matchPartial(free)
	for _, c := range append(missing, more...) {
		free = g.unmatched(r, c, free)
	}
	if n := len(free); n > g.unknown {
		r.violate("%v ran %d times more than any result tells of", g.key, n-g.unknown)
		free = free[:g.unknown]
	}
	// A refusal may have been lost on its way.
	if n := g.turnedDown - g.refused; n > g.unknown-len(free) {
		r.violate("%v was refused %d times more than any result tells of", g.key, n-g.unknown+len(free))
	} else if n < 0 {
		r.violate("%v was refused %d times less than the results say", g.key, -n)
	}
}

// matchWhole gives every claim that fixes its exec one that fits in full, and
// returns the execs and the claims that are left. Execs with the same facts are
// interchangeable, so no choice made here can be a wrong one.
func (g *group) matchWhole() (free []Exec, missing []claim) {
	wanted := make(map[facts]int)
	for _, c := range g.whole {
		wanted[c.facts]++
	}
	had := make(map[facts]int)
	for _, e := range g.ran {
		f := factsOf(e)
		if !ended(e) || had[f] == wanted[f] {
			free = append(free, e)
			continue
		}
		had[f]++
	}
	for _, c := range g.whole {
		if had[c.facts] == 0 {
			missing = append(missing, c)
			continue
		}
		had[c.facts]--
	}
	return free, missing
}

// matchPartial does the same for claims that several unlike execs may fit, by
// augmenting paths.
func (g *group) matchPartial(execs []Exec) (free []Exec, missing []claim) {
	owner := make([]int, len(execs)) // of each exec: its place in g.partial, plus 1
	for i := range g.partial {
		g.augment(i, execs, owner, make([]bool, len(execs)))
	}
	matched := make([]bool, len(g.partial))
	for j, e := range execs {
		if owner[j] == 0 {
			free = append(free, e)
		} else {
			matched[owner[j]-1] = true
		}
	}
	for i, c := range g.partial {
		if !matched[i] {
			missing = append(missing, c)
		}
	}
	return free, missing
}

// augment finds an exec for claim i, moving other claims to other execs where
// that helps.
func (g *group) augment(i int, free []Exec, owner []int, tried []bool) bool {
	for j := range free {
		if tried[j] || !g.partial[i].allows(free[j]) {
			continue
		}
		tried[j] = true
		if owner[j] == 0 || g.augment(owner[j]-1, free, owner, tried) {
			owner[j] = i + 1
			return true
		}
	}
	return false
}

// unmatched reports a claim that no exec fits. Where some exec is left, it is
// taken as the one that the claim gets wrong, and is not reported again.
func (g *group) unmatched(r *Report, c claim, free []Exec) []Exec {
	if len(free) == 0 {
		r.violate("target %d, %v: %v, but it did not run", c.index, g.key, c.facts)
		return free
	}
	r.violate("target %d, %v: %v, but it was %v", c.index, g.key, c.facts, factsOf(free[0]))
	return free[1:]
}

func (f facts) String() string {
	how := fmt.Sprintf("status %d", f.status)
	if f.signal != "" {
		how = fmt.Sprintf("signal %.40q", f.signal)
	}
	out, err := f.streams[fleet.Stdout], f.streams[fleet.Stderr]
	return fmt.Sprintf("%s, stdout of %d bytes (%.8s), stderr of %d bytes (%.8s)",
		how, out.Size, out.SHA256, err.Size, err.SHA256)
}
