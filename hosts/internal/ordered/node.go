// Package ordered parses the YAML and JSON files of inventories into a tree that keeps order,
// line numbers and every value as it was written: no becomes "no" and 0x16 "0x16", never false
// or 22.
//
// Call [YAML] or [JSON]. The resulting tree is safe to walk: its depth and its size, with all
// aliases expanded, are bounded, no alias contains itself, and no mapping has duplicate keys.
package ordered

import (
	"fmt"
	"iter"

	"shoal/hosts/internal/problem"
)

// Limits of a text.
const (
	// MaxBytes bounds the text itself.
	MaxBytes = 128 << 20
	// MaxDepth bounds how deep values nest.
	MaxDepth = 64
	// MaxNodes bounds the values, those behind an alias counted once for every
	// alias.
	MaxNodes = 10_000_000
)

// A Kind is what a Node is.
type Kind uint8

// The kinds.
const (
	Null   Kind = iota // nothing, ~ or null
	Text               // a string
	Number             // as it was written
	Bool               // as it was written
	Secret             // text under !vault: encrypted, of no use here
	List
	Map
)

var kindNames = [...]string{"nothing", "text", "a number", "a boolean", "an encrypted value", "a list", "a mapping"}

func (k Kind) String() string { return kindNames[k] }

// A Node is a value.
type Node struct {
	Kind Kind
	Line int    // from 1
	Text string // of a scalar
	// Items are the elements of a list, or the values of a mapping.
	Items []*Node
	// Keys are those of a mapping, as many as there are Items.
	Keys []*Node
}

// Fields yields a mapping's keys and values in their order, and nothing of
// another node or of nil.
func (n *Node) Fields() iter.Seq2[*Node, *Node] {
	return func(yield func(*Node, *Node) bool) {
		if n == nil || n.Kind != Map {
			return
		}
		for i, key := range n.Keys {
			if !yield(key, n.Items[i]) {
				return
			}
		}
	}
}

// Field returns a mapping's value of a key, nil where there is none.
func (n *Node) Field(key string) *Node {
	for k, v := range n.Fields() {
		if k.Text == key {
			return v
		}
	}
	return nil
}

// IsScalar reports whether the node has a Text of its own.
func (n *Node) IsScalar() bool { return n.Kind != List && n.Kind != Map && n.Kind != Null }

// A Fault is why a text cannot be read.
type Fault struct {
	Line int // from 1; 0 where it is not known
	problem.Fault
}

func faultAt(line int, advice, format string, args ...any) *Fault {
	return &Fault{Line: line, Fault: problem.Fault{Reason: fmt.Sprintf(format, args...), Advice: advice}}
}

// tooLong refuses a text beyond MaxBytes.
func tooLong(data []byte) *Fault {
	if len(data) <= MaxBytes {
		return nil
	}
	return faultAt(0, "split it", "more than %d bytes", MaxBytes)
}

func doubled(key *Node, first int) *Fault {
	return faultAt(key.Line, "keep one of them", "key %q stands in line %d already", problem.Bounded(key.Text), first)
}

// A keyring finds keys that stand twice.
type keyring map[string]int

// add returns the fault of a key that was there before.
func (k keyring) add(key *Node) *Fault {
	if first, there := k[key.Text]; there {
		return doubled(key, first)
	}
	k[key.Text] = key.Line
	return nil
}
