package output

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/binary"
	"maps"
	"slices"

	"shoal/fleet"
)

// A digest identifies a content. It is cryptographic because hosts control the content:
// with a collision a host could hide its output behind another's.
type digest = [sha256.Size]byte

// A gathering holds one result for each distinct content.
type gathering struct{ groups map[digest]*gathered }

// gathered is a group of targets with equal content.
type gathered struct {
	result  fleet.Result // of the target with the lowest index
	targets int
	hosts   []string
}

func newGathering() gathering { return gathering{make(map[digest]*gathered)} }

func (g *gathering) add(r *fleet.Result) {
	key := contentOf(r)
	group := g.groups[key]
	if group == nil {
		group = &gathered{result: *r}
		// A capture buffer may be much larger than its content.
		group.result.Stdout.Bytes = bytes.Clone(r.Stdout.Bytes)
		group.result.Stderr.Bytes = bytes.Clone(r.Stderr.Bytes)
		g.groups[key] = group
	} else if r.Target.Index < group.result.Target.Index {
		group.result.Target, group.result.Err = r.Target, r.Err
	}
	group.targets++
	group.hosts = append(group.hosts, r.Target.Host.String())
}

// bySize returns the groups, the largest first, groups of equal size in input order.
func (g *gathering) bySize() []*gathered {
	return slices.SortedFunc(maps.Values(g.groups), func(a, b *gathered) int {
		return cmp.Or(cmp.Compare(b.targets, a.targets),
			cmp.Compare(a.result.Target.Index, b.result.Target.Index))
	})
}

// contentOf returns the digest of everything that a person would compare. Every part has a
// fixed size or a length prefix, so that different contents never have the same encoding.
// contents are the same bytes.
func contentOf(r *fleet.Result) digest {
	h := sha256.New()
	head := make([]byte, 0, 128)
	head = append(head, byte(r.Outcome), byte(r.Phase), byte(r.Flags))
	head = binary.BigEndian.AppendUint32(head, r.Status)
	for _, text := range []string{r.Signal, string(r.Reason)} {
		head = binary.BigEndian.AppendUint64(head, uint64(len(text)))
		head = append(head, text...)
	}
	for _, out := range []*fleet.Output{&r.Stdout, &r.Stderr} {
		head = binary.BigEndian.AppendUint64(head, uint64(out.Size))
		head = binary.BigEndian.AppendUint64(head, uint64(len(out.Bytes)))
	}
	h.Write(head)
	h.Write(r.Stdout.Bytes)
	h.Write(r.Stderr.Bytes)
	return digest(h.Sum(nil))
}
