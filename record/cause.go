package record

import (
	"cmp"
	"maps"
	"slices"

	"shoal/fleet"
)

// maxHosts and maxCauses bound the memory of a Summary. It must not grow with the number
// of targets, nor with the signals and statuses that hostile peers invent.
const (
	maxHosts  = 100_000
	maxCauses = 1000
)

// A Cause is the reason why some targets did not end well: their outcome, and details that
// distinguish it.
type Cause struct {
	Outcome fleet.Outcome
	// Reason is "" for failed and signalled, unless shoal stopped the command.
	Reason fleet.Reason
	// Status is the exit status if the outcome is failed, otherwise 0.
	Status uint32
	// Signal is the exit signal as the peer sent it if the outcome is signalled, otherwise
	// "".
	Signal string
}

// A Group is the set of targets with one cause.
type Group struct {
	Cause
	// Various is set if the group contains several causes of its outcome: those that
	// arrived after the first 1,000 causes.
	Various bool
	// Targets is the number of targets.
	Targets int
	// Hosts are the hosts' names in the order of the input. A Summary keeps 100,000 names
	// in total; further targets are only counted.
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
	first   int // the lowest index of a target
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

// Groups returns the targets that are neither ok nor detached, grouped by cause. Groups
// are in the order of outcomes, then by size, the largest first, then by the index of
// their first target. A Summary that was read from a stream has none.
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
