package filter

import (
	"regexp"

	"shoal/hosts/internal/attr"
)

type parser struct {
	text  string
	pos   int
	tok   token // the one to look at
	depth int
	names []string
	seen  map[string]bool
}

func (p *parser) whole() (func(Attrs) bool, *SyntaxError) {
	if err := p.advance(); err != nil {
		return nil, err
	}
	if p.tok.kind == end {
		return nil, fail(0, "write a condition such as env==prod", "no condition")
	}
	match, err := p.or()
	if err != nil {
		return nil, err
	}
	if p.tok.kind != end {
		return nil, p.unexpected("join conditions with && or ||")
	}
	return match, nil
}

func (p *parser) advance() (err *SyntaxError) {
	p.tok, p.pos, err = next(p.text, p.pos)
	return err
}

func (p *parser) unexpected(hint string) *SyntaxError {
	return fail(p.tok.offset, hint, "%v is not expected here", p.tok)
}

func (p *parser) or() (func(Attrs) bool, *SyntaxError) {
	return p.joined("||", p.and, func(x, y func(Attrs) bool) func(Attrs) bool {
		return func(a Attrs) bool { return x(a) || y(a) }
	})
}

func (p *parser) and() (func(Attrs) bool, *SyntaxError) {
	return p.joined("&&", p.not, func(x, y func(Attrs) bool) func(Attrs) bool {
		return func(a Attrs) bool { return x(a) && y(a) }
	})
}

// joined reads operands with one operator between them.
func (p *parser) joined(
	op string, operand func() (func(Attrs) bool, *SyntaxError), join func(x, y func(Attrs) bool) func(Attrs) bool,
) (func(Attrs) bool, *SyntaxError) {
	left, err := operand()
	for err == nil && p.tok.is(op) {
		if err = p.advance(); err != nil {
			break
		}
		var right func(Attrs) bool
		if right, err = operand(); err == nil {
			left = join(left, right)
		}
	}
	return left, err
}

func (p *parser) not() (func(Attrs) bool, *SyntaxError) {
	if p.depth++; p.depth > maxDepth {
		return nil, fail(p.tok.offset, "use fewer parentheses", "nested deeper than %d", maxDepth)
	}
	defer func() { p.depth-- }()
	switch {
	case p.tok.is("!"):
		if err := p.advance(); err != nil {
			return nil, err
		}
		inner, err := p.not()
		if err != nil {
			return nil, err
		}
		return func(a Attrs) bool { return !inner(a) }, nil
	case p.tok.is("("):
		if err := p.advance(); err != nil {
			return nil, err
		}
		inner, err := p.or()
		if err != nil {
			return nil, err
		}
		return inner, p.closing()
	}
	return p.condition()
}

func (p *parser) closing() *SyntaxError {
	if !p.tok.is(")") {
		return p.unexpected("close the parenthesis")
	}
	return p.advance()
}

// condition reads a name and what is asked of it.
func (p *parser) condition() (func(Attrs) bool, *SyntaxError) {
	if p.tok.kind == word && p.tok.text == "has" {
		return p.presence()
	}
	name, err := p.name()
	if err != nil {
		return nil, err
	}
	op := p.tok
	if op.kind != operator {
		return has(name), nil
	}
	switch op.text {
	case "==", "!=", "=~", "!~":
	default:
		return has(name), nil
	}
	if err := p.advance(); err != nil {
		return nil, err
	}
	value := p.tok
	if value.kind != word && value.kind != quoted {
		return nil, p.unexpected(quoteHint)
	}
	if err := p.advance(); err != nil {
		return nil, err
	}
	return compare(name, op.text, value)
}

// presence reads has(name); has alone is an attribute of that name.
func (p *parser) presence() (func(Attrs) bool, *SyntaxError) {
	start, after := p.tok, p.pos
	if err := p.advance(); err != nil {
		return nil, err
	}
	if !p.tok.is("(") {
		p.pos, p.tok = after, start
		p.tok.kind = quoted // a name, not the function, on the second look
		return p.condition()
	}
	if err := p.advance(); err != nil {
		return nil, err
	}
	name, err := p.name()
	if err != nil {
		return nil, err
	}
	return has(name), p.closing()
}

// name takes the name of an attribute, which may be quoted.
func (p *parser) name() (string, *SyntaxError) {
	if p.tok.kind != word && p.tok.kind != quoted {
		return "", p.unexpected("write a condition such as env==prod")
	}
	name := p.tok.text
	if err := attr.CheckName(name); err != nil {
		return "", fail(p.tok.offset, "an attribute's name stands left of the operator", "%v", err)
	}
	if !p.seen[name] {
		p.seen[name] = true
		p.names = append(p.names, name)
	}
	return name, p.advance()
}

func has(name string) func(Attrs) bool {
	return func(a Attrs) bool {
		_, there := a.Attr(name)
		return there
	}
}

func compare(name, op string, value token) (func(Attrs) bool, *SyntaxError) {
	same := func(text string) bool { return text == value.text }
	if op[1] == '~' {
		pattern, err := regexp.Compile(value.text)
		if err != nil {
			return nil, fail(value.offset, "the syntax is RE2's, without look-around and back-references", "%v", err)
		}
		same = pattern.MatchString
	}
	wanted := op[0] == '='
	return func(a Attrs) bool {
		text, there := a.Attr(name)
		return (there && same(text)) == wanted
	}, nil
}
