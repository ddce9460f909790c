package hosts

import (
	"iter"

	"shoal/fleet"
	"shoal/hosts/internal/attr"
)

// A List is an inventory: hosts in the order of the input, no duplicates.
type List struct {
	// Hosts is never empty.
	Hosts []fleet.Host
	// Notices are what a person should know and need not act on, one bounded
	// line each: duplicates removed, exclusions that met no host.
	Notices []string

	// details are of the hosts in the same places; shorter where the last ones
	// have none.
	details []detail
}

// A detail is what is known of a host beside its name.
type detail struct {
	address, identity string
	attrs             attr.Set
}

// An Entry is a host with what the inventory knows of it.
type Entry struct {
	// Host is how people see it, and how known_hosts is searched.
	Host fleet.Host
	// Address is the name or IP address to dial; "" means Host.Name.
	Address string
	// IdentityFile is the path of the private key to offer, in which ~ is not
	// replaced; "" means that none was named.
	IdentityFile string
	// Attrs are its attributes. Their texts are shared by the whole List.
	Attrs attr.Set
}

// Entry gives the host at a place in Hosts with what is known of it. Nothing is
// allocated.
func (l *List) Entry(place int) Entry {
	e := Entry{Host: l.Hosts[place]}
	if place < len(l.details) {
		d := l.details[place]
		e.Address, e.IdentityFile, e.Attrs = d.address, d.identity, d.attrs
	}
	return e
}

// Attrs gives the attributes of the host at a place in Hosts. It is a pointer into
// the list, never nil, so that it becomes an interface without an allocation.
func (l *List) Attrs(place int) *attr.Set {
	if place < len(l.details) {
		return &l.details[place].attrs
	}
	return new(attr.Set)
}

// Entries yields all hosts with what is known of them.
func (l *List) Entries() iter.Seq[Entry] {
	return func(yield func(Entry) bool) {
		for place := range l.Hosts {
			if !yield(l.Entry(place)) {
				return
			}
		}
	}
}

// EntryOf gives the entry that a target of [List.Targets] came from.
func (l *List) EntryOf(t fleet.Target) Entry { return l.Entry(t.Index % len(l.Hosts)) }

// Targets yields every host repeat times, the whole list over and over, so that
// the repeats of one host are as far apart as they can be. The Index counts
// from 0; user, port and command are left for the run to fill in, and what else
// is known of the host is in [List.EntryOf]. A repeat below 1 counts as 1.
// Nothing is allocated per target.
func (l *List) Targets(repeat int) iter.Seq[fleet.Target] {
	return func(yield func(fleet.Target) bool) {
		index := 0
		for range max(repeat, 1) {
			for place, h := range l.Hosts {
				t := fleet.Target{Host: h, Index: index}
				if place < len(l.details) && l.details[place].attrs.Len() > 0 {
					t.Attrs = &l.details[place].attrs
				}
				if !yield(t) {
					return
				}
				index++
			}
		}
	}
}
