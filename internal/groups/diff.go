package groups

import (
	"cmp"
	"hash/maphash"
	"maps"
	"slices"
	"strings"

	"shoal/fleet"
	"shoal/internal/mask"
	"shoal/internal/textdiff"
)

// A Difference is how one group differs from another.
type Difference struct {
	// Streams are the hunks of standard output and standard error; nil if these are equal.
	// Equal lines are the first group's.
	Streams [fleet.NumStreams][]textdiff.Hunk
	// Large has the streams that are too large to be compared line by line, though they are
	// not equal.
	Large [fleet.NumStreams]bool
}

// None reports whether the outputs are equal; the groups then differ in their ends.
func (d *Difference) None() bool {
	return d.Streams[0] == nil && d.Streams[1] == nil && !d.Large[0] && !d.Large[1]
}

// names reports whether host, as Host.String gives it, has the name.
func names(host, name string) bool {
	if _, rest, ok := strings.Cut(host, "@"); ok {
		host = rest
	}
	if host == name {
		return true
	}
	if i := strings.LastIndexByte(host, ':'); i > 0 {
		return strings.Trim(host[:i], "[]") == name
	}
	return false
}

// A reading is one stream of the text that a group shows, in lines.
type reading struct {
	lines    []string // as they are
	compared []string // with marks where they are masked
	masked   bool     // these are not the same
	size     int
}

// read returns both streams of a group in lines.
func (gs *Groups) read(g *Group) (streams [fleet.NumStreams]reading, err error) {
	stdout, stderr, err := gs.Text(g)
	if err != nil {
		return streams, err
	}
	for s, text := range [][]byte{stdout, stderr} {
		r := &streams[s]
		r.size = len(text)
		if r.size > textdiff.MaxText {
			continue
		}
		r.lines = textdiff.Lines(string(text))
		r.compared = r.lines
		if gs.Masked != 0 {
			kinds := gs.Masked
			if !g.name {
				kinds &^= mask.Of(mask.Host)
			}
			tokens := gs.c.opts.Masker.Tokens(nil, text, g.cell.ownOf(g.Shown))
			r.compared = textdiff.Lines(string(mask.Append(nil, text, tokens, kinds)))
			r.masked = true
		}
	}
	return streams, nil
}

// ownOf returns the names of a member of the cell.
func (c *cell) ownOf(m Member) mask.Own {
	if !c.several {
		return c.first
	}
	return mask.Own{}
}

// Diff returns how g differs from the group ref. Lines that differ in masked text only are
// equal.
func (gs *Groups) Diff(ref, g *Group) (Difference, error) {
	var d Difference
	a, err := gs.read(ref)
	if err != nil {
		return d, err
	}
	b, err := gs.read(g)
	if err != nil {
		return d, err
	}
	for s := range fleet.NumStreams {
		if a[s].size > textdiff.MaxText || b[s].size > textdiff.MaxText {
			d.Large[s] = true
			continue
		}
		d.Streams[s] = textdiff.Hunks(a[s].lines, b[s].lines, textdiff.Changes(a[s].compared, b[s].compared))
	}
	return d, nil
}

// A Place is a part of an output seen over many groups: lines that all have, or those in
// which they differ.
type Place struct {
	Stream fleet.Stream
	// Common are lines that all have, as the reference has them; Variants is nil then.
	Common []string
	// Variants are what stands there instead, the most frequent first.
	Variants []Variant
}

// A Variant is what some targets have at a place.
type Variant struct {
	Lines   []string // of the largest group that has it; none if nothing is there
	Members []Member
}

// Lines returns the outputs of the groups at once, place by place. They are compared with
// ref; nil means that one whose lines most targets have. Groups whose outputs are too large
// to compare, by themselves or with those of the groups before them, are returned as left.
func (gs *Groups) Lines(ref *Group, groups []*Group) (places []Place, left []*Group, err error) {
	if ref == nil {
		if ref, err = gs.typical(groups); err != nil {
			return nil, nil, err
		}
	}
	base, err := gs.read(ref)
	if err != nil {
		return nil, nil, err
	}
	var compared [fleet.NumStreams][]edited
	var b budget
	for _, g := range groups {
		if g == ref {
			continue
		}
		streams, err := gs.read(g)
		if err != nil {
			return nil, nil, err
		}
		if streams[0].size > textdiff.MaxText || streams[1].size > textdiff.MaxText {
			left = append(left, g)
			continue
		}
		var all [fleet.NumStreams][]edit
		for s := range fleet.NumStreams {
			for _, c := range textdiff.Changes(base[s].compared, streams[s].compared) {
				all[s] = append(all[s], split(c, &streams[s])...)
			}
		}
		if !b.take(all) {
			left = append(left, g)
			continue
		}
		for s, edits := range all {
			compared[s] = append(compared[s], edited{group: g, edits: edits})
		}
	}
	for s := range fleet.NumStreams {
		places = append(places, placesOf(s, ref, &base[s], compared[s])...)
	}
	return places, left, nil
}

// Bounds of Lines: hosts say how long and how different their outputs are.
const (
	maxEdits  = 65 << 20 // bytes of the lines that are held, with lineSize for each
	maxPlaces = 2 << 20  // edited lines of the reference, times groups
	// lineSize is what a line costs beside its text: the string and, where it is masked, the other
	// one, and what is lost by allocating it alone.
	lineSize = 48
)

// A budget is what Lines has used of its bounds.
type budget struct {
	bytes, groups int
	places        [fleet.NumStreams]map[region]struct{}
}

// take adds the edits of a group, unless these are too many.
func (b *budget) take(all [fleet.NumStreams][]edit) bool {
	size, places := b.bytes, 0
	for s, edits := range all {
		if b.places[s] == nil {
			b.places[s] = make(map[region]struct{})
		}
		places += len(b.places[s])
		for _, e := range edits {
			if _, known := b.places[s][region{e.from, e.end}]; !known {
				places++
			}
			for _, line := range e.lines {
				size += len(line) + lineSize
			}
		}
	}
	if size > maxEdits || places*(b.groups+1) > maxPlaces {
		return false
	}
	b.bytes, b.groups = size, b.groups+1
	for s, edits := range all {
		for _, e := range edits {
			b.places[s][region{e.from, e.end}] = struct{}{}
		}
	}
	return true
}

// typicalOf is the number of groups, the largest, of which one is taken as typical.
const typicalOf = 1000

// typical returns the group whose lines most targets have, or of several the largest.
func (gs *Groups) typical(groups []*Group) (*Group, error) {
	groups = groups[:min(len(groups), typicalOf)]
	seed := maphash.MakeSeed()
	targets := make(map[uint64]int) // by line
	each := func(g *Group, take func(line uint64)) error {
		streams, err := gs.read(g)
		if err != nil {
			return err
		}
		seen := make(map[uint64]bool)
		for _, r := range streams {
			for _, line := range r.compared {
				if sum := maphash.String(seed, line); !seen[sum] {
					seen[sum] = true
					take(sum)
				}
			}
		}
		return nil
	}
	for _, g := range groups {
		if err := each(g, func(line uint64) { targets[line] += len(g.Members) }); err != nil {
			return nil, err
		}
	}
	best, most := groups[0], -1
	for _, g := range groups {
		sum := 0
		if err := each(g, func(line uint64) { sum += targets[line] }); err != nil {
			return nil, err
		}
		if sum > most {
			best, most = g, sum
		}
	}
	return best, nil
}

// edited is a group by its edits of the reference.
type edited struct {
	group *Group
	edits []edit // in order
	next  int    // the first that is not yet used
}

// An edit replaces lines of the reference.
type edit struct {
	from, end       int
	lines, compared []string
}

// split returns a change as edits of one line of the reference each, so that an answer that
// is quite another does not make one line of many: lines that are missing are taken out one
// by one, and further ones are behind the last.
func split(c textdiff.Change, r *reading) []edit {
	of := func(from, end int) ([]string, []string) {
		lines := cloned(r.lines[from:end])
		if !r.masked {
			return lines, lines
		}
		return lines, cloned(r.compared[from:end])
	}
	if c.A == c.AEnd {
		lines, compared := of(c.B, c.BEnd)
		return []edit{{c.A, c.A, lines, compared}}
	}
	var edits []edit
	for i := range c.AEnd - c.A {
		from, end := min(c.B+i, c.BEnd), min(c.B+i+1, c.BEnd)
		if c.A+i+1 == c.AEnd {
			end = c.BEnd
		}
		lines, compared := of(from, end)
		edits = append(edits, edit{c.A + i, c.A + i + 1, lines, compared})
	}
	return edits
}

// cloned returns copies of lines, which do not hold the whole text.
func cloned(lines []string) []string {
	copies := make([]string, len(lines))
	for i, line := range lines {
		copies[i] = strings.Clone(line)
	}
	return copies
}

// placesOf returns the places of one stream.
func placesOf(s fleet.Stream, ref *Group, base *reading, groups []edited) []Place {
	var places []Place
	at := 0
	common := func(to int) {
		if to > at {
			places = append(places, Place{Stream: s, Common: base.lines[at:to]})
			at = to
		}
	}
	for _, r := range regions(groups) {
		common(r.from)
		places = append(places, Place{Stream: s, Variants: variants(r, ref, base, groups)})
		at = r.end
	}
	common(len(base.lines))
	return places
}

// A region is a line of the reference that some groups edit, or a place between two lines
// at which some add others.
type region struct{ from, end int }

// regions returns the parts of the reference that are edited, in order.
func regions(groups []edited) []region {
	seen := make(map[region]bool)
	for _, g := range groups {
		for _, e := range g.edits {
			seen[region{e.from, e.end}] = true
		}
	}
	return slices.SortedFunc(maps.Keys(seen), func(a, b region) int {
		return cmp.Or(cmp.Compare(a.from, b.from), cmp.Compare(a.end, b.end))
	})
}

// variants returns what the groups have at a region. Regions must come in order.
func variants(r region, ref *Group, base *reading, groups []edited) []Variant {
	type found struct {
		Variant
		size int // of the largest group
	}
	byText := make(map[string]*found)
	var order []*found
	add := func(g *Group, lines, compared []string) {
		key := strings.Join(compared, "")
		f := byText[key]
		if f == nil {
			f = new(found)
			byText[key] = f
			order = append(order, f)
		}
		if len(g.Members) > f.size {
			f.size, f.Lines = len(g.Members), lines
		}
		f.Members = append(f.Members, g.Members...)
	}
	add(ref, base.lines[r.from:r.end], base.compared[r.from:r.end])
	for i := range groups {
		g := &groups[i]
		if g.next < len(g.edits) && g.edits[g.next].from == r.from && g.edits[g.next].end == r.end {
			add(g.group, g.edits[g.next].lines, g.edits[g.next].compared)
			g.next++
			continue
		}
		add(g.group, base.lines[r.from:r.end], base.compared[r.from:r.end])
	}
	for _, f := range order {
		slices.SortFunc(f.Members, func(a, b Member) int { return cmp.Compare(a.Index, b.Index) })
	}
	slices.SortFunc(order, func(a, b *found) int {
		return cmp.Or(cmp.Compare(len(b.Members), len(a.Members)), cmp.Compare(a.Members[0].Index, b.Members[0].Index))
	})
	all := make([]Variant, len(order))
	for i, f := range order {
		all[i] = f.Variant
	}
	return all
}
