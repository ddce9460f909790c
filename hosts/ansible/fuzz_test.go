package ansible

import (
	"context"
	"strings"
	"testing"

	"shoal/hosts/internal/ordered"
	"shoal/hosts/internal/problem"
)

// check loads by read and finds what an inventory must not have.
func check(t *testing.T, read func(*loader)) {
	t.Helper()
	var problems problem.Problems
	l := &loader{inv: newInventory(), problems: &problems}
	read(l)
	l.reconcile()
	if problems.Total > 0 {
		return
	}
	inv := l.inv
	all, _ := inv.GroupHosts(groupAll)
	if len(all) != inv.Len() {
		t.Errorf("%d hosts in all, %d in the inventory", len(all), inv.Len())
	}
	for _, h := range all {
		if len(h.groups) == 0 {
			t.Errorf("host %q is in no group", h.Name)
		}
		seen := map[string]bool{}
		for name := range inv.Vars(h) {
			if seen[name] {
				t.Errorf("host %q is told %q twice", h.Name, name)
			}
			seen[name] = true
		}
	}
	for _, g := range inv.groupOrder {
		for _, child := range g.children {
			if child.depth <= g.depth {
				t.Errorf("group %q in depth %d stands in %q in depth %d", child.name, child.depth, g.name, g.depth)
			}
		}
	}
}

func FuzzINI(f *testing.F) {
	f.Add([]byte("a x=1\n[g]\nb[1:3:2] y='z w'\n[p:children]\ng\n[p:vars]\nq=\"r\" # c\n"))
	f.Add([]byte("[a:children]\nb\n[b:children]\na\n"))
	f.Add([]byte("[a:vars]\n[::1]:22\nx[a:f]\\ #"))
	f.Fuzz(func(t *testing.T, data []byte) {
		if strings.Count(string(data), "[") > 20 {
			return // products of ranges
		}
		check(t, func(l *loader) { l.ini("hosts", data) })
	})
}

func FuzzStructured(f *testing.F) {
	f.Add([]byte("all: {hosts: {a: {x: 1}, 'b[1:2]': }, vars: {y: [z]}, children: {g: {hosts: c}}}"))
	f.Add([]byte("_meta: {hostvars: {a: {b: c}}}\ng: [a, b]\nh: {hosts: [c], children: [g]}\nl: {x: 1}\n"))
	f.Add([]byte("a: {children: {b: {children: {a: }}}}"))
	f.Fuzz(func(t *testing.T, data []byte) {
		check(t, func(l *loader) {
			n, fault := ordered.YAML(data)
			l.structured("hosts.yml", n, fault)
		})
	})
}

func FuzzListing(f *testing.F) {
	f.Add([]byte(`{"g": {"hosts": ["a"], "vars": {"x": 1}, "children": ["k"]}, "lone": {"y": 2}, "_meta": {"hostvars": {"a": {}}}}`))
	f.Add([]byte(`{"g": ["a", 1]}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		n, fault := ordered.JSON(data)
		if fault != nil || n.Kind != ordered.Map {
			return
		}
		check(t, func(l *loader) { l.listing("prog", n) })
	})
}

// FuzzSplit: what has no quotes, backslashes or comments is cut at blanks.
func FuzzSplit(f *testing.F) {
	f.Add(`a x=1 y='b c' z="d\"e" # f`)
	f.Add(`\`)
	f.Fuzz(func(t *testing.T, line string) {
		words, err := split(line)
		if strings.ContainsAny(line, "'\"\\#\v\f\u0085\u00a0") || err != nil {
			return
		}
		for _, r := range line {
			if r >= 0x80 {
				return // strings.Fields knows more blanks
			}
		}
		if strings.Join(words, " ") != strings.Join(strings.Fields(line), " ") {
			t.Errorf("%q becomes %q", line, words)
		}
	})
}

// FuzzRange: a pattern gives as many names as it says, none of them with a bracket.
func FuzzRange(f *testing.F) {
	f.Add("web[01:10:3].example.org:22")
	f.Add("[a:f]")
	f.Add("x[1:2")
	f.Fuzz(func(t *testing.T, pattern string) {
		if strings.Count(pattern, "[") > 2 || len(pattern) > 60 {
			return // a million names, over and over
		}
		names, _, err := expandHosts(pattern)
		if err != nil {
			return
		}
		if len(names) == 0 {
			t.Errorf("%q stands for nothing", pattern)
		}
		for _, name := range names[:min(len(names), 1000)] {
			if strings.ContainsRune(name, '[') && strings.ContainsRune(pattern, ']') {
				t.Errorf("%q stands for %q", pattern, name)
			}
		}
	})
}

// TestStopped: a program ends when the caller does.
func TestStopped(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	var problems problem.Problems
	l := &loader{inv: newInventory(), problems: &problems}
	l.program(ctx, "/bin/true")
	if problems.Total != 1 || problems.List[0].Reason != "running it with --list: stopped: context canceled" {
		t.Errorf("%v", problems.List)
	}
}
