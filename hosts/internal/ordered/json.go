package ordered

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"strconv"

	"shoal/hosts/internal/problem"
)

// JSON reads one JSON text. A number keeps its digits.
func JSON(data []byte) (*Node, *Fault) {
	if f := tooLong(data); f != nil {
		return nil, f
	}
	d := &jsonReader{data: data, dec: json.NewDecoder(bytes.NewReader(data)), line: 1}
	d.dec.UseNumber()
	n, f := d.value(0)
	if f != nil {
		return nil, f
	}
	if _, err := d.dec.Token(); !errors.Is(err, io.EOF) {
		return nil, faultAt(d.place(), "one JSON text is wanted", "more after the end of the JSON text")
	}
	return n, nil
}

// A jsonReader makes a tree of tokens. encoding/json bounds neither what it
// nests nor what stands twice, and gives no order; tokens do.
type jsonReader struct {
	data    []byte
	dec     *json.Decoder
	line    int
	counted int // bytes of data whose lines are counted
}

// place is the line of the last token.
func (d *jsonReader) place() int {
	offset := min(int(d.dec.InputOffset()), len(d.data))
	d.line += bytes.Count(d.data[d.counted:offset], []byte("\n"))
	d.counted = offset
	return d.line
}

func (d *jsonReader) broken(err error) *Fault {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return faultAt(1+bytes.Count(d.data, []byte("\n")), "is the text complete?", "the JSON text ends too early")
	}
	return faultAt(d.place(), "check it with a JSON tool", "not JSON: %v", err)
}

func (d *jsonReader) value(depth int) (*Node, *Fault) {
	token, err := d.dec.Token()
	if err != nil {
		return nil, d.broken(err)
	}
	n := &Node{Line: d.place()}
	switch t := token.(type) {
	case nil:
	case string:
		n.Kind, n.Text = Text, t
	case json.Number:
		n.Kind, n.Text = Number, t.String()
	case bool:
		n.Kind, n.Text = Bool, strconv.FormatBool(t)
	case json.Delim:
		if depth == MaxDepth {
			return nil, faultAt(n.Line, "flatten it", "nested deeper than %d", MaxDepth)
		}
		if t == '{' {
			return n, d.object(n, depth)
		}
		return n, d.array(n, depth)
	}
	return n, nil
}

func (d *jsonReader) array(n *Node, depth int) *Fault {
	n.Kind = List
	for d.dec.More() {
		item, f := d.value(depth + 1)
		if f != nil {
			return f
		}
		n.Items = append(n.Items, item)
	}
	return d.end()
}

func (d *jsonReader) object(n *Node, depth int) *Fault {
	n.Kind = Map
	keys := make(keyring)
	for d.dec.More() {
		token, err := d.dec.Token()
		if err != nil {
			return d.broken(err)
		}
		name, _ := token.(string) // the decoder takes nothing else for a key
		key := &Node{Kind: Text, Line: d.place(), Text: name}
		if f := keys.add(key); f != nil {
			return f
		}
		item, f := d.value(depth + 1)
		if f != nil {
			return f
		}
		n.Keys, n.Items = append(n.Keys, key), append(n.Items, item)
	}
	return d.end()
}

// end takes the closing bracket.
func (d *jsonReader) end() *Fault {
	if _, err := d.dec.Token(); err != nil {
		return d.broken(err)
	}
	return nil
}

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
