package groups

import (
	"cmp"
	"fmt"
	"slices"

	"shoal/fleet"
	"shoal/internal/mask"
)

// A Group is a set of targets with equal answers.
type Group struct {
	// Members are its targets, in the order of the input.
	Members []Member
	// Shown is the target whose text, end and sizes stand for the group: the first of
	// Members, unless its text was not kept.
	Shown Member
	End   fleet.End
	// Sizes are those of its streams as received, in bytes.
	Sizes [fleet.NumStreams]int64
	// Differ has the masked kinds in which the answers of the members are not the same.
	Differ mask.Set
	// NoPart means that the answers have no part by which to group.
	NoPart bool

	cell *cell
	name bool // the own name is masked
}

// Answered reports whether the targets gave an answer: their command ran, or output came.
func (g *Group) Answered() bool {
	return g.End.Outcome.Ran() || g.Sizes[fleet.Stdout]+g.Sizes[fleet.Stderr] > 0
}

// Hosts returns the names of the members.
func (g *Group) Hosts() []string { return Hosts(g.Members) }

// Hosts returns the names of members.
func Hosts(members []Member) []string {
	names := make([]string, len(members))
	for i, m := range members {
		names[i] = m.Host
	}
	return names
}

// Groups are the groups of a run.
type Groups struct {
	// List has the groups, the largest first, those of equal size in the order of the input.
	List []*Group
	// Targets is the number of their members.
	Targets int
	// Masked has the kinds that did not count.
	Masked mask.Set
	// Told has the kinds in which answers that are in one group differ.
	Told mask.Set

	c *Collector
}

// Groups returns the groups of what was added. The Collector must stay open, and take no
// more results, while they are used.
func (c *Collector) Groups() *Groups {
	gs := &Groups{Targets: c.members.len(), Masked: c.always, c: c}
	if c.opts.Masker != nil && c.opts.Auto {
		gs.Masked |= c.noisy()
	}
	// Cells that differ only in what is masked are one group. The own name is masked last, and
	// only in answers that no other host gave: a text that several hosts give does not name
	// each its own.
	counts := (mask.All | mask.Of(mask.Pattern)) &^ gs.Masked
	byShape := newMerger()
	for _, at := range c.order {
		byShape.add(joint(at.shape, at.values, counts), at)
	}
	byName := newMerger()
	for _, m := range byShape.order {
		at := m.cells[0]
		own := gs.Masked.Has(mask.Host) && at.named != nil && !m.several
		if own {
			m.name = true
			byName.join(joint(*at.named, at.values, counts), m)
		} else {
			byName.order = append(byName.order, m)
		}
	}
	for _, m := range byName.order {
		g := c.group(m, gs.Masked)
		gs.Told |= g.Differ
		gs.List = append(gs.List, g)
	}
	slices.SortFunc(gs.List, func(a, b *Group) int {
		return cmp.Or(cmp.Compare(len(b.Members), len(a.Members)), cmp.Compare(a.Members[0].Index, b.Members[0].Index))
	})
	return gs
}

// A merger puts cells together.
type merger struct {
	at    map[digest]*merged
	order []*merged
}

type merged struct {
	cells   []*cell
	several bool // not all of one name
	name    bool // the own name is masked
	hosts   int  // merged by the own name
}

func newMerger() *merger { return &merger{at: make(map[digest]*merged)} }

func (m *merger) add(key digest, at *cell) {
	into := m.at[key]
	if into == nil {
		into = new(merged)
		m.at[key] = into
		m.order = append(m.order, into)
	} else if at.first != into.cells[0].first {
		into.several = true
	}
	into.several = into.several || at.several
	into.cells = append(into.cells, at)
}

func (m *merger) join(key digest, from *merged) {
	into := m.at[key]
	if into == nil {
		m.at[key] = from
		m.order = append(m.order, from)
		from.hosts = 1
		return
	}
	into.hosts++
	into.cells = append(into.cells, from.cells...)
}

// group returns the group of merged cells.
func (c *Collector) group(m *merged, masked mask.Set) *Group {
	g := &Group{name: m.name}
	total := 0
	for _, at := range m.cells {
		total += len(at.members)
	}
	g.Members = make([]Member, 0, total)
	var shown *cell
	for _, at := range m.cells {
		g.Differ |= at.differ
		if at != m.cells[0] {
			g.Differ |= differing(at.values, m.cells[0].values)
		}
		for _, i := range at.members {
			g.Members = append(g.Members, c.members.at(i))
		}
		if shown == nil || at.kept && (!shown.kept || c.members.indexes[at.shown] < c.members.indexes[shown.shown]) {
			shown = at
		}
	}
	g.Differ &= masked
	if m.hosts > 1 {
		g.Differ |= mask.Of(mask.Host)
	}
	slices.SortFunc(g.Members, func(a, b Member) int { return cmp.Compare(a.Index, b.Index) })
	g.cell, g.Shown, g.End, g.NoPart = shown, c.members.at(shown.shown), shown.end, shown.noPart
	g.Sizes = shown.sizes
	return g
}

// noisy returns the kinds that Auto masks because most targets with such text have one of
// their own.
func (c *Collector) noisy() mask.Set {
	type seen struct {
		targets int
		values  map[[16]byte]struct{}
	}
	type group struct{ kinds [mask.NumKinds]*seen }
	candidates := c.opts.Masker.Kinds() &^ c.always
	all := make(map[digest]*group)
	for _, at := range c.order {
		shape := at.shape
		if at.named != nil && !at.several {
			shape = *at.named
		}
		g := all[shape]
		if g == nil {
			g = new(group)
			all[shape] = g
		}
		for _, v := range at.values {
			if !candidates.Has(v.kind) {
				continue
			}
			if g.kinds[v.kind] == nil {
				g.kinds[v.kind] = &seen{values: make(map[[16]byte]struct{})}
			}
			g.kinds[v.kind].targets += len(at.members)
			g.kinds[v.kind].values[v.sum] = struct{}{}
		}
	}
	var noise mask.Set
	for _, k := range candidates.Kinds() {
		targets, values := 0, 0
		for _, g := range all {
			if s := g.kinds[k]; s != nil && s.targets > 1 {
				targets += s.targets
				values += len(s.values)
			}
		}
		if values >= minNoise && 2*values > targets {
			noise |= mask.Of(k)
		}
	}
	return noise
}

// minNoise is the least number of different values of which Auto takes a kind for noise.
const minNoise = 3

// Text returns the output of the target that a group shows. It must not be changed.
func (gs *Groups) Text(g *Group) (stdout, stderr []byte, err error) {
	if !g.cell.kept {
		return nil, nil, fmt.Errorf("the output of %.80q was not kept for the comparison", g.Shown.Host)
	}
	return gs.c.texts.get(&g.cell.text)
}

// Answers returns the groups that gave an answer, and the number of targets in the others.
func (gs *Groups) Answers() (answers []*Group, silent int) {
	for _, g := range gs.List {
		if g.Answered() {
			answers = append(answers, g)
		} else {
			silent += len(g.Members)
		}
	}
	return answers, silent
}

// Of returns the group of a host, by its name with or without user and port, or nil.
func (gs *Groups) Of(host string) *Group {
	for _, g := range gs.List {
		for _, m := range g.Members {
			if m.Host == host || names(m.Host, host) {
				return g
			}
		}
	}
	return nil
}
