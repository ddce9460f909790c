package ansible

import (
	"bytes"
	"context"
	"fmt"
	"path/filepath"
	"time"

	"shoal/hosts/internal/extcmd"
	"shoal/hosts/internal/ordered"
	"shoal/hosts/internal/problem"
)

// defaultTimeout is for a program with all its --host calls.
const defaultTimeout = 60 * time.Second

// program runs an inventory script (plugins/inventory/script.py): once with --list
// and, unless that tells the hosts' variables in _meta, once per host with --host.
func (l *loader) program(ctx context.Context, path string) {
	timeout := l.opts.Limits.Timeout
	if timeout == 0 {
		timeout = defaultTimeout
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	file, err := filepath.Abs(path)
	if err != nil {
		l.unreadable(path, err)
		return
	}
	out, err := extcmd.Program(ctx, []string{file, "--list"}, "", l.opts.Limits)
	if err != nil {
		l.problems.Failed(path, 0, "", fmt.Errorf("running it with --list: %w", err))
		return
	}
	n, f := ordered.JSON(out)
	switch {
	case f != nil:
		l.fault(path, f)
		return
	case n.Kind != ordered.Map:
		l.problems.Add(problem.Problem{Source: path, Reason: "it printed " + n.Kind.String() + ", not a JSON object of groups"})
		return
	}
	for _, name := range l.listing(path, n) {
		if !l.ask(ctx, path, file, name) {
			return
		}
	}
}

// listing reads what a program prints for --list, and gives the hosts that it has
// still to be asked about.
func (l *loader) listing(source string, n *ordered.Node) (unasked []string) {
	named := make(map[string]bool)
	var order []string
	for key, data := range n.Fields() {
		if key.Text != "_meta" {
			for _, name := range l.listed(source, key, data) {
				if !named[name] {
					named[name] = true
					order = append(order, name)
				}
			}
		}
	}
	meta := n.Field("_meta")
	if meta == nil || meta.Field("hostvars") == nil {
		return order
	}
	for key, told := range meta.Field("hostvars").Fields() {
		if named[key.Text] {
			l.told(source, key.Text, told)
		}
	}
	return nil
}

// listed reads one group of a listing, and gives the hosts that it names.
func (l *loader) listed(source string, key, n *ordered.Node) []string {
	if !l.groupName(source, key.Line, key.Text) {
		return nil
	}
	g := l.inv.group(key.Text)
	hosts, told, children := n.Field("hosts"), n.Field("vars"), n.Field("children")
	switch {
	case n.Kind != ordered.Map:
		hosts = n
	case hosts == nil && told == nil && children == nil:
		// The short form: a host of its own with variables.
		hosts = &ordered.Node{Kind: ordered.List, Line: key.Line, Items: []*ordered.Node{{Kind: ordered.Text, Line: key.Line, Text: key.Text}}}
		told = n
	}
	p := &structReader{loader: l, source: source}
	var names []string
	for _, item := range p.texts(key, "hosts", hosts) {
		if l.groupName(source, item.Line, item.Text) && l.host(g, item.Text, Value{}, source, item.Line) != nil {
			names = append(names, item.Text)
		}
	}
	if told != nil && told.Kind != ordered.Map {
		p.problem(key, key.Text, "its vars are "+told.Kind.String(), "vars is an object")
	}
	p.variables(told, func(line int, name string, v Value) { l.setGroup(g, source, line, name, v) })
	for _, item := range p.texts(key, "children", children) {
		if l.groupName(source, item.Line, item.Text) {
			g.adopt(l.inv.group(item.Text))
		}
	}
	return names
}

// texts returns the elements of a list of names.
func (p *structReader) texts(key *ordered.Node, what string, n *ordered.Node) []*ordered.Node {
	if n == nil {
		return nil
	}
	if n.Kind != ordered.List {
		p.problem(key, key.Text, "its "+what+" are "+n.Kind.String(), what+" is a list of names")
		return nil
	}
	for _, item := range n.Items {
		if item.Kind != ordered.Text {
			p.problem(item, key.Text, "a name in "+what+" that is "+item.Kind.String(), "put it into quotes")
			return nil
		}
	}
	return n.Items
}

// told sets what a listing tells of a host.
func (l *loader) told(source, name string, n *ordered.Node) {
	p := &structReader{loader: l, source: source}
	if n.Kind != ordered.Map && n.Kind != ordered.Null {
		p.problem(n, name, "its variables are "+n.Kind.String(), "hostvars is an object of objects")
		return
	}
	h := l.inv.hosts[name]
	p.variables(n, func(line int, name string, v Value) { l.setHost(h, source, line, name, v) })
}

// ask runs a program for the variables of one host.
func (l *loader) ask(ctx context.Context, path, file, name string) bool {
	out, err := extcmd.Program(ctx, []string{file, "--host", name}, "", l.opts.Limits)
	if err != nil {
		l.problems.Failed(path, 0, name, fmt.Errorf("running it with --host: %w", err))
		return false
	}
	if len(bytes.TrimSpace(out)) == 0 {
		return true
	}
	n, f := ordered.JSON(out)
	if f != nil {
		l.problems.Failed(path, f.Line, name, f)
		return false
	}
	l.told(path, name, n)
	return true
}
