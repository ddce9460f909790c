package expr

import (
	"slices"
	"strings"
)

// A Builder collects names in any order and sorts them once at the end, which
// is faster than uniting many sets. The zero value holds no names.
type Builder struct {
	shapes map[string]*shape
	last   *shape // of the name before: names come in groups
	key    []byte
	tokens []token
}

// Add adds a name, not read as an expression; the empty name is ignored.
func (b *Builder) Add(name string) {
	if name == "" {
		return
	}
	b.key, b.tokens = analyse(name, b.key[:0], b.tokens[:0])
	sh := b.shape(len(b.tokens), name)
	sh.rows = append(sh.rows, b.tokens...)
}

// shape returns the shape of b.key, creating it from the key or, if tokens is 0, from the
// name.
func (b *Builder) shape(tokens int, name string) *shape {
	if b.last != nil && b.last.key == string(b.key) {
		return b.last
	}
	sh := b.shapes[string(b.key)]
	if sh == nil {
		sh = &shape{key: string(b.key), literals: []string{name}}
		if tokens > 0 {
			sh.literals = strings.Split(sh.key, string(mark))
		}
		if b.shapes == nil {
			b.shapes = make(map[string]*shape)
		}
		b.shapes[sh.key] = sh
	}
	b.last = sh
	return sh
}

// AddExpr adds the names of an expression.
func (b *Builder) AddExpr(e Expr) {
	if e.set != nil {
		b.addSet(*e.set)
		return
	}
	b.addTerms(e.terms)
}

func (b *Builder) addTerms(terms []term) {
	for _, t := range terms {
		if t.sub != nil {
			b.AddExpr(*t.sub)
		} else {
			b.addPattern(t.pattern)
		}
	}
}

func (b *Builder) addSet(s Set) {
	for key, from := range s.shapes {
		b.key = append(b.key[:0], key...)
		to := b.shape(from.dims(), from.literals[0])
		to.rows = append(to.rows, from.rows...)
	}
}

// addPattern adds all names of a pattern, as a product of numbers if no bracket is next to
// other digits.
func (b *Builder) addPattern(pat pattern) {
	columns, ok := b.columns(pat)
	if !ok {
		pat.each(func(name string) bool { b.Add(name); return true })
		return
	}
	name := ""
	if len(columns) == 0 {
		name = pat.parts[0].literal
	}
	sh := b.shape(len(columns), name)
	if len(columns) > 0 {
		size := len(columns)
		for _, c := range columns {
			size *= len(c)
		}
		sh.rows = appendProduct(slices.Grow(sh.rows, size), columns)
	}
}

// columns sets b.key to the key of the pattern's shape and returns the sorted tokens of each
// dimension.
func (b *Builder) columns(pat pattern) (columns [][]token, ok bool) {
	b.key = b.key[:0]
	number := false // the previous part ended in a number
	for _, part := range pat.parts {
		if part.spans != nil {
			if number {
				return nil, false
			}
			b.key, number = append(b.key, mark), true
			columns = append(columns, column(part.spans))
			continue
		}
		text := part.literal
		if number && isDigit(text[0]) || strings.IndexByte(text, mark) >= 0 {
			return nil, false
		}
		number = isDigit(text[len(text)-1])
		b.key, b.tokens = analyse(text, b.key, b.tokens[:0])
		for _, t := range b.tokens {
			columns = append(columns, []token{t})
		}
	}
	return columns, true
}

// column returns the numbers of a bracket, sorted, without duplicates.
func column(spans []span) []token {
	total := 0
	for _, s := range spans {
		total += s.count()
	}
	tokens := make([]token, 0, total)
	for _, s := range spans {
		for v := s.first; v <= s.last; v += s.step {
			tokens = append(tokens, padded(v, s.width))
		}
	}
	return settleRows(tokens, 1)
}

// appendProduct appends the rows of a product; they are sorted if its columns are.
func appendProduct(rows []token, columns [][]token) []token {
	at := make([]int, len(columns))
	for {
		for dim, i := range at {
			rows = append(rows, columns[dim][i])
		}
		dim := len(at) - 1
		for ; dim >= 0; dim-- {
			if at[dim]++; at[dim] < len(columns[dim]) {
				break
			}
			at[dim] = 0
		}
		if dim < 0 {
			return rows
		}
	}
}

// Set returns the names as a set and empties the Builder.
func (b *Builder) Set() Set {
	s := Set{shapes: b.shapes}
	for _, sh := range b.shapes {
		if sh.dims() > 0 {
			sh.rows = settleRows(sh.rows, sh.dims())
		}
		s.names += sh.len()
	}
	*b = Builder{}
	return s
}

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
