// Package groups finds which targets gave equal answers, and how the others differ, as data
// for whoever shows it.
//
// A [Collector] takes the results of a run; its Groups are the groups, the largest first.
// [Groups.Diff] compares two of them, and [Groups.Lines] shows many at once.
//
// Memory is used for each target (its name and some sixteen bytes more) and for each different
// answer (some digests).
// The texts that may be shown are kept up to a limit, and beyond it in a file without a name.
package groups

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"slices"

	"shoal/fleet"
	"shoal/internal/mask"
	"shoal/internal/stringlist"
)

// Options say which answers are equal. With the zero value every byte counts.
type Options struct {
	// Masker finds what does not count; nil means that all counts.
	Masker *mask.Masker
	// Auto masks only what is noise: times, durations, process numbers, the host's own name
	// and what patterns match, and of the other kinds those of which most targets have a
	// value of their own.
	Auto bool
	// Part, if not nil, returns the part of standard output that counts, and is shown. ok is
	// false if there is none.
	Part func(stdout []byte) (part []byte, ok bool)
	// Memory limits the texts kept in memory, in bytes; 0 means 64 MiB.
	Memory int
}

// alwaysNoise are the kinds that Auto masks wherever they differ.
var alwaysNoise = mask.Of(mask.Time, mask.Duration, mask.PID, mask.Host, mask.Pattern)

// A Member is a target in a group.
type Member struct {
	Index int    // its Target.Index
	Host  string // its Host.String()
}

// A memberList is the targets of all results, in the order in which they came.
type memberList struct {
	indexes []int
	hosts   stringlist.List
}

func (m *memberList) len() int { return len(m.indexes) }

func (m *memberList) add(t fleet.Target) {
	m.indexes = append(m.indexes, t.Index)
	m.hosts.Append(t.Host.String())
}

func (m *memberList) at(i int32) Member { return Member{m.indexes[i], m.hosts.At(int(i))} }

// digest is a SHA-256: hosts control the texts, and with a collision one could hide its
// answer behind another's.
type digest = [sha256.Size]byte

// A value stands for the texts of one kind in an answer: the beginning of their SHA-256.
type value struct {
	kind mask.Kind
	sum  [16]byte
}

// A cell is a set of targets whose answers are equal in all that may count in the end.
type cell struct {
	first   mask.Own // of its first target
	several bool     // its targets are not all of one name
	members []int32  // of the Collector's
	shown   int32    // the one whose text is kept
	shape   digest   // the answer without values; the own name counts
	// named is the same with the own name masked; nil if the answer does not have it.
	named  *digest
	values []value // of shown's answer
	differ mask.Set
	end    fleet.End // shown's
	sizes  [fleet.NumStreams]int64
	noPart bool // Options.Part found none
	text   text
	kept   bool // text is set
}

// A Collector collects the results of a run.
type Collector struct {
	opts    Options
	always  mask.Set // masked whatever the answers are
	members memberList
	cells   map[digest]*cell
	order   []*cell
	// names counts the texts kept for each answer with its own name masked.
	names map[digest]int
	texts store

	// Buffers that are used again.
	tokens [fleet.NumStreams][]mask.Token
	masked []byte
	values [mask.NumKinds][]byte
}

// New returns a Collector without results.
func New(o Options) *Collector {
	c := &Collector{opts: o, cells: make(map[digest]*cell), names: make(map[digest]int)}
	if o.Masker != nil {
		c.always = o.Masker.Kinds()
		if o.Auto {
			c.always &= alwaysNoise
		}
	}
	c.texts.room = o.Memory
	if c.texts.room == 0 {
		c.texts.room = 64 << 20
	}
	return c
}

// Add adds a result. It keeps no reference to its output.
func (c *Collector) Add(r *fleet.Result) {
	outputs, noPart := c.parts(r)
	own := mask.OwnOf(r.Target.Host.Name)
	a := c.read(r, outputs, own, noPart)

	member := int32(c.members.len())
	c.members.add(r.Target)
	at := c.cells[a.key]
	if at == nil {
		at = &cell{first: own, shown: member, shape: a.shape, values: slices.Clone(a.values), end: r.End, noPart: noPart}
		if a.hasName {
			named := a.named
			at.named = &named
		}
		c.cells[a.key] = at
		c.order = append(c.order, at)
	} else if own != at.first {
		at.several = true
	}
	at.members = append(at.members, member)
	same := slices.Equal(at.values, a.values)
	if !same {
		at.differ |= differing(at.values, a.values)
	}
	lower := r.Target.Index < c.members.indexes[at.shown]
	switch {
	case !at.kept && c.keeps(at):
		at.shown, at.values = member, slices.Clone(a.values)
		at.kept = true
		c.texts.put(&at.text, outputs)
	case lower && at.kept && !same:
		at.shown, at.values = member, slices.Clone(a.values)
		c.texts.put(&at.text, outputs)
	case lower && at.kept && same:
		at.shown = member
	}
	if at.shown == member {
		at.end = r.End
		for s, out := range outputs {
			at.sizes[s] = out.Size
		}
	}
}

// parts returns what counts of the outputs of a result.
func (c *Collector) parts(r *fleet.Result) (outputs [fleet.NumStreams]fleet.Output, noPart bool) {
	outputs = [fleet.NumStreams]fleet.Output{r.Stdout, r.Stderr}
	if c.opts.Part != nil && r.Outcome.Ran() {
		part, ok := c.opts.Part(r.Stdout.Bytes)
		outputs[fleet.Stdout] = fleet.Output{Bytes: part, Size: int64(len(part))}
		noPart = !ok
	}
	return outputs, noPart
}

// maxNamed is the number of texts kept of answers that are equal without the own name: one
// is shown, unless it turns out that another host gave it too.
const maxNamed = 8

// keeps reports whether the text of a cell that has none is kept.
func (c *Collector) keeps(at *cell) bool {
	if at.named == nil || at.several || !c.always.Has(mask.Host) {
		return true
	}
	key := joint(*at.named, at.values, mask.All&^c.always)
	c.names[key]++
	return c.names[key] <= maxNamed
}

// An answer is what Add has read of a result.
type answer struct {
	key     digest // equal for what is in one cell
	shape   digest
	named   digest // set if hasName
	hasName bool
	values  []value
}

// read finds what counts of a result.
func (c *Collector) read(r *fleet.Result, outputs [fleet.NumStreams]fleet.Output, own mask.Own, noPart bool) answer {
	head := appendHead(nil, r, noPart)
	var a answer
	if c.opts.Masker == nil {
		for _, out := range outputs {
			head = binary.BigEndian.AppendUint64(head, uint64(out.Size))
			head = binary.BigEndian.AppendUint64(head, uint64(len(out.Bytes)))
		}
		h := sha256.New()
		h.Write(head)
		for _, out := range outputs {
			h.Write(out.Bytes)
		}
		h.Sum(a.shape[:0])
		a.key = a.shape
		return a
	}
	for k := range c.values {
		c.values[k] = c.values[k][:0]
	}
	var present mask.Set
	for s, out := range outputs {
		c.tokens[s] = c.opts.Masker.Tokens(c.tokens[s][:0], out.Bytes, own)
		for _, t := range c.tokens[s] {
			present |= mask.Of(t.Kind)
			c.values[t.Kind] = binary.AppendUvarint(c.values[t.Kind], uint64(t.End-t.Start))
			c.values[t.Kind] = append(c.values[t.Kind], out.Bytes[t.Start:t.End]...)
		}
	}
	a.hasName = present.Has(mask.Host)
	for k := range mask.NumKinds {
		if present.Has(k) && k != mask.Host {
			sum := sha256.Sum256(c.values[k])
			a.values = append(a.values, value{k, [16]byte(sum[:16])})
		}
	}
	every := mask.All | mask.Of(mask.Pattern)
	a.shape = c.shape(head, outputs, every&^mask.Of(mask.Host))
	if a.hasName {
		a.named = c.shape(head, outputs, every)
	}
	a.key = joint(a.shape, a.values, every&^c.always)
	return a
}

// shape returns the digest of a result whose tokens of the kinds are masked.
func (c *Collector) shape(head []byte, outputs [fleet.NumStreams]fleet.Output, kinds mask.Set) (d digest) {
	h := sha256.New()
	h.Write(head)
	for s, out := range outputs {
		c.masked = mask.Append(c.masked[:0], out.Bytes, c.tokens[s], kinds)
		var size [8]byte
		binary.BigEndian.PutUint64(size[:], uint64(len(c.masked)))
		h.Write(size[:])
		h.Write(c.masked)
	}
	h.Sum(d[:0])
	return d
}

// told are the flags that people are told of.
const told = fleet.FlagExitKnown | fleet.FlagOutputTruncated | fleet.FlagOutputIncomplete | fleet.FlagExitConflict |
	fleet.FlagNoAgent | fleet.FlagEnvRefused | fleet.FlagLabelLost

// appendHead appends how a target ended. Every part has a fixed size or a length prefix, so
// that different ends never have the same bytes.
func appendHead(dst []byte, r *fleet.Result, noPart bool) []byte {
	dst = append(dst, byte(r.Outcome), byte(r.Phase), 0)
	if noPart {
		dst[len(dst)-1] = 1
	}
	dst = binary.BigEndian.AppendUint16(dst, uint16(r.Flags&told))
	dst = binary.BigEndian.AppendUint32(dst, r.Status)
	for _, text := range []string{r.Signal, string(r.Reason)} {
		dst = binary.BigEndian.AppendUint64(dst, uint64(len(text)))
		dst = append(dst, text...)
	}
	return dst
}

// appendValues appends the values of the kinds.
func appendValues(dst []byte, values []value, kinds mask.Set) []byte {
	for _, v := range values {
		if kinds.Has(v.kind) {
			dst = append(dst, byte(v.kind))
			dst = append(dst, v.sum[:]...)
		}
	}
	return dst
}

// joint returns a digest of a shape together with the values of the kinds.
func joint(shape digest, values []value, kinds mask.Set) digest {
	return sha256.Sum256(appendValues(shape[:], values, kinds))
}

// differing returns the kinds whose values are not the same.
func differing(a, b []value) (kinds mask.Set) {
	for _, v := range a {
		kinds |= mask.Of(v.kind)
	}
	for _, v := range b {
		kinds |= mask.Of(v.kind)
	}
	for _, v := range a {
		if slices.Contains(b, v) {
			kinds &^= mask.Of(v.kind)
		}
	}
	return kinds
}

// Close frees the memory and the file of the texts.
func (c *Collector) Close() error {
	c.cells, c.order, c.members = nil, nil, memberList{}
	return c.texts.close()
}

// A text is the output of one target.
type text struct {
	memory []byte // of both streams; nil if it is in the file
	at     int64  // in the file
	sizes  [fleet.NumStreams]int
	err    error // why it is not kept
}

// joined returns a copy of both outputs.
func joined(outputs [fleet.NumStreams]fleet.Output) []byte {
	return bytes.Join([][]byte{outputs[0].Bytes, outputs[1].Bytes}, nil)
}
