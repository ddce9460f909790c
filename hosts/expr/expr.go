package expr

import "iter"

// An Expr is an expression that was read. The zero value holds no names.
type Expr struct {
	terms []term
	names int
	bytes int  // upper bound of the length of all names
	set   *Set // what the operators leave, or nil where there are only commas
}

// The operators, as they are written.
const (
	union        = ','
	difference   = '!'
	intersection = '&'
	exclusive    = '^'
)

// A term is an operand with the operator in front of it, a comma before the
// first.
type term struct {
	op byte
	pattern
	sub *Expr // what the pattern stands for where it names groups or has wildcards
}

func (t term) size() (names, bytes int) {
	if t.sub != nil {
		return t.sub.names, t.sub.bytes
	}
	return t.names, t.bytes
}

func (t term) each(yield func(string) bool) bool {
	if t.sub != nil {
		return t.sub.each(yield)
	}
	return t.pattern.each(yield)
}

// Len is the number of names that Names yields.
func (e Expr) Len() int { return e.names }

// Names yields the names in the order in which they were written, the last
// range of a product turning fastest and a group as it is defined. A list with
// no operator but the comma keeps its duplicates; with another, each name comes
// once, where it was first written.
func (e Expr) Names() iter.Seq[string] {
	return func(yield func(string) bool) { e.each(yield) }
}

// Set gives the names as a set. It costs time and memory in proportion to the
// names.
func (e Expr) Set() Set {
	if e.set != nil {
		return *e.set
	}
	var b Builder
	b.AddExpr(e)
	return b.Set()
}

// Expand gives the names of an expression without groups in the order of
// [Expr.Names]. It allocates nothing for an expression that Parse refuses.
// Every error is a *[SyntaxError].
func Expand(expr string) ([]string, error) {
	e, err := Parse(expr)
	if err != nil {
		return nil, err
	}
	names := make([]string, 0, e.Len())
	for name := range e.Names() {
		names = append(names, name)
	}
	return names, nil
}

func (e Expr) each(yield func(string) bool) bool {
	if e.set != nil {
		return e.eachLeft(yield)
	}
	for _, t := range e.terms {
		if !t.each(yield) {
			return false
		}
	}
	return true
}

// eachLeft yields what the operators leave, each name where it was first
// written: only a comma and an exclusive or bring names in.
func (e Expr) eachLeft(yield func(string) bool) bool {
	met := newSeen(e.set)
	once := func(name string) bool {
		return !met.first(name) || yield(name)
	}
	for _, t := range e.terms {
		if (t.op == union || t.op == exclusive) && !t.each(once) {
			return false
		}
	}
	return true
}

// settle carries out the operators.
func (e *Expr) settle() {
	plain := true
	for _, t := range e.terms {
		plain = plain && t.op == union
	}
	if plain {
		return
	}
	var left Set
	for rest := e.terms; len(rest) > 0; {
		n := alike(rest)
		var b Builder
		b.addTerms(rest[:n])
		left = left.apply(rest[0].op, b.Set())
		rest = rest[n:]
	}
	e.set = &left
	e.names = left.Len()
}

// alike counts how many terms can be united before their operator is carried
// out once for all: a!b!c is a without b and c together.
func alike(terms []term) int {
	n := 1
	for op := terms[0].op; (op == union || op == difference) && n < len(terms) && terms[n].op == op; n++ {
	}
	return n
}
