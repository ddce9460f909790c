package limit

import (
	"net/netip"
	"strings"
)

// All is the group of all hosts. It need not be added.
const All = "all"

// A Universe is the hosts that can be chosen, and their groups. The zero value is
// empty and ready.
type Universe struct {
	hosts  set
	groups map[string]*set
	order  []string // of the groups
	whole  bool     // see AllHosts
}

// A set is an ordered set of names.
type set struct {
	names []string
	there map[string]struct{}
}

func (s *set) has(name string) bool {
	_, there := s.there[name]
	return there
}

func (s *set) add(names ...string) {
	if s.there == nil {
		s.there = make(map[string]struct{}, len(names))
	}
	for _, name := range names {
		if !s.has(name) {
			s.there[name] = struct{}{}
			s.names = append(s.names, name)
		}
	}
}

// filter keeps what is in other, or what is not in any case.
func (s *set) filter(other *set, in bool) {
	is := other.has
	if !in {
		folded := make(map[string]bool, len(other.names))
		for _, name := range other.names {
			folded[Fold(name)] = true
		}
		is = func(name string) bool { return folded[Fold(name)] }
	}
	var kept set
	for _, name := range s.names {
		if is(name) == in {
			kept.add(name)
		}
	}
	*s = kept
}

// Fold returns the same text for names of one host: they have no case (RFC 4343), and addresses
// are written in several ways (RFC 4291 §2.2).
func Fold(name string) string {
	if strings.IndexByte(name, ':') >= 0 {
		if addr, err := netip.ParseAddr(name); err == nil {
			return addr.String()
		}
	}
	return strings.ToLower(name)
}

// AllHosts has the group all mean all hosts, also those that are added later, though it is added as
// a group: so it is in Ansible's inventories.
func (u *Universe) AllHosts() { u.whole = true }

// AddHosts takes hosts, in their order, those that are there already once.
func (u *Universe) AddHosts(names ...string) { u.hosts.add(names...) }

// AddGroup takes hosts of a group, with those of the groups below it; a group may
// be empty. The hosts become hosts of the universe.
func (u *Universe) AddGroup(name string, hosts ...string) {
	if u.groups == nil {
		u.groups = make(map[string]*set)
	}
	g := u.groups[name]
	if g == nil {
		g = new(set)
		u.groups[name] = g
		u.order = append(u.order, name)
	}
	g.add(hosts...)
	u.hosts.add(hosts...)
}

// group returns the hosts of a group, nil where there is none.
func (u *Universe) group(name string) *set {
	if g := u.groups[name]; name != All || g != nil && !u.whole {
		return g
	}
	return &u.hosts
}

// Groups lists the groups in the order in which they were added.
func (u *Universe) Groups() []string { return u.order }

// Group lists the hosts of a group, and says whether there is one.
func (u *Universe) Group(name string) (hosts []string, there bool) {
	g := u.group(name)
	if g == nil {
		return nil, false
	}
	return g.names, true
}
