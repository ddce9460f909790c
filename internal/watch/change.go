package watch

import (
	"cmp"
	"crypto/sha256"
	"encoding/binary"
	"slices"

	"shoal/fleet"
	"shoal/internal/groups"
)

// A Change is the same event at some hosts.
type Change struct {
	// Event is that of the first host.
	Event
	// Members are the hosts, in the order of the input.
	Members []groups.Member
	// How is how the answer of Event's host changed, if that is its kind and both were kept.
	How *groups.Difference
	// Various means that the others differ in masked text, such as their own names.
	Various bool
}

// Changes puts events together that are equal. They are in the order
// of the kinds, then the largest first.
func (c *Comparer) Changes(events []Event) []Change {
	type key struct {
		kind Kind
		sum  [sha256.Size]byte
	}
	type found struct {
		change       Change
		named, whole [sha256.Size]byte
	}
	var all []*found
	byKey := make(map[key]*found)
	events = slices.Clone(events) // they came in any order
	slices.SortFunc(events, func(a, b Event) int { return cmp.Compare(a.Host.Index, b.Host.Index) })
	for _, e := range events {
		if e.Kind == None {
			continue
		}
		f := &found{change: Change{Event: e, Members: []groups.Member{e.Host}}}
		ends := endSum(&e)
		k := key{e.Kind, ends}
		if e.Kind == First && e.Now != nil {
			k.sum = joint(ends, e.Now.sum)
		}
		if e.Kind == Changed {
			f.whole = sha256.Sum256(append(e.Before.whole[:len(e.Before.whole):len(e.Before.whole)], e.Now.whole[:]...))
			k.sum, f.named = f.whole, f.whole
			if e.Before.Kept && e.Now.Kept {
				d := c.read.Change(e.Name, e.Before.Outputs, e.Now.Outputs)
				f.change.How = &d.Difference
				k.sum, f.named = joint(ends, d.Sum), joint(ends, d.Named)
			}
		}
		if g := byKey[k]; g != nil {
			g.change.add(f.change.Members, f.whole != g.whole)
			continue
		}
		byKey[k] = f
		all = append(all, f)
	}
	// The own name is masked only where no other host changed in the same way: a text that
	// several hosts give does not name each its own.
	byName := make(map[[sha256.Size]byte]*found)
	var kept []*found
	for _, f := range all {
		if f.change.Kind == Changed && len(f.change.Members) == 1 {
			if g := byName[f.named]; g != nil {
				g.change.add(f.change.Members, true)
				continue
			}
			byName[f.named] = f
		}
		kept = append(kept, f)
	}
	changes := make([]Change, len(kept))
	for i, f := range kept {
		changes[i] = f.change
		slices.SortFunc(changes[i].Members, func(a, b groups.Member) int { return cmp.Compare(a.Index, b.Index) })
	}
	slices.SortStableFunc(changes, func(a, b Change) int {
		return cmp.Or(cmp.Compare(a.Kind, b.Kind), cmp.Compare(len(b.Members), len(a.Members)), cmp.Compare(a.Members[0].Index, b.Members[0].Index))
	})
	return changes
}

func (c *Change) add(members []groups.Member, various bool) {
	c.Members = append(c.Members, members...)
	c.Various = c.Various || various
}

func joint(a, b [sha256.Size]byte) [sha256.Size]byte {
	return sha256.Sum256(append(a[:len(a):len(a)], b[:]...))
}

// endSum stands for how the answers ended, before and now.
func endSum(e *Event) [sha256.Size]byte {
	var text []byte
	add := func(end *fleet.End) {
		text = append(text, byte(end.Outcome), byte(end.Phase))
		text = binary.BigEndian.AppendUint32(text, end.Status)
		for _, s := range []string{end.Signal, string(end.Reason)} {
			text = binary.BigEndian.AppendUint64(text, uint64(len(s)))
			text = append(text, s...)
		}
	}
	add(&e.End)
	if e.Kind == Changed {
		add(&e.Before.End)
	}
	return sha256.Sum256(text)
}
