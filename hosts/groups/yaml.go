package groups

import (
	"fmt"
	"strings"

	"shoal/hosts/internal/ordered"
	"shoal/hosts/internal/problem"
	"shoal/internal/plainfile"
)

// A file is a source of a YAML file: groups and what they stand for.
type file struct {
	order  []string
	groups map[string]string
}

// yaml reads a file of autodir: sources, and in each of them groups.
func (r *Resolver) yaml(path string) error {
	data, err := plainfile.ReadFile(path, ordered.MaxBytes)
	if err != nil {
		return err
	}
	return r.parseYAML(path, data)
}

func (r *Resolver) parseYAML(path string, data []byte) error {
	n, f := ordered.YAML(data)
	if f != nil {
		return faultIn(path, f.Line, f.Advice, "%s", f.Reason)
	}
	if n.Kind != ordered.Map {
		return faultIn(path, 0, "write SOURCE: and groups below it", "the file is %v, not a mapping of sources", n.Kind)
	}
	for key, groups := range n.Fields() {
		if key.Kind != ordered.Text {
			return faultIn(path, key.Line, "put it into quotes", "a source of groups that is %v", key.Kind)
		}
		if groups.Kind != ordered.Map {
			return faultIn(path, key.Line, "write GROUP: HOSTS below it", "source %q is %v, not a mapping of groups", problem.Bounded(key.Text), groups.Kind)
		}
		s, err := fileSource(path, groups)
		if err != nil {
			return err
		}
		if err := r.add(path, &source{name: key.Text, kind: s}); err != nil {
			return err
		}
	}
	return nil
}

func fileSource(path string, n *ordered.Node) (*file, error) {
	s := &file{groups: make(map[string]string, len(n.Keys))}
	for key, value := range n.Fields() {
		if key.Kind != ordered.Text {
			return nil, faultIn(path, key.Line, "put it into quotes", "a group whose name is %v", key.Kind)
		}
		parts := []*ordered.Node{value}
		if value.Kind == ordered.List {
			parts = value.Items
		}
		var texts []string
		for _, part := range parts {
			switch part.Kind {
			case ordered.Null:
			case ordered.Text, ordered.Number:
				texts = append(texts, strings.Fields(part.Text)...)
			default:
				return nil, faultIn(path, part.Line, "write a host expression, or a list of them", "group %q is %v", problem.Bounded(key.Text), part.Kind)
			}
		}
		s.order = append(s.order, key.Text)
		s.groups[key.Text] = strings.Join(texts, ",")
	}
	return s, nil
}

func (f *file) group(_ *Resolver, s *source, name string) (string, error) {
	text, there := f.groups[name]
	if !there {
		return "", noGroup(s.name, name, f.order)
	}
	return text, nil
}

func (f *file) names(*Resolver, *source) ([]string, error) { return f.order, nil }

// all is the group of that name, as in ClusterShell.
func (f *file) all(*Resolver, *source) (string, bool, error) {
	text, there := f.groups["all"]
	return text, there, nil
}

func (f *file) reverse(*Resolver, *source, string) ([]string, error) {
	return nil, fmt.Errorf("a YAML file: %w", ErrNoReverse)
}
