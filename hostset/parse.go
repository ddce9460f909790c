package hostset

import (
	"fmt"
	"net/netip"
	"strings"
)

// Limits of one expression.
const (
	// MaxNames bounds how many names an expression may stand for.
	MaxNames = 10_000_000
	// MaxNameLen bounds the length of one name, in bytes.
	MaxNameLen = 1024
	// MaxBytes bounds the length of all names of an expression together.
	MaxBytes = 1 << 30
)

// An Expr is a parsed host expression. The zero value holds no names.
type Expr struct {
	patterns []pattern
	names    int
}

// A pattern is one name or the product of several ranges.
type pattern struct {
	parts []part
	names int
}

// A part is literal text or, where spans is not nil, one bracket.
type part struct {
	literal string
	spans   []span
}

// Parse reads an expression. What it stands for is counted, not made. Every
// error is a *[SyntaxError].
func Parse(expr string) (Expr, error) {
	p := parser{expr: expr}
	result, err := p.expression()
	if err != nil {
		return Expr{}, err
	}
	return result, nil
}

// blanks may stand around commas.
const blanks = " \t"

type parser struct {
	expr  string
	pos   int
	bytes int // upper bound of the length of all names so far
}

func (p *parser) fail(offset int, hint, format string, args ...any) *SyntaxError {
	return &SyntaxError{Expr: p.expr, Offset: offset, Reason: fmt.Sprintf(format, args...), hint: hint}
}

func (p *parser) skipBlanks() {
	for p.pos < len(p.expr) && strings.IndexByte(blanks, p.expr[p.pos]) >= 0 {
		p.pos++
	}
}

// expression reads patterns up to the end. Operators other than the comma would
// be read here.
func (p *parser) expression() (Expr, *SyntaxError) {
	var result Expr
	for {
		p.skipBlanks()
		start := p.pos
		pat, err := p.pattern()
		if err != nil {
			return Expr{}, err
		}
		result.names += pat.names
		if result.names > MaxNames {
			return Expr{}, p.tooMany(start)
		}
		result.patterns = append(result.patterns, pat)
		p.skipBlanks()
		if p.pos == len(p.expr) {
			return result, nil
		}
		if p.expr[p.pos] != ',' {
			return Expr{}, p.fail(p.pos, "separate hosts with commas; a login name goes in front, as in user@host",
				"blank inside a name")
		}
		p.pos++
	}
}

func (p *parser) tooMany(start int) *SyntaxError {
	return p.fail(start, "split it up, or look for a digit too many",
		"stands for more than %d names", MaxNames)
}

// pattern reads one name with its brackets, up to a comma, a blank or the end.
func (p *parser) pattern() (pattern, *SyntaxError) {
	start := p.pos
	if start < len(p.expr) && p.expr[start] == '@' {
		return pattern{}, p.fail(start, "name the hosts, or put them into a file", "host groups (@name) are not supported")
	}
	pat := pattern{names: 1}
	literal, width := start, 0
	for p.pos < len(p.expr) {
		switch c := p.expr[p.pos]; c {
		case ',', ' ', '\t':
			return p.endPattern(pat, start, literal, width)
		case '\n', '\r', '\v', '\f':
			return pattern{}, p.fail(p.pos, "separate hosts with commas, or read them from a file", "line break inside an expression")
		case '!', '&', '^':
			return pattern{}, p.fail(p.pos, "a comma joins hosts; to leave some out, exclude them apart",
				"the set operator %q is not supported", c)
		case '*', '?':
			return pattern{}, p.fail(p.pos, "write a range, such as node[1-9]", "the wildcard %q is not supported", c)
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
		default:
			p.pos++
		}
	}
	return p.endPattern(pat, start, literal, width)
}

// endPattern closes a pattern that began at start, whose last literal began at
// literal, and whose names have at most width bytes before that.
func (p *parser) endPattern(pat pattern, start, literal, width int) (pattern, *SyntaxError) {
	if p.pos == start {
		if strings.Trim(p.expr, blanks) == "" {
			return pattern{}, p.fail(start, "name at least one host", "empty expression")
		}
		return pattern{}, p.fail(start, "remove the extra comma", "no name beside a comma")
	}
	pat.addLiteral(p.expr[literal:p.pos])
	width += p.pos - literal
	if width > MaxNameLen {
		return pattern{}, p.fail(start, "look for a missing comma", "name of more than %d bytes", MaxNameLen)
	}
	p.bytes += pat.names * width
	if p.bytes > MaxBytes {
		return pattern{}, p.fail(start, "split it up", "stands for more than %d bytes of names", MaxBytes)
	}
	return pat, nil
}

func (pat *pattern) addLiteral(text string) {
	if text != "" {
		pat.parts = append(pat.parts, part{literal: text})
	}
}

// addSpans reports false where the product would exceed MaxNames.
func (pat *pattern) addSpans(spans []span) bool {
	count := 0
	for _, s := range spans {
		count += s.count()
		if count > MaxNames {
			return false
		}
	}
	pat.parts = append(pat.parts, part{spans: spans})
	pat.names *= count // both at most MaxNames: no overflow in 64 bits
	return pat.names <= MaxNames
}

// closing gives the offset of the bracket that ends the one at p.pos, or -1.
func (p *parser) closing() int {
	length := strings.IndexByte(p.expr[p.pos:], ']')
	if length < 0 {
		return -1
	}
	return p.pos + length
}

// atAddress says whether the bracket at p.pos holds a colon, which no range
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

// address passes over an IPv6 address in brackets (RFC 3986 §3.2.2), which is
// part of the name.
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
