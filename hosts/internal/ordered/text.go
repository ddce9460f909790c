package ordered

import (
	"encoding/json"

	"shoal/hosts/internal/problem"
)

// MaxText bounds a value as text, in bytes.
const MaxText = 64 << 10

// Flat returns a value as one text: a scalar as it was written, a list or a mapping
// as compact JSON whose scalars are strings, Null as "".
func (n *Node) Flat() (string, *Fault) {
	if n.Kind != List && n.Kind != Map {
		if len(n.Text) > MaxText {
			return "", n.tooLarge()
		}
		return n.Text, nil
	}
	text, ok := n.appendJSON(nil)
	if !ok {
		return "", n.tooLarge()
	}
	return string(text), nil
}

func (n *Node) tooLarge() *Fault {
	return &Fault{Line: n.Line, Fault: *problem.Faultf("shorten it", "a value of more than %d bytes", MaxText)}
}

// appendJSON returns false beyond MaxText, so that aliases cannot make the text huge.
func (n *Node) appendJSON(b []byte) ([]byte, bool) {
	if len(b) > MaxText {
		return nil, false
	}
	switch n.Kind {
	case Null:
		return append(b, "null"...), true
	case List:
		return n.appendItems(b, '[', ']')
	case Map:
		return n.appendItems(b, '{', '}')
	}
	return appendQuoted(b, n.Text), len(b)+len(n.Text) <= MaxText
}

func (n *Node) appendItems(b []byte, open, end byte) ([]byte, bool) {
	b = append(b, open)
	for i, item := range n.Items {
		if i > 0 {
			b = append(b, ',')
		}
		if n.Kind == Map {
			b = append(appendQuoted(b, n.Keys[i].Text), ':')
		}
		var ok bool
		if b, ok = item.appendJSON(b); !ok {
			return nil, false
		}
	}
	return append(b, end), len(b) < MaxText
}

func appendQuoted(b []byte, text string) []byte {
	quoted, _ := json.Marshal(text) // a string always can be
	return append(b, quoted...)
}
