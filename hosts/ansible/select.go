package ansible

import "shoal/hosts/limit"

// Universe returns the hosts and groups to choose from by patterns.
func (inv *Inventory) Universe() *limit.Universe {
	u := new(limit.Universe)
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
