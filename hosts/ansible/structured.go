package ansible

import (
	"slices"
	"strings"

	"shoal/hosts/internal/ordered"
	"shoal/hosts/internal/problem"
)

// structured reads a YAML inventory (plugins/inventory/yaml.py), or what
// ansible-inventory --list has printed.
func (l *loader) structured(source string, n *ordered.Node, f *ordered.Fault) {
	p := &structReader{loader: l, source: source}
	switch {
	case f != nil:
		l.fault(source, f)
	case n.Kind != ordered.Map:
		p.problem(n, "", "the inventory is "+n.Kind.String()+", not a mapping of groups", "begin with all: and hosts: below it")
	case n.Field("plugin") != nil:
		p.problem(n, "", "the configuration of an inventory plugin", "have a program run ansible-inventory -i FILE --list, and name that")
	case n.Field("_meta") != nil:
		l.listing(source, n)
	default:
		for key, value := range n.Fields() {
			p.group(nil, key, value)
		}
	}
}

type structReader struct {
	*loader
	source string
}

func (p *structReader) problem(n *ordered.Node, text, reason, hint string) {
	p.problems.Add(problem.Problem{Source: p.source, Line: n.Line, Text: text, Reason: reason, Hint: hint})
}

// name takes a key as the name of a host or group.
func (p *structReader) name(key *ordered.Node) (string, bool) {
	if key.Kind != ordered.Text {
		p.problem(key, key.Text, "a name that is "+key.Kind.String(), "put it into quotes")
		return "", false
	}
	return key.Text, p.groupName(p.source, key.Line, key.Text)
}

// groupName reports whether a group may be called so.
func (l *loader) groupName(source string, line int, name string) bool {
	if name == "" || len(name) > 255 || strings.ContainsAny(name, "\n\x00") {
		l.problems.Add(problem.Problem{Source: source, Line: line, Text: name, Reason: "not the name of a host or group", Hint: "write one word"})
		return false
	}
	return true
}

var sectionNames = []string{"vars", "children", "hosts"}

func (p *structReader) group(parent *group, key, n *ordered.Node) {
	name, ok := p.name(key)
	if !ok {
		return
	}
	if n.Kind != ordered.Map && n.Kind != ordered.Null {
		p.problem(key, name, "a group that is "+n.Kind.String(), "a group has hosts:, vars: and children:")
		return
	}
	g := p.inv.group(name)
	for section, content := range n.Fields() {
		if !slices.Contains(sectionNames, section.Text) {
			p.problem(section, section.Text, "not a part of a group", "a group has hosts:, vars: and children:")
			continue
		}
		if content.Kind == ordered.Text {
			content = &ordered.Node{Kind: ordered.Map, Keys: []*ordered.Node{content}, Items: []*ordered.Node{{Line: content.Line}}}
		}
		switch {
		case content.Kind == ordered.Null:
		case content.Kind != ordered.Map:
			p.problem(section, section.Text, content.Kind.String()+" where a mapping is wanted", "end each name with a colon")
		case section.Text == "vars":
			p.variables(content, func(line int, name string, v Value) { p.setGroup(g, p.source, line, name, v) })
		case section.Text == "children":
			for child, below := range content.Fields() {
				p.group(g, child, below)
			}
		default:
			p.hostSection(g, content)
		}
	}
	if parent != nil {
		parent.adopt(g)
	}
}

func (p *structReader) hostSection(g *group, n *ordered.Node) {
	for key, told := range n.Fields() {
		pattern, ok := p.name(key)
		if !ok {
			continue
		}
		hosts := p.hosts(g, pattern, p.source, key.Line)
		switch told.Kind {
		case ordered.Null:
		case ordered.Map:
			p.variables(told, func(line int, name string, v Value) {
				for _, h := range hosts {
					p.setHost(h, p.source, line, name, v)
				}
			})
		default:
			p.problem(key, pattern, "its variables are "+told.Kind.String(), "write name: value, indented below the host")
		}
	}
}

func (p *structReader) variables(n *ordered.Node, set func(line int, name string, v Value)) {
	for key, item := range n.Fields() {
		if v, ok := p.value(p.source, key.Line, key.Text, item); ok {
			set(key.Line, key.Text, v)
		}
	}
}
