package hosts

import (
	"fmt"
	"iter"
	"strings"

	"shoal/fleet"
	"shoal/hosts/expr"
	"shoal/hosts/groups"
	"shoal/hosts/internal/attr"
	"shoal/hosts/internal/problem"
	"shoal/hosts/limit"
)

// A List is an inventory: hosts in the order of the input, no duplicates. It is never empty, and
// takes some 20 bytes for a host of which nothing but the name is known.
type List struct {
	hosts table
	// Notices are messages for the user that need no action, one bounded line each,
	// such as duplicates removed or exclusions that matched no host.
	Notices []string

	// details has the details by index of the host; it is shorter if the last hosts
	// have none.
	details []detail
	groups  func() *groups.Static
}

// ListOf returns a list of hosts of which nothing else is known. Notices is empty, and Groups has
// no group but all.
func ListOf(all ...fleet.Host) *List {
	l := new(List)
	for _, h := range all {
		l.hosts.append(h)
	}
	l.groups = (&loader{universe: new(limit.Universe)}).ownGroups(l)
	return l
}

// Len returns the number of hosts.
func (l *List) Len() int { return l.hosts.len() }

// Host returns the host at an index. It does not allocate.
func (l *List) Host(place int) fleet.Host { return l.hosts.at(place) }

// Hosts yields the hosts.
func (l *List) Hosts() iter.Seq[fleet.Host] { return l.hosts.all() }

// Groups returns the groups of the host files and inventories that the list was loaded from,
// whose group all has every host of these sources.
func (l *List) Groups() *groups.Static { return l.groups() }

// A detail is what is known about a host besides its name.
type detail struct {
	address, identity string
	options           []string
	attrs             attr.Set
}

// An Entry is a host with what the inventory knows about it.
type Entry struct {
	// Host is the host as displayed and as looked up in known_hosts.
	Host fleet.Host
	// Address is the name or IP address to dial; "" means Host.Name.
	Address string
	// IdentityFile is the path of the private key to offer, with ~ not expanded; ""
	// means none.
	IdentityFile string
	// SSHOptions are Key=Value options of ssh for this host, as ssh -o takes them. They
	// are shared and must not be changed.
	SSHOptions []string
	// Attrs are the host's attributes. The whole List shares their texts.
	Attrs attr.Set
}

// Entry returns the host at an index with what is known about it. It does not allocate.
func (l *List) Entry(place int) Entry {
	e := Entry{Host: l.Host(place)}
	if place < len(l.details) {
		d := l.details[place]
		e.Address, e.IdentityFile, e.SSHOptions, e.Attrs = d.address, d.identity, d.options, d.attrs
	}
	return e
}

// Attrs returns the attributes of the host at an index. The result is a pointer into
// the list, never nil, so that converting it to an interface does not allocate.
func (l *List) Attrs(place int) *attr.Set {
	if place < len(l.details) {
		return &l.details[place].attrs
	}
	return new(attr.Set)
}

// Entries yields all hosts with what is known about them.
func (l *List) Entries() iter.Seq[Entry] {
	return func(yield func(Entry) bool) {
		for place := range l.Len() {
			if !yield(l.Entry(place)) {
				return
			}
		}
	}
}

// EntryOf returns the entry that a target of [List.Targets] came from.
func (l *List) EntryOf(t fleet.Target) Entry { return l.Entry(t.Index % l.Len()) }

// Targets yields the whole list repeat times, so that the repeats of one host are as far apart
// as possible. Index counts from 0; the run fills in user, port and command; [List.EntryOf]
// returns what else is known about the host. A repeat below 1 means 1. It does not allocate
// per target.
func (l *List) Targets(repeat int) iter.Seq[fleet.Target] {
	return func(yield func(fleet.Target) bool) {
		index := 0
		for range max(repeat, 1) {
			for place := range l.Len() {
				t := fleet.Target{Host: l.Host(place), Index: index}
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

func plural(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}

// A sample counts hosts and keeps some of them to show.
type sample struct {
	total int
	names []string
}

// Bounds of a sample: how many names are kept, and how many bytes are shown.
const (
	keptNames = 10_000
	shownFold = 200
)

func (s *sample) add(h fleet.Host) {
	s.total++
	if len(s.names) < keptNames {
		s.names = append(s.names, h.String())
	}
}

// String returns the kept names, folded, and cut after a comma if they are too many to
// show.
func (s sample) String() string {
	folded := expr.Fold(s.names)
	if len(folded) <= shownFold {
		if s.total > len(s.names) {
			return folded + ",…"
		}
		return folded
	}
	cut := strings.LastIndexByte(folded[:shownFold], ',') + 1
	if cut == 0 {
		cut = shownFold
	}
	return folded[:cut] + "…"
}

// includes are #include lines, which pdsh follows and which are comments here.
type includes struct {
	total int
	first string
}

func (i *includes) add(at place, line string) {
	if i.total++; i.total == 1 {
		i.first = fmt.Sprintf("%s:%d: %q", problem.Printable(at.source), at.line, problem.Bounded(line))
	}
}

func (i *includes) notices() []string {
	if i.total == 0 {
		return nil
	}
	return []string{fmt.Sprintf("%s not followed (name the files with --hostfile): %s",
		plural(i.total, "#include is a comment here and", "#includes are comments here and"), i.first)}
}
