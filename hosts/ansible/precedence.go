package ansible

import (
	"cmp"
	"iter"
	"slices"
	"strings"

	"shoal/hosts/internal/problem"
)

func parentsOf(g *group) []*group { return g.parents }

// groupsOf lists the groups of a host and those above them, in the order in
// which their variables count (inventory/helpers.py, sort_groups), without all.
func (h *Host) groupsOf() []*group {
	seen := make(map[*group]bool)
	var found []*group
	for _, own := range h.groups {
		for _, g := range own.reach(parentsOf) {
			if !seen[g] && g.name != groupAll {
				seen[g] = true
				found = append(found, g)
			}
		}
	}
	slices.SortFunc(found, func(a, b *group) int {
		return cmp.Or(cmp.Compare(a.depth, b.depth), cmp.Compare(a.priority, b.priority), strings.Compare(a.name, b.name))
	})
	return found
}

// Groups lists the groups of a host, sorted, without all.
func (inv *Inventory) Groups(h *Host) []string {
	var names []string
	for _, g := range h.groupsOf() {
		names = append(names, g.name)
	}
	slices.Sort(names)
	return names
}

// Vars yields what a host is told, every name once, by Ansible's precedence
// (vars/manager.py, get_vars): the sources' variables of all, of its other groups
// from the top down, then the files of group_vars source by source, those of all
// before, the host's own and the files of host_vars.
func (inv *Inventory) Vars(h *Host) iter.Seq2[string, Value] {
	return func(yield func(string, Value) bool) {
		own := h.vars
		if len(h.files) > 0 {
			own = slices.Clone(own)
			for _, v := range h.files {
				own.set(v.name, v.value)
			}
		}
		for _, v := range own {
			if !yield(v.name, v.value) {
				return
			}
		}
		has := own.finder()
		for _, v := range inv.layer(h) {
			if !has(v.name) && !yield(v.name, v.value) {
				return
			}
		}
	}
}

// finder returns what looks names up: a map costs more than it saves for the few
// that most hosts have.
func (v vars) finder() func(name string) bool {
	const few = 16
	if len(v) <= few {
		return func(name string) bool {
			return slices.ContainsFunc(v, func(x variable) bool { return x.name == name })
		}
	}
	there := make(map[string]struct{}, len(v))
	for _, x := range v {
		there[x.name] = struct{}{}
	}
	return func(name string) bool {
		_, found := there[name]
		return found
	}
}

// layer merges what the groups of a host are told.
func (inv *Inventory) layer(h *Host) []variable {
	var key strings.Builder
	for _, g := range h.groups {
		key.WriteString(g.name)
		key.WriteByte('\n') // no name of a group has one
	}
	if merged, there := inv.layers[key.String()]; there {
		return merged
	}
	order := append([]*group{inv.groups[groupAll]}, h.groupsOf()...)
	at := make(map[string]int)
	var merged []variable
	put := func(list []variable) {
		for _, v := range list {
			if i, there := at[v.name]; there {
				merged[i] = v
				continue
			}
			at[v.name] = len(merged)
			merged = append(merged, v)
		}
	}
	for _, g := range order {
		put(g.vars)
	}
	for source := range inv.sources {
		put(order[0].files[source])
	}
	for source := range inv.sources {
		for _, g := range order[1:] {
			put(g.files[source])
		}
	}
	inv.layers[key.String()] = merged
	return merged
}

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
