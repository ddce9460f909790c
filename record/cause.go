package record

import (
	"cmp"
	"maps"
	"slices"

	"shoal/fleet"
)

// maxHosts and maxCauses bound what a Summary keeps: memory must follow neither
// the number of targets nor what hostile peers invent as signals and statuses.
const (
	maxHosts  = 100_000
	maxCauses = 1000
)

// A Cause is why some targets did not end well: their outcome, and what
// tells it apart.
type Cause struct {
	Outcome fleet.Outcome
	// Reason is "" for failed and signalled unless we had the command ended.
	Reason fleet.Reason
	// Status is the exit status of failed, otherwise 0.
	Status uint32
	// Signal is the exit signal of signalled as the peer sent it, otherwise "".
	Signal string
}

// A Group is the targets with one cause.
type Group struct {
	Cause
	// Various says that the group holds several causes of the outcome: there
	// were more than 1,000 of them, and these came late.
	Various bool
	// Targets is how many there are.
	Targets int
	// Hosts are their names in the order of the input, for the first 100,000 in
	// the Summary; beyond, targets are only counted.
	Hosts []string
}

// causes groups the targets that did not end well.
type causes struct {
	groups map[groupKey]*group
	hosts  int
}

type groupKey struct {
	Cause
	various bool
}

type group struct {
	targets int
	first   int // the lowest index
	hosts   []indexedHost
}

type indexedHost struct {
	index int
	name  string
}

func causeOf(r *fleet.Result) Cause {
	c := Cause{Outcome: r.Outcome, Reason: r.Reason}
	switch r.Outcome {
	case fleet.OutcomeFailed:
		c.Status = r.Status
	case fleet.OutcomeSignalled:
		c.Signal = r.Signal
	}
	return c
}

func (cs *causes) add(r *fleet.Result) {
	if r.Outcome == fleet.OutcomeOK || r.Outcome == fleet.OutcomeDetached {
		return
	}
	if cs.groups == nil {
		cs.groups = make(map[groupKey]*group)
	}
	key := groupKey{Cause: causeOf(r)}
	g := cs.groups[key]
	if g == nil && len(cs.groups) >= maxCauses {
		key = groupKey{Cause{Outcome: r.Outcome}, true}
		g = cs.groups[key]
	}
	if g == nil {
		g = &group{first: r.Target.Index}
		cs.groups[key] = g
	}
	g.targets++
	g.first = min(g.first, r.Target.Index)
	if cs.hosts < maxHosts {
		cs.hosts++
		g.hosts = append(g.hosts, indexedHost{r.Target.Index, r.Target.Host.String()})
	}
}

// Groups gives the targets that are neither ok nor detached by cause: in the order of
// the outcomes, within each the largest first, and those of equal size as their
// first targets stand in the input. A Summary that was read has none.
func (s *Summary) Groups() []Group {
	keys := slices.SortedFunc(maps.Keys(s.causes.groups), func(a, b groupKey) int {
		ga, gb := s.causes.groups[a], s.causes.groups[b]
		return cmp.Or(cmp.Compare(a.Outcome, b.Outcome), cmp.Compare(gb.targets, ga.targets),
			cmp.Compare(ga.first, gb.first))
	})
	var groups []Group
	for _, key := range keys {
		g := s.causes.groups[key]
		hosts := slices.SortedStableFunc(slices.Values(g.hosts), func(a, b indexedHost) int {
			return cmp.Compare(a.index, b.index)
		})
		names := make([]string, len(hosts))
		for i, h := range hosts {
			names[i] = h.name
		}
		groups = append(groups, Group{Cause: key.Cause, Various: key.various, Targets: g.targets, Hosts: names})
	}
	return groups
}
