package expr

import (
	"iter"
	"slices"
	"strings"
)

// A Set is an immutable set of names. The zero value is empty. Its operations return new sets,
// which share equal parts. It is safe for concurrent use.
type Set struct {
	shapes map[string]*shape // by their keys; none is empty
	names  int
}

// SetOf returns the set of names; the empty name is left out. Names are taken as
// they are, not read as expressions.
func SetOf(names []string) Set {
	var b Builder
	for _, name := range names {
		b.Add(name)
	}
	return b.Set()
}

// Len returns the number of names.
func (s Set) Len() int { return s.names }

// Contains reports whether name is in the set.
func (s Set) Contains(name string) bool {
	sh, _ := s.find(name)
	return sh != nil
}

// Equal reports whether both sets contain the same names.
func (s Set) Equal(other Set) bool {
	return s.names == other.names && s.Intersect(other).names == s.names
}

// Union returns the names that are in either set, a,b.
func (s Set) Union(other Set) Set { return s.apply(union, other) }

// Minus returns the names of s that are not in other in any case, a!b.
func (s Set) Minus(other Set) Set { return s.apply(difference, other) }

// Intersect returns the names that are in both sets, a&b.
func (s Set) Intersect(other Set) Set { return s.apply(intersection, other) }

// Xor returns the names that are in one of the sets and in no case in the other, a^b.
func (s Set) Xor(other Set) Set { return s.apply(exclusive, other) }

// apply evaluates an operator, for each pair of shapes in time nearly linear in the number of
// their names. A name that is to be left out is left out in any case: it is the same host.
func (s Set) apply(op byte, other Set) Set {
	k := kept(op)
	result := Set{shapes: make(map[string]*shape, len(s.shapes))}
	switch op {
	case exclusive:
		result.addWithout(other, s)
		fallthrough
	case difference:
		result.addWithout(s, other)
		return result
	}
	for key, a := range s.shapes {
		if b := other.shapes[key]; b != nil {
			result.put(key, a.combine(b, k))
		} else if k.left {
			result.put(key, a)
		}
	}
	if k.right {
		for key, b := range other.shapes {
			if s.shapes[key] == nil {
				result.put(key, b)
			}
		}
	}
	return result
}

// addWithout adds the names of from that are not in other in any case; s has none of them.
func (s *Set) addWithout(from, other Set) {
	others := make(map[string]*shape, len(other.shapes))
	for _, sh := range other.shapes {
		folded := strings.ToLower(sh.key)
		if same := others[folded]; same != nil {
			sh = same.combine(sh, kept(union))
		}
		others[folded] = sh
	}
	for key, sh := range from.shapes {
		if b := others[strings.ToLower(key)]; b != nil {
			sh = sh.combine(b, kept(difference))
		}
		if has := s.shapes[key]; has != nil && sh != nil {
			s.names -= has.len()
			sh = has.combine(sh, kept(union))
		}
		s.put(key, sh)
	}
}

// put adds a shape with a new key, unless the shape is empty.
func (s *Set) put(key string, sh *shape) {
	if sh != nil {
		s.shapes[key] = sh
		s.names += sh.len()
	}
}

// keep holds which names an operator keeps: those of the left side only, of both sides, of
// the right side only.
type keep struct{ left, both, right bool }

func kept(op byte) keep {
	switch op {
	case difference:
		return keep{left: true}
	case intersection:
		return keep{both: true}
	case exclusive:
		return keep{left: true, right: true}
	}
	return keep{left: true, both: true, right: true}
}

// Names yields the names in the order of the set: shape by shape (names with
// the same text around their numbers), the shapes as [Compare] orders their
// first names, and by numbers within each, those of fewer digits first.
func (s Set) Names() iter.Seq[string] {
	return func(yield func(string) bool) {
		for _, sh := range s.ordered() {
			if !sh.each(yield) {
				return
			}
		}
	}
}

// Slice returns the names with indexes from (inclusive) to to (exclusive) in the order of
// Names. Indexes beyond the set mean its ends.
func (s Set) Slice(from, to int) Set {
	result := Set{shapes: make(map[string]*shape)}
	for _, sh := range s.ordered() {
		n := sh.len()
		if a, b := max(from, 0), min(to, n); a < b {
			result.put(sh.key, sh.slice(a, b))
		}
		from, to = from-n, to-n
	}
	return result
}

// Filter returns the names for whose index in the order of Names keep returns true.
func (s Set) Filter(keep func(index int) bool) Set {
	result := Set{shapes: make(map[string]*shape)}
	offset := 0
	for _, sh := range s.ordered() {
		result.put(sh.key, sh.filter(func(row int) bool { return keep(offset + row) }))
		offset += sh.len()
	}
	return result
}

// ordered returns the shapes in the order of the set.
func (s Set) ordered() []*shape {
	type entry struct {
		first string
		*shape
	}
	entries := make([]entry, 0, len(s.shapes))
	for _, sh := range s.shapes {
		entries = append(entries, entry{sh.name(0), sh})
	}
	slices.SortFunc(entries, func(a, b entry) int { return Compare(a.first, b.first) })
	shapes := make([]*shape, len(entries))
	for i, e := range entries {
		shapes[i] = e.shape
	}
	return shapes
}

// find returns the shape and the row of a name, or nil.
func (s Set) find(name string) (*shape, int) {
	if name == "" {
		return nil, 0
	}
	key, row := analyse(name, nil, nil)
	sh := s.shapes[string(key)]
	if sh == nil {
		return nil, 0
	}
	at, found := sh.search(row)
	if !found {
		return nil, 0
	}
	return sh, at
}
