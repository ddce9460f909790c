package hosts

import (
	"hash/maphash"
	"iter"

	"shoal/fleet"
	"shoal/internal/stringlist"
)

// A table is a list of hosts that takes some 20 bytes for each with a name of 12: few hosts
// of a large inventory have a user or port of their own.
type table struct {
	names  stringlist.List
	logins []login  // the different ones
	which  []uint32 // of each host, an index in logins; nil while there is one
	index  map[login]uint32
}

// A login is what a host has besides its name.
type login struct {
	user string
	port uint16
}

func (t *table) len() int { return t.names.Len() }

func (t *table) at(i int) fleet.Host {
	l := t.logins[0]
	if t.which != nil {
		l = t.logins[t.which[i]]
	}
	return fleet.Host{Name: t.names.At(i), User: l.user, Port: l.port}
}

func (t *table) append(h fleet.Host) {
	l := login{h.User, h.Port}
	n, known := t.index[l]
	if !known {
		if t.index == nil {
			t.index = make(map[login]uint32)
		}
		n = uint32(len(t.logins))
		t.index[l], t.logins = n, append(t.logins, l)
	}
	if t.which == nil && n > 0 {
		t.which = make([]uint32, t.len())
	}
	t.names.Append(h.Name)
	if t.which != nil {
		t.which = append(t.which, n)
	}
}

// all yields the hosts.
func (t *table) all() iter.Seq[fleet.Host] {
	return func(yield func(fleet.Host) bool) {
		for i := range t.len() {
			if !yield(t.at(i)) {
				return
			}
		}
	}
}

// keys finds the host of a table by its key, in four to eight bytes for each.
type keys struct {
	seed  maphash.Seed
	slots []uint32 // 1 + index; 0: free
	used  int
}

// find returns the index of the host with key k, or adds next, which will be its index. keyOf
// returns the key of the host at an index.
func (s *keys) find(k key, next int, keyOf func(i int) key) (at int, found bool) {
	if 4*(s.used+1) > 3*len(s.slots) {
		s.grow(keyOf)
	}
	slot := s.slot(k)
	for ; s.slots[slot] != 0; slot = (slot + 1) % len(s.slots) {
		if at := int(s.slots[slot]) - 1; keyOf(at) == k {
			return at, true
		}
	}
	s.slots[slot] = uint32(next) + 1
	s.used++
	return next, false
}

func (s *keys) slot(k key) int { return int(maphash.Comparable(s.seed, k) % uint64(len(s.slots))) }

func (s *keys) grow(keyOf func(i int) key) {
	old := s.slots
	if old == nil {
		s.seed = maphash.MakeSeed()
	}
	s.slots = make([]uint32, max(64, 2*len(old)))
	for _, n := range old {
		if n == 0 {
			continue
		}
		slot := s.slot(keyOf(int(n) - 1))
		for s.slots[slot] != 0 {
			slot = (slot + 1) % len(s.slots)
		}
		s.slots[slot] = n
	}
}
