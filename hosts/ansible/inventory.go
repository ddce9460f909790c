package ansible

import (
	"slices"

	"shoal/hosts/internal/ordered"
	"shoal/hosts/limit"
)

// The groups that every inventory has.
const (
	groupAll       = "all"
	groupUngrouped = "ungrouped"
)

// An Inventory is hosts, the groups that hold them, and what both are told. It is
// for one goroutine.
type Inventory struct {
	// Notices are what a person should know and need not act on.
	Notices []string
	// PassedOver are files of directories that were not read because of their names, as
	// Ansible passes them over, at most maxPassedOver.
	PassedOver []string

	groups     map[string]*group
	groupOrder []*group
	hosts      map[string]*Host
	hostOrder  []*Host
	// layers are what the groups of a host are told, by those groups.
	layers  map[string][]variable
	sources int
}

// A Host is one of the inventory's machines.
type Host struct {
	// Name is the inventory's; where it is found may be told by a variable.
	Name string
	// Source and Line are where it was named first; Line is 0 where that is not
	// known.
	Source string
	Line   int

	vars   vars
	files  vars     // of host_vars
	groups []*group // that name it themselves
}

type group struct {
	name     string
	hosts    []*Host
	member   map[*Host]struct{}
	children []*group
	parents  []*group
	vars     vars
	files    map[int]vars // of the group_vars beside the source of that number
	priority int
	depth    int // the longest way up to all
	flat     []*Host
}

// A Value is what a variable holds: text as it was written.
type Value struct {
	// Text is "" for ordered.Null and ordered.Secret.
	Text string
	Kind ordered.Kind
}

type variable struct {
	name  string
	value Value
}

// vars are those of one host or group, in their order.
type vars []variable

// maxVars bounds the variables of one host or group.
const maxVars = 4096

// set replaces or adds; it says no where there are too many.
func (v *vars) set(name string, value Value) bool {
	for i := range *v {
		if (*v)[i].name == name {
			(*v)[i].value = value
			return true
		}
	}
	if len(*v) == maxVars {
		return false
	}
	*v = append(*v, variable{name, value})
	return true
}

func newInventory() *Inventory {
	inv := &Inventory{groups: make(map[string]*group), hosts: make(map[string]*Host), layers: make(map[string][]variable)}
	all, ungrouped := inv.group(groupAll), inv.group(groupUngrouped)
	all.adopt(ungrouped)
	return inv
}

// group returns the group of that name, new if need be.
func (inv *Inventory) group(name string) *group {
	g := inv.groups[name]
	if g == nil {
		g = &group{name: name, member: make(map[*Host]struct{}), priority: 1}
		inv.groups[name] = g
		inv.groupOrder = append(inv.groupOrder, g)
	}
	return g
}

func (g *group) adopt(child *group) {
	if !slices.Contains(g.children, child) {
		g.children = append(g.children, child)
		child.parents = append(child.parents, g)
	}
}

func (g *group) take(h *Host) {
	if _, there := g.member[h]; !there {
		g.member[h] = struct{}{}
		g.hosts = append(g.hosts, h)
		h.groups = append(h.groups, g)
	}
}

// Len counts the hosts.
func (inv *Inventory) Len() int { return len(inv.hostOrder) }

// Host returns the host of that name, nil where there is none.
func (inv *Inventory) Host(name string) *Host { return inv.hosts[name] }

// GroupNames lists the groups, sorted, all and ungrouped among them.
func (inv *Inventory) GroupNames() []string {
	names := make([]string, 0, len(inv.groupOrder))
	for _, g := range inv.groupOrder {
		names = append(names, g.name)
	}
	slices.Sort(names)
	return names
}

// GroupHosts lists the hosts of a group and of those below it, in their order.
func (inv *Inventory) GroupHosts(name string) (hosts []*Host, there bool) {
	g := inv.groups[name]
	if g == nil {
		return nil, false
	}
	return g.allHosts(), true
}

// allHosts lists own hosts first, then those of the groups below, breadth first
// (inventory/group.py, _get_hosts).
func (g *group) allHosts() []*Host {
	if g.flat != nil {
		return g.flat
	}
	seen := make(map[*Host]struct{})
	for _, below := range g.reach(func(x *group) []*group { return x.children }) {
		for _, h := range below.hosts {
			if _, there := seen[h]; !there {
				seen[h] = struct{}{}
				g.flat = append(g.flat, h)
			}
		}
	}
	return g.flat
}

// reach lists g and all that follow it, breadth first.
func (g *group) reach(next func(*group) []*group) []*group {
	found := []*group{g}
	seen := map[*group]bool{g: true}
	for i := 0; i < len(found); i++ {
		for _, n := range next(found[i]) {
			if !seen[n] {
				seen[n] = true
				found = append(found, n)
			}
		}
	}
	return found
}

// Universe returns the hosts and groups to choose from by patterns.
func (inv *Inventory) Universe() *limit.Universe {
	u := new(limit.Universe)
	u.AllHosts()
	for _, h := range inv.groups[groupAll].allHosts() {
		u.AddHosts(h.Name)
	}
	for _, g := range inv.groupOrder {
		u.AddGroup(g.name, names(g.allHosts())...)
	}
	return u
}

func names(hosts []*Host) []string {
	list := make([]string, len(hosts))
	for i, h := range hosts {
		list[i] = h.Name
	}
	return list
}

// Hosts lists all hosts: those of the groups in the order of the sources.
func (inv *Inventory) Hosts() []*Host { return inv.groups[groupAll].allHosts() }
