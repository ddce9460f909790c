package crashtest

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"shoal/fleet"
	"shoal/internal/journal"
	"shoal/simfleet"
)

// A phaseOfDeath is how far a run had come when it was stopped. One death can
// be in several phases, since many targets are in progress at once.
type phaseOfDeath int

const (
	unborn     phaseOfDeath = iota // not all targets were in the journal
	unintended                     // the journal had no intent of the session
	unsent                         // it had an intent for a command that the server never saw
	running                        // a command ran
	untold                         // a command had ended and the journal did not have its result
	unended                        // every target was done, and the session's end not recorded
	ended                          // too late
	places
)

var placeNames = [places]string{
	"before the targets were written", "before the first intent", "between intent and exec",
	"while a command ran", "between a command's end and its result", "between the last result and the end",
	"after the end",
}

// A coverage counts deaths by phase. It is safe for concurrent use.
type coverage struct {
	mu      sync.Mutex
	deaths  int
	count   [places]int
	unknown int // targets with an unknown outcome
}

// add counts a death at the given time.
func (c *coverage) add(f finding, at time.Time) {
	seen := phasesOf(f, at)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.deaths++
	for p, yes := range seen {
		if yes {
			c.count[p]++
		}
	}
}

func phasesOf(f finding, at time.Time) (seen [places]bool) {
	switch {
	case f.notBegun:
		seen[unborn] = true
		return seen
	case f.state == journal.Ended:
		seen[ended] = true
		return seen
	}
	execs := make(map[string]simfleet.Exec)
	for _, e := range f.log {
		execs[e.Host] = e // the last one counts
	}
	intended, open := false, false
	for i, e := range f.entries {
		intended = intended || f.fresh[i]
		open = open || e.Progress == journal.NotStarted || e.Progress == journal.Intended && f.fresh[i] ||
			f.resumed && e.Outcome.DidNotRun() // perhaps from an earlier session
		if !f.fresh[i] || e.Progress != journal.Intended {
			continue
		}
		exec, ok := execs[e.Target.Host.Name]
		switch {
		case !ok:
			seen[unsent] = true
		case exec.Ended.Before(at):
			seen[untold] = true
		default:
			seen[running] = true
		}
	}
	seen[unintended] = !intended && open
	seen[unended] = !open
	return seen
}

func (c *coverage) addUnknown(n int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.unknown += n
}

// missing returns the phases without a death, except for those in but.
func (c *coverage) missing(but ...phaseOfDeath) []string {
	var names []string
	for p, n := range c.count {
		if n == 0 && !slices.Contains(but, phaseOfDeath(p)) {
			names = append(names, placeNames[p])
		}
	}
	return names
}

func (c *coverage) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%d deaths", c.deaths)
	for p, n := range c.count {
		fmt.Fprintf(&b, "\n  %4d %s", n, placeNames[p])
	}
	fmt.Fprintf(&b, "\n%d targets ended as %v", c.unknown, fleet.OutcomeUnknown)
	return b.String()
}
