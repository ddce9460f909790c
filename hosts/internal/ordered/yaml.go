package ordered

import (
	"bytes"
	"errors"
	"io"
	"regexp"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"

	"shoal/hosts/internal/problem"
)

// YAML reads one YAML document; an empty text is Null. Aliases and merge keys
// are followed. Of tags, !vault makes a value Secret and !unsafe means nothing;
// any other of a person's own is a fault.
func YAML(data []byte) (*Node, *Fault) {
	if f := tooLong(data); f != nil {
		return nil, f
	}
	dec := yaml.NewDecoder(bytes.NewReader(data))
	var document yaml.Node
	switch err := dec.Decode(&document); {
	case errors.Is(err, io.EOF):
		return &Node{Line: 1}, nil
	case err != nil:
		return nil, syntax(err)
	}
	var another yaml.Node
	switch err := dec.Decode(&another); {
	case err == nil:
		return nil, faultAt(another.Line, "keep one document to a file", "a second YAML document")
	case !errors.Is(err, io.EOF):
		return nil, syntax(err)
	}
	r := &yamlReader{done: make(map[*yaml.Node]*measured)}
	m, f := r.value(document.Content[0], 0)
	if f != nil {
		return nil, f
	}
	return m.node, nil
}

var atLine = regexp.MustCompile(`^yaml: (?:line (\d+): )?`)

// syntax takes the line out of the library's message.
func syntax(err error) *Fault {
	text := err.Error()
	found := atLine.FindStringSubmatch(text)
	line := 0
	if found != nil {
		text = text[len(found[0]):]
		line, _ = strconv.Atoi(found[1]) // 0 where it gives none
	}
	return faultAt(line, "check indentation and quotes", "not YAML: %s", problem.Bounded(text))
}

// measured is a value with all its aliases, and how large that is. An alias
// shares the node that it names, so that a small file that stands for a
// huge one is refused before anything huge is made.
type measured struct {
	node  *Node
	nodes int
	depth int // of what is below it
}

type yamlReader struct {
	done map[*yaml.Node]*measured // values with an anchor; nil while inside
}

func (r *yamlReader) value(y *yaml.Node, depth int) (*measured, *Fault) {
	if depth > MaxDepth {
		return nil, faultAt(y.Line, "flatten it", "nested deeper than %d", MaxDepth)
	}
	if y.Kind == yaml.AliasNode {
		m := r.done[y.Alias]
		if m == nil {
			return nil, faultAt(y.Line, "name another anchor", "alias *%s is inside of what it names", problem.Bounded(y.Value))
		}
		if depth+m.depth > MaxDepth {
			return nil, faultAt(y.Line, "flatten it", "nested deeper than %d", MaxDepth)
		}
		return m, nil
	}
	m, f := r.fresh(y, depth)
	if f == nil && y.Anchor != "" {
		r.done[y] = m
	}
	return m, f
}

func (r *yamlReader) fresh(y *yaml.Node, depth int) (*measured, *Fault) {
	m := &measured{node: &Node{Line: y.Line}, nodes: 1}
	switch y.Kind {
	case yaml.ScalarNode:
		return m, scalar(m.node, y)
	case yaml.SequenceNode:
		m.node.Kind = List
		for _, item := range y.Content {
			child, f := r.below(m, item, depth)
			if f != nil {
				return nil, f
			}
			m.node.Items = append(m.node.Items, child.node)
		}
		return m, nil
	case yaml.MappingNode:
		m.node.Kind = Map
		return m, r.mapping(m, y, depth)
	}
	return nil, faultAt(y.Line, "write text, a list or a mapping", "a value of an unknown kind")
}

// below reads a value inside m and adds its measures.
func (r *yamlReader) below(m *measured, y *yaml.Node, depth int) (*measured, *Fault) {
	child, f := r.value(y, depth+1)
	if f != nil {
		return nil, f
	}
	m.depth = max(m.depth, child.depth+1)
	if m.nodes += child.nodes; m.nodes > MaxNodes {
		return nil, faultAt(y.Line, "do without so many aliases", "more than %d values, aliases followed", MaxNodes)
	}
	return child, nil
}

func (r *yamlReader) mapping(m *measured, y *yaml.Node, depth int) *Fault {
	keys := make(keyring, len(y.Content)/2)
	var merged []*Node
	for i := 0; i+1 < len(y.Content); i += 2 {
		key, f := r.value(y.Content[i], depth+1)
		if f != nil {
			return f
		}
		item, f := r.below(m, y.Content[i+1], depth)
		if f != nil {
			return f
		}
		if y.Content[i].Tag == "!!merge" {
			if merged, f = sources(merged, item.node); f != nil {
				return f
			}
			continue
		}
		if !key.node.IsScalar() {
			return faultAt(y.Content[i].Line, "write a plain word before the colon", "a key that is %v", key.node.Kind)
		}
		if f := keys.add(key.node); f != nil {
			return f
		}
		m.node.Keys, m.node.Items = append(m.node.Keys, key.node), append(m.node.Items, item.node)
	}
	// Keys of the mapping itself come before merged ones, and of those the
	// first (YAML merge type, 2005-01-18).
	for _, source := range merged {
		for key, item := range source.Fields() {
			if _, there := keys[key.Text]; !there {
				keys[key.Text] = key.Line
				m.node.Keys, m.node.Items = append(m.node.Keys, key), append(m.node.Items, item)
			}
		}
	}
	return nil
}

// sources adds what a merge key names: a mapping or a list of them.
func sources(merged []*Node, n *Node) ([]*Node, *Fault) {
	if n.Kind == Map {
		return append(merged, n), nil
	}
	if n.Kind == List {
		for _, item := range n.Items {
			if item.Kind != Map {
				return nil, faultAt(n.Line, "write <<: [*one, *other]", "a merge key << of %v", item.Kind)
			}
		}
		return append(merged, n.Items...), nil
	}
	return nil, faultAt(n.Line, "write <<: *anchor", "a merge key << of %v", n.Kind)
}

func scalar(n *Node, y *yaml.Node) *Fault {
	n.Text = y.Value
	switch tag := y.ShortTag(); tag {
	case "!!null":
		n.Text = ""
	case "!!bool":
		n.Kind = Bool
	case "!!int", "!!float":
		n.Kind = Number
	case "!vault", "!vault-encrypted":
		n.Kind, n.Text = Secret, ""
	case "!!str", "!!timestamp", "!!binary", "!!merge", "!unsafe":
		n.Kind = Text
	default:
		if strings.HasPrefix(tag, "!") {
			return faultAt(y.Line, "write the value without a tag", "a value with the tag %q", problem.Bounded(tag))
		}
		n.Kind = Text
	}
	return nil
}
