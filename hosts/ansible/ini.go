package ansible

import (
	"bytes"
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"

	"shoal/hosts/internal/ordered"
	"shoal/hosts/internal/problem"
)

// ini reads an INI inventory (plugins/inventory/ini.py).
func (l *loader) ini(source string, data []byte) {
	p := &iniReader{
		loader: l, source: source, group: l.inv.groups[groupUngrouped], state: "hosts",
		pending: make(map[string]*pending),
	}
	for line := range bytes.Lines(data) {
		p.line++
		text := strings.TrimSpace(string(line))
		if text == "" || text[0] == '#' || text[0] == ';' {
			continue
		}
		if len(text) > maxLine {
			p.problem(text, "line of more than 65536 bytes", "write one host to a line")
			continue
		}
		if !utf8.ValidString(text) {
			p.problem(text, "not valid UTF-8", "convert the text to UTF-8")
			continue
		}
		p.read(text)
	}
	p.finish()
}

const maxLine = 64 << 10

type iniReader struct {
	*loader
	source  string
	line    int
	group   *group
	state   string // hosts, vars or children; "" after a header that cannot be read
	pending map[string]*pending
	order   []*pending
}

// A pending group was named before it was declared.
type pending struct {
	name    string
	line    int
	vars    bool // by a :vars section, else by :children
	parents []*group
	done    bool
}

func (p *iniReader) problem(text, reason, hint string) {
	p.problems.Add(problem.Problem{Source: p.source, Line: p.line, Text: text, Reason: reason, Hint: hint})
}

var (
	section   = regexp.MustCompile(`^\[([^:\]\s]+)(?::(\w+))?\]\s*(?:#.*)?$`)
	groupName = regexp.MustCompile(`^([^:\]\s]+)\s*(?:#.*)?$`)
)

func (p *iniReader) read(text string) {
	if text[0] == '[' {
		if m := section.FindStringSubmatch(text); m != nil {
			p.header(text, m[1], m[2])
			return
		}
	}
	if text[0] == '[' && text[len(text)-1] == ']' {
		p.state = ""
		p.problem(text, "not a section", "write [group], [group:vars] or [group:children], without blanks")
		return
	}
	switch p.state {
	case "hosts":
		p.hostLine(text)
	case "vars":
		p.variable(text)
	case "children":
		p.child(text)
	}
}

func (p *iniReader) header(text, name, state string) {
	if state == "" {
		state = "hosts"
	}
	if state != "hosts" && state != "vars" && state != "children" {
		p.state = ""
		p.problem(text, "a section of an unknown kind", "write [group], [group:vars] or [group:children]")
		return
	}
	p.state = state
	if p.inv.groups[name] == nil && state == "vars" && p.pending[name] == nil {
		p.wait(&pending{name: name, line: p.line, vars: true})
	}
	p.group = p.inv.group(name)
	if waiting := p.pending[name]; waiting != nil && state != "vars" {
		for _, parent := range waiting.parents {
			parent.adopt(p.group)
		}
		waiting.done = true
		delete(p.pending, name)
	}
}

func (p *iniReader) wait(w *pending) {
	p.pending[w.name] = w
	p.order = append(p.order, w)
}

// child reads a line of a :children section.
func (p *iniReader) child(text string) {
	m := groupName.FindStringSubmatch(text)
	if m == nil {
		p.problem(text, "not the name of a group", "write one group to a line")
		return
	}
	if child := p.inv.groups[m[1]]; child != nil {
		p.group.adopt(child)
		return
	}
	if p.pending[m[1]] == nil {
		p.wait(&pending{name: m[1], line: p.line})
	}
	p.pending[m[1]].parents = append(p.pending[m[1]].parents, p.group)
}

// finish reports groups that were named and never declared.
func (p *iniReader) finish() {
	for _, w := range p.order {
		switch {
		case w.done:
		case w.vars:
			p.line = w.line
			p.problem("["+w.name+":vars]", "no such group", "declare it: ["+problem.Bounded(w.name)+"]")
		default:
			p.line = w.line
			p.problem(w.name, "no such group", "declare it, if only as an empty section")
		}
	}
}

// variable reads a line of a :vars section.
func (p *iniReader) variable(text string) {
	name, value, found := strings.Cut(text, "=")
	if !found {
		p.problem(text, "not name=value", "write name=value in a :vars section")
		return
	}
	name = strings.TrimSpace(name)
	if v, ok := p.checked(p.source, p.line, name, literal(strings.TrimSpace(value))); ok {
		p.setGroup(p.group, p.source, p.line, name, v)
	}
}

// hostLine reads a host or a range of hosts with its variables.
func (p *iniReader) hostLine(text string) {
	words, err := split(text)
	if err != nil {
		p.problems.Failed(p.source, p.line, text, err)
		return
	}
	if len(words) == 0 {
		return
	}
	told := make(vars, 0, len(words)-1)
	for _, word := range words[1:] {
		name, value, found := strings.Cut(word, "=")
		if !found {
			p.problem(text, "a second word without =", "write one host to a line, and its variables as name=value")
			return
		}
		v, ok := p.checked(p.source, p.line, name, literal(value))
		if !ok {
			return
		}
		if !told.set(name, v) {
			p.tooMany(p.source, p.line)
			return
		}
	}
	for _, h := range p.hosts(p.group, words[0], p.source, p.line) {
		h.vars = slices.Grow(h.vars, len(told))
		for _, v := range told {
			p.setHost(h, p.source, p.line, v.name, v.value)
		}
	}
}

// literal returns a value's text. Ansible reads it as a Python literal: of these,
// quoted strings and comments after a literal matter to the text.
func literal(text string) Value {
	if text == "None" {
		return Value{Kind: ordered.Null}
	}
	if text != "" && strings.IndexByte("+-0123456789", text[0]) >= 0 {
		if m := number.FindStringSubmatch(text); m != nil {
			return Value{Text: m[1], Kind: ordered.Number}
		}
	}
	if s, ok := pythonString(text); ok {
		text = s
	}
	return Value{Text: text, Kind: ordered.Text}
}

var number = regexp.MustCompile(`^([-+]?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?)[ \t]*(?:#.*)?$`)

// pythonString unquotes '…' or "…", several of which may follow each other, and
// after which only a comment may stand.
func pythonString(text string) (string, bool) {
	if text == "" || text[0] != '\'' && text[0] != '"' {
		return "", false
	}
	var b strings.Builder
	for text != "" && (text[0] == '\'' || text[0] == '"') {
		size := onePythonString(text, &b)
		if size == 0 {
			return "", false
		}
		text = strings.TrimLeft(text[size:], " \t")
	}
	return b.String(), text == "" || text[0] == '#'
}

// onePythonString adds what the quotes at the beginning hold and gives how long they
// are, 0 where they are not closed.
func onePythonString(text string, b *strings.Builder) int {
	for i := 1; i < len(text); i++ {
		switch c := text[i]; {
		case c == text[0]:
			return i + 1
		case c == '\\' && i+1 < len(text):
			i++
			if known := strings.IndexByte(`\'"ntr`, text[i]); known >= 0 {
				b.WriteByte("\\'\"\n\t\r"[known])
				continue
			}
			b.WriteByte('\\')
			b.WriteByte(text[i])
		default:
			b.WriteByte(c)
		}
	}
	return 0
}
