package expr

import (
	"fmt"
	"net/netip"
	"strings"
)

// Limits of one expression, its groups included.
const (
	// MaxNames bounds the number of names of an expression's operands.
	MaxNames = 10_000_000
	// MaxNameLen bounds the length of one name, in bytes.
	MaxNameLen = 1024
	// MaxBytes bounds the length of all names of an expression together.
	MaxBytes = 1 << 30
)

// Parse parses an expression without groups; those need a [Resolver]. A plain list of names and
// ranges is counted, not expanded; operators are evaluated. Every error is a *[SyntaxError].
func Parse(expr string) (Expr, error) {
	return NewResolver(nil).Parse(expr)
}

const (
	// blanks are allowed around operators.
	blanks = " \t"
	// operators separate operands.
	operators = ",!&^"
)

// A parser reads one expression, or one definition of a group.
type parser struct {
	expr     string
	pos      int
	resolver *Resolver
	source   string   // of groups written without a source
	anyCase  bool     // wildcards match in any case
	also     []string // hosts that they match beside those of the source
	op       byte     // before the operand that is being read
}

func (p *parser) fail(offset int, hint, format string, args ...any) *SyntaxError {
	return &SyntaxError{Expr: p.expr, Offset: offset, Reason: fmt.Sprintf(format, args...), hint: hint}
}

func (p *parser) skipBlanks() {
	for p.pos < len(p.expr) && strings.IndexByte(blanks, p.expr[p.pos]) >= 0 {
		p.pos++
	}
}

// expression parses operands and operators up to the end.
func (p *parser) expression() (Expr, *SyntaxError) {
	var result Expr
	p.op = union
	for {
		p.skipBlanks()
		start := p.pos
		t, err := p.term()
		if err != nil {
			return Expr{}, err
		}
		switch text := p.expr[start:p.pos]; {
		case t.wild && t.sub.names == 0:
			result.idle = append(result.idle, text)
		case t.op == difference:
			t.text = text
		}
		if err := p.add(&result, t, start); err != nil {
			return Expr{}, err
		}
		p.skipBlanks()
		if p.pos == len(p.expr) {
			result.settle()
			return result, nil
		}
		p.op = p.expr[p.pos]
		if strings.IndexByte(operators, p.op) < 0 {
			return Expr{}, p.fail(p.pos, "separate hosts with commas; a login name goes in front, as in user@host",
				"blank inside a name")
		}
		p.pos++
	}
}

// add adds an operand that begins at start, within the limits. An operand without names
// changes nothing, except with an intersection.
func (p *parser) add(e *Expr, t term, start int) *SyntaxError {
	names, bytes := t.size()
	e.names += names
	e.bytes += bytes
	if e.names > MaxNames {
		return p.tooMany(start)
	}
	if e.bytes > MaxBytes {
		return p.fail(start, "split it up", "stands for more than %d bytes of names", MaxBytes)
	}
	if names > 0 || t.op == intersection {
		e.terms = append(e.terms, t)
	}
	return nil
}

func (p *parser) tooMany(start int) *SyntaxError {
	return p.fail(start, "split it up, or look for a digit too many",
		"stands for more than %d names", MaxNames)
}

// term parses one operand.
func (p *parser) term() (term, *SyntaxError) {
	start := p.pos
	pat, err := p.pattern()
	if err != nil {
		return term{}, err
	}
	t := term{op: p.op, pattern: pat}
	switch {
	case pat.isGroup():
		t.sub, err = p.group(pat, start)
	case pat.wild:
		t.sub, err = p.wildcard(pat, start)
	}
	return t, err
}

// pattern parses one name with its brackets, up to an operator, a blank or the end.
func (p *parser) pattern() (pattern, *SyntaxError) {
	start := p.pos
	pat := pattern{names: 1}
	literal, width := start, 0
	for p.pos < len(p.expr) {
		switch c := p.expr[p.pos]; c {
		case ',', '!', '&', '^', ' ', '\t':
			return p.endPattern(pat, start, literal, width)
		case '\n', '\r', '\v', '\f':
			return pattern{}, p.fail(p.pos, "separate hosts with commas, or read them from a file", "line break inside an expression")
		case ']':
			return pattern{}, p.fail(p.pos, "a range is written as node[1-9]", "closing bracket without an opening one")
		case '[':
			if p.atAddress() {
				if err := p.address(); err != nil {
					return pattern{}, err
				}
				continue
			}
			pat.addLiteral(p.expr[literal:p.pos])
			width += p.pos - literal
			spans, err := p.bracket()
			if err != nil {
				return pattern{}, err
			}
			literal = p.pos
			width += widest(spans)
			if !pat.addSpans(spans) {
				return pattern{}, p.tooMany(start)
			}
		case '*', '?':
			pat.wild = true
			p.pos++
		default:
			p.pos++
		}
	}
	return p.endPattern(pat, start, literal, width)
}

// endPattern completes a pattern that begins at start, whose last literal begins at literal
// and whose names have at most width bytes before it.
func (p *parser) endPattern(pat pattern, start, literal, width int) (pattern, *SyntaxError) {
	if p.pos == start {
		return pattern{}, p.missing()
	}
	pat.addLiteral(p.expr[literal:p.pos])
	width += p.pos - literal
	if width > MaxNameLen {
		return pattern{}, p.fail(start, "look for a missing comma", "name of more than %d bytes", MaxNameLen)
	}
	pat.bytes = pat.names * width // at most 2^34
	return pat, nil
}

// missing returns the error for a missing operand at p.pos.
func (p *parser) missing() *SyntaxError {
	if strings.Trim(p.expr, blanks) == "" {
		return p.fail(p.pos, "name at least one host", "empty expression")
	}
	op := p.op
	if p.pos < len(p.expr) {
		op = p.expr[p.pos]
	}
	if op == union {
		return p.fail(p.pos, "remove the extra comma", "no name beside a comma")
	}
	return p.fail(p.pos, "an operator stands between two names, as in node[1-9]!node3", "no name beside the operator %q", op)
}

// closing returns the offset of the bracket that ends the one at p.pos, or -1.
func (p *parser) closing() int {
	length := strings.IndexByte(p.expr[p.pos:], ']')
	if length < 0 {
		return -1
	}
	return p.pos + length
}

// atAddress reports whether the bracket at p.pos contains a colon, which no range
// does.
func (p *parser) atAddress() bool {
	end := p.closing()
	if end < 0 {
		end = len(p.expr)
	}
	inside := p.expr[p.pos+1 : end]
	if nested := strings.IndexByte(inside, '['); nested >= 0 {
		inside = inside[:nested]
	}
	return strings.IndexByte(inside, ':') >= 0
}

// address skips an IPv6 address in brackets (RFC 3986 §3.2.2), which is part of the
// name.
func (p *parser) address() *SyntaxError {
	end := p.closing()
	if end < 0 {
		return p.fail(p.pos, `close it with "]"`, "bracket is not closed")
	}
	inside := p.expr[p.pos+1 : end]
	if addr, err := netip.ParseAddr(inside); err != nil || !addr.Is6() {
		return p.fail(p.pos, "write [::1]:22 for an address with a port; ranges do not go inside such brackets",
			"%.60q is not an IPv6 address", inside)
	}
	p.pos = end + 1
	return nil
}
