// Package filter reads and decides conditions on a host's attributes, as in
// --where 'env==prod && az!=b'.
//
//	env==prod        the attribute is there and is that text
//	az!=b            the attribute is another text, or is not there
//	os=~'^deb|ubu'   the attribute is there and the regular expression is found in it
//	os!~deb          the expression is not found in it, or it is not there
//	gpu, has(gpu)    the attribute is there, whatever it is
//	! && || ( )      not, and, or, in this order
//
// Everything is text: 07 is not 7. A missing attribute equals nothing, not even
// ”. A value needs quotes, 'or' "or", where it has blanks or operators in it.
// Regular expressions are RE2's (package regexp), found anywhere unless anchored.
//
// Call [Parse] once and [Expr.Match] per host.
package filter

// Limits of an expression.
const (
	// MaxBytes bounds its length.
	MaxBytes = 16 << 10
	// maxDepth bounds how deep parentheses and ! nest.
	maxDepth = 100
)

// Attrs is what a host has.
type Attrs interface {
	// Attr returns the value of an attribute, and whether there is one.
	Attr(name string) (string, bool)
}

// An Expr is a condition. The zero value is true for every host. It is safe for
// concurrent use.
type Expr struct {
	match func(Attrs) bool
	names []string
}

// Match decides about one host.
func (e Expr) Match(a Attrs) bool { return e.match == nil || e.match(a) }

// Names lists the attributes that the expression asks for, in its order, each
// once: one that no host has is likely a slip of the pen.
func (e Expr) Names() []string { return e.names }

// Parse reads an expression; every error is a *[SyntaxError].
func Parse(text string) (Expr, error) {
	if len(text) > MaxBytes {
		return Expr{}, fail(MaxBytes, "shorten it", "more than %d bytes", MaxBytes)
	}
	p := &parser{text: text, seen: make(map[string]bool)}
	match, err := p.whole()
	if err != nil {
		return Expr{}, err
	}
	return Expr{match: match, names: p.names}, nil
}
