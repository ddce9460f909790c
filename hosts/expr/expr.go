package expr

import (
	"fmt"
	"iter"
)

// An Expr is a parsed expression. The zero value holds no names.
type Expr struct {
	terms []term
	names int
	bytes int  // upper bound of the length of all names
	set   *Set // the result of the operators, nil if there are only commas
	idle  []string
}

// The operators, as they are written.
const (
	union        = ','
	difference   = '!'
	intersection = '&'
	exclusive    = '^'
)

// A term is an operand with its preceding operator, which is a comma for the first one.
type term struct {
	op byte
	pattern
	sub  *Expr  // the pattern's hosts if it names groups or has wildcards
	text string // as it was written, of what is taken away
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

// Len returns the number of names that Names yields.
func (e Expr) Len() int { return e.names }

// Names yields the names in the order of the expression; in a product the last range varies
// fastest, and a group has the order of its definition. A list with no operator other than
// the comma keeps its duplicates; otherwise each name occurs once, at the place of its first
// occurrence.
func (e Expr) Names() iter.Seq[string] {
	return func(yield func(string) bool) { e.each(yield) }
}

// Idle returns the operands, as they are written, that look like a typing error: wildcards that no
// known host matches, and names behind ! that are not among what they are taken from.
func (e Expr) Idle() []string { return e.idle }

// Own yields the names that the expression itself spells, and no group or wildcard brings. An
// operator may have left some of them out of Names.
func (e Expr) Own() iter.Seq[string] {
	return func(yield func(string) bool) {
		for _, t := range e.terms {
			if t.sub == nil && !t.pattern.each(yield) {
				return
			}
		}
	}
}

// Set returns the names as a set. It takes time and memory proportional to the number of
// names.
func (e Expr) Set() Set {
	if e.set != nil {
		return *e.set
	}
	var b Builder
	b.AddExpr(e)
	return b.Set()
}

// Expand returns the names of an expression without groups in the order of
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

// eachLeft yields the result of the operators, each name at the place of its first
// occurrence: only comma and exclusive or add names.
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

// settle evaluates the operators.
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
		e.findIdle(left, rest[:n])
		var b Builder
		b.addTerms(rest[:n])
		left = left.apply(rest[0].op, b.Set())
		rest = rest[n:]
	}
	e.set = &left
	e.names = left.Len()
}

// findIdle finds the operands that take nothing away.
func (e *Expr) findIdle(left Set, terms []term) {
	for _, t := range terms {
		if t.op != difference || t.sub != nil || !t.each(func(name string) bool { return !left.Contains(name) }) {
			continue
		}
		var b Builder
		b.addTerms([]term{t})
		if left.Minus(b.Set()).Len() == left.Len() { // in no case
			e.idle = append(e.idle, t.text)
		}
	}
}

// alike returns how many of the next terms can be united so that their operator is applied only
// once: a!b!c is a without the union of b and c.
func alike(terms []term) int {
	n := 1
	for op := terms[0].op; (op == union || op == difference) && n < len(terms) && terms[n].op == op; n++ {
	}
	return n
}

// quoteLimit bounds how much of an expression an error repeats, in bytes.
const quoteLimit = 80

// A SyntaxError says where and why an expression cannot be parsed. If the error is in a group's
// definition, Offset is the group's place in the given expression, and Reason includes the
// error in the definition.
type SyntaxError struct {
	// Expr is the whole expression.
	Expr string
	// Offset is the place of the error in Expr, in bytes from 0.
	Offset int
	// Reason is the error without place and hint.
	Reason string

	hint  string
	cause error // the error of a group's definition or source, or nil
}

// Error names expression, position (from 1) and reason.
func (e *SyntaxError) Error() string {
	shown, more := e.Expr, ""
	if len(shown) > quoteLimit {
		shown, more = shown[:quoteLimit], "…"
	}
	return fmt.Sprintf("host expression %q%s: position %d: %s", shown, more, e.Offset+1, e.Reason)
}

// Hint returns advice for the user, in one line.
func (e *SyntaxError) Hint() string { return e.hint }

// Unwrap returns the error of a group's source or definition, nil if the error is not in a
// group.
func (e *SyntaxError) Unwrap() error { return e.cause }
