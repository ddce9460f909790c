package expr

// seen records which names of a set have occurred.
type seen struct {
	set  *Set
	rows map[*shape][]uint64 // a bit for each row
}

func newSeen(s *Set) seen { return seen{set: s, rows: make(map[*shape][]uint64)} }

// first reports whether name is in the set and occurs for the first time.
func (s seen) first(name string) bool {
	sh, row := s.set.find(name)
	if sh == nil {
		return false
	}
	words := s.rows[sh]
	if words == nil {
		words = make([]uint64, sh.len()/64+1)
		s.rows[sh] = words
	}
	bit := uint64(1) << (row % 64)
	if words[row/64]&bit != 0 {
		return false
	}
	words[row/64] |= bit
	return true
}
