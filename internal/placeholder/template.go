package placeholder

import (
	"fmt"
	"strings"

	"shoal/fleet"
	"shoal/internal/hint"
)

// A Template is a parsed command. It is immutable and safe for concurrent use.
type Template struct {
	segments []segment
	notices  []string
}

// A segment is literal text followed by a placeholder; only the last segment of a template
// may have none.
type segment struct {
	literal     string
	placeholder *placeholder
}

// Parse parses a command; the package comment has the rules. A blank command and a NUL
// byte, which no shell accepts, are errors. Every error is a *[SyntaxError].
func Parse(text string, where Where) (*Template, error) {
	if strings.TrimSpace(text) == "" {
		return nil, &SyntaxError{Reason: "it is empty", hint: "say what to run, such as uptime"}
	}
	if nul := strings.IndexByte(text, 0); nul >= 0 {
		return nil, &SyntaxError{Offset: nul, Reason: "NUL byte", hint: "a command is text; send bytes through standard input"}
	}
	if where == Never {
		return &Template{segments: []segment{{literal: text}}}, nil
	}
	s := scanner{text: text, where: where}
	if err := s.scan(); err != nil {
		return nil, err
	}
	return &Template{segments: s.segments, notices: s.notices()}, nil
}

// Notices returns messages for the user, without line breaks, about text that looks like a
// placeholder and stays as it was typed; nil if there is none.
func (t *Template) Notices() []string { return t.notices }

// Expand returns the command for one target. User and port are the target's, else its
// host's, else no user and fleet.DefaultPort.
func (t *Template) Expand(target fleet.Target) string {
	if t.Fixed() {
		return t.segments[0].literal
	}
	var b strings.Builder
	for _, s := range t.segments {
		b.WriteString(s.literal)
		if s.placeholder != nil {
			b.WriteString(s.placeholder.expand(target))
		}
	}
	return b.String()
}

// Missing returns the first attribute in the command that the target's host does not have,
// or "" if there is none. Such a target must not be run.
func (t *Template) Missing(target fleet.Target) string {
	for _, s := range t.segments {
		if s.placeholder == nil || s.placeholder.attr == "" {
			continue
		}
		if target.Attrs != nil {
			if _, ok := target.Attrs.Attr(s.placeholder.attr); ok {
				continue
			}
		}
		return s.placeholder.attr
	}
	return ""
}

// Unquotable returns the first quoted placeholder of the command whose value cannot be
// quoted where it stands, and "" if there is none: outside quotes a value with a newline or
// a NUL byte, since csh ends the quotes at a newline and would run the rest as a command;
// within quotes, or where that is not sure, any but plain characters, since it may be for a
// shell within the shell.
// Such a target must not be run.
func (t *Template) Unquotable(target fleet.Target) string {
	for _, s := range t.segments {
		p := s.placeholder
		if p == nil || !p.quoted {
			continue
		}
		value := p.value(target)
		if strings.ContainsAny(value, "\n\x00") || (p.within || p.unsure) && strings.ContainsFunc(value, isSpecial) {
			return p.word
		}
	}
	return ""
}

// isSpecial reports whether some shell may read a character as more than itself.
func isSpecial(c rune) bool {
	return (c|0x20 < 'a' || c|0x20 > 'z') && (c < '0' || c > '9') && !strings.ContainsRune("_-.,:/@%+=", c)
}

// Check returns an error if the target must not be run with this command because it lacks
// an attribute or has a value that cannot be quoted.
func (t *Template) Check(target fleet.Target) error {
	if name := t.Missing(target); name != "" {
		return fmt.Errorf("the command asks for the attribute %q, which the host does not have", name)
	}
	if word := t.Unquotable(target); word != "" {
		return hint.Wrap(fmt.Errorf("the value of {%s} has characters that cannot be quoted where it stands, for every shell", word),
			"outside quotes only newlines and NUL bytes cannot")
	}
	return nil
}

// Fixed reports whether the command is the same for every target.
func (t *Template) Fixed() bool {
	return len(t.segments) == 1 && t.segments[0].placeholder == nil
}
