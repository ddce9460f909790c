package ansible

import (
	"slices"

	"shoal/hosts/internal/problem"
)

// reconcile brings every group under all and every host that no group names under
// ungrouped (inventory/data.py, reconcile_inventory), and finds how deep groups
// stand. A group that stands below itself is a problem.
func (l *loader) reconcile() {
	all, ungrouped := l.inv.groups[groupAll], l.inv.groups[groupUngrouped]
	for _, g := range l.inv.groupOrder {
		if g != all && len(g.parents) == 0 {
			all.adopt(g)
		}
	}
	l.sortUngrouped(all, ungrouped)
	w := &walk{state: make(map[*group]int)}
	for _, g := range l.inv.groupOrder {
		if !w.visit(g) {
			l.problems.Add(problem.Problem{
				Reason: "group " + problem.Printable(w.loop.name) + " stands below itself",
				Hint:   "take one of its children away",
			})
			return
		}
	}
	for _, g := range slices.Backward(w.done) {
		for _, child := range g.children {
			child.depth = max(child.depth, g.depth+1)
		}
	}
}

// sortUngrouped keeps ungrouped to hosts that only it, or all, names.
func (l *loader) sortUngrouped(all, ungrouped *group) {
	grouped := func(h *Host) bool {
		return slices.ContainsFunc(h.groups, func(g *group) bool { return g != all && g != ungrouped })
	}
	was := ungrouped.hosts
	ungrouped.hosts = nil
	clear(ungrouped.member)
	for _, h := range was {
		h.groups = slices.DeleteFunc(h.groups, func(g *group) bool { return g == ungrouped })
		if !grouped(h) {
			ungrouped.take(h)
		}
	}
	for _, h := range l.inv.hostOrder {
		if !grouped(h) {
			ungrouped.take(h)
		}
	}
}

// A walk visits groups from the top down.
type walk struct {
	state map[*group]int // one of the following
	done  []*group       // children before their parents
	loop  *group
}

const (
	inside = iota + 1
	finished
)

// visit reports whether no group below g stands below itself.
func (w *walk) visit(g *group) bool {
	switch w.state[g] {
	case finished:
		return true
	case inside:
		w.loop = g
		return false
	}
	w.state[g] = inside
	for _, child := range g.children {
		if !w.visit(child) {
			return false
		}
	}
	w.state[g] = finished
	w.done = append(w.done, g)
	return true
}
