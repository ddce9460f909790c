package shell

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// An operator joins a command to the one before it.
type operator uint8

const (
	opAlways operator = iota // ; or newline, and the first command
	opAnd                    // &&
	opOr                     // ||
)

type redirection uint8

const (
	outToErr redirection = iota // >&2 and 1>&2
	errToOut                    // 2>&1
)

// A simple command is its words and redirections, in the order written.
type simple struct {
	after        operator
	words        []word
	redirections []redirection
}

// A word is literal text, with the expansions that stand between its parts.
type word []part

type part struct {
	literal string
	expand  byte // '$' or '?' for $$ and $?, after literal; 0 for none
}

// expand returns the command's words as the command sees them.
func (c simple) expand(pid string, last uint32) []string {
	args := make([]string, len(c.words))
	for i, w := range c.words {
		var b strings.Builder
		for _, p := range w {
			b.WriteString(p.literal)
			switch p.expand {
			case '$':
				b.WriteString(pid)
			case '?':
				b.WriteString(strconv.FormatUint(uint64(last), 10))
			}
		}
		args[i] = b.String()
	}
	return args
}

// A parser holds the line's rest and the command under way.
type parser struct {
	rest    string
	list    []simple
	current simple
	// open is set after && and ||, which want a command to follow.
	open bool
	// strange is set when an unquoted character was left as it is that other shells
	// expand: of a pattern, a tilde, or an assignment.
	strange bool
}

func parse(line string) ([]simple, error) {
	p := parser{rest: line}
	return p.parse()
}

func (p *parser) parse() ([]simple, error) {
	for p.rest != "" {
		if err := p.step(); err != nil {
			return nil, err
		}
	}
	if err := p.endCommand(opAlways, false); err != nil {
		return nil, err
	}
	if p.open {
		return nil, errors.New("syntax error: end of line unexpected")
	}
	return p.list, nil
}

// fixed are the tokens that are not words, longest first where one begins
// another.
var fixed = []struct {
	text string
	do   func(*parser) error
}{
	{" ", func(*parser) error { return nil }},
	{"\t", func(*parser) error { return nil }},
	{"\\\n", func(*parser) error { return nil }},
	{"&&", func(p *parser) error { return p.endCommand(opAnd, true) }},
	{"||", func(p *parser) error { return p.endCommand(opOr, true) }},
	{";", func(p *parser) error { return p.endCommand(opAlways, true) }},
	{"\n", func(p *parser) error { return p.endCommand(opAlways, false) }},
	{"1>&2", func(p *parser) error { return p.redirect(outToErr) }},
	{">&2", func(p *parser) error { return p.redirect(outToErr) }},
	{"2>&1", func(p *parser) error { return p.redirect(errToOut) }},
}

func (p *parser) step() error {
	for _, token := range fixed {
		if rest, ok := strings.CutPrefix(p.rest, token.text); ok {
			p.rest = rest
			return token.do(p)
		}
	}
	if p.rest[0] == '#' {
		_, after, _ := strings.Cut(p.rest, "\n")
		p.rest = p.rest[len(p.rest)-len(after):]
		return p.endCommand(opAlways, false)
	}
	w, err := p.word()
	if err != nil {
		return err
	}
	p.current.words = append(p.current.words, w)
	p.open = false
	return nil
}

// endCommand closes the command under way; next joins the one that follows.
// Only an operator that was written needs a command in front of it.
func (p *parser) endCommand(next operator, written bool) error {
	c := p.current
	if len(c.words) == 0 {
		if written || len(c.redirections) > 0 {
			return errors.New("syntax error: a command is missing")
		}
		return nil
	}
	p.list = append(p.list, c)
	p.current = simple{after: next}
	p.open = next != opAlways
	return nil
}

func (p *parser) redirect(r redirection) error {
	// In ">&22" the digits go on, and the number is not one of ours.
	if p.rest != "" && !strings.ContainsRune(" \t\n;&|", rune(p.rest[0])) {
		return errors.New("syntax error: only >&2 and 2>&1 are known here")
	}
	p.current.redirections = append(p.current.redirections, r)
	return nil
}

// word reads up to the first unquoted blank or operator.
func (p *parser) word() (word, error) {
	var w word
	var b strings.Builder
	var quote byte // 0, '\'' or '"'
	for i := 0; i < len(p.rest); i++ {
		c := p.rest[i]
		switch {
		case quote == 0 && strings.IndexByte(" \t\n;", c) >= 0,
			quote == 0 && (strings.HasPrefix(p.rest[i:], "&&") || strings.HasPrefix(p.rest[i:], "||")),
			quote == 0 && strings.HasPrefix(p.rest[i:], ">&2") && strings.Trim(p.rest[:i], "0123456789") != "":
			p.rest = p.rest[i:]
			return append(w, part{literal: b.String()}), nil
		case quote != 0 && c == quote:
			quote = 0
		case quote == '\'':
			b.WriteByte(c)
		case quote == 0 && (c == '\'' || c == '"'):
			quote = c
		case c == '\\':
			i += unescape(&b, p.rest[i+1:], quote)
		case c == '$' && i+1 < len(p.rest) && (p.rest[i+1] == '$' || p.rest[i+1] == '?'):
			i++
			w = append(w, part{literal: b.String(), expand: p.rest[i]})
			b.Reset()
		case c == '$' && !standsAlone(p.rest[i+1:]), c == '`', quote == 0 && strings.IndexByte("&|<>()", c) >= 0:
			return nil, fmt.Errorf("syntax error: %q is not known here", c)
		default:
			if quote == 0 && (strings.IndexByte("*?[", c) >= 0 || c == '~' && i == 0 || c == '=' && len(p.current.words) == 0) {
				p.strange = true
			}
			b.WriteByte(c)
		}
	}
	if quote != 0 {
		return nil, fmt.Errorf("syntax error: %q is not closed", quote)
	}
	p.rest = ""
	return append(w, part{literal: b.String()}), nil
}

// unescape writes what a backslash before rest stands for and gives the number
// of bytes of rest that it took (POSIX XCU §2.2.1, §2.2.3).
func unescape(b *strings.Builder, rest string, quote byte) int {
	if rest == "" {
		b.WriteByte('\\')
		return 0
	}
	if rest[0] == '\n' {
		return 1
	}
	if quote == '"' && strings.IndexByte("$`\"\\", rest[0]) < 0 {
		b.WriteByte('\\')
	}
	b.WriteByte(rest[0])
	return 1
}

// standsAlone says that a $ before rest is an ordinary character.
func standsAlone(rest string) bool {
	return rest == "" || strings.IndexByte(" \t\n;\"%,./:=+", rest[0]) >= 0
}
