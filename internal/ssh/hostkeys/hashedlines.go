package hostkeys

import (
	"math/bits"
	"sync"
	"sync/atomic"
)

// hashedLines finds the lines with a given hashed name.
//
// Each line has its own salt, so a name must be hashed for each line: there is no index, and no
// stopping at the first match, since a host may have several keys. Three things make this
// cheap. The half of the HMAC that depends only on the salt is computed once per line. Eight
// lines are tested at once if the processor has vector instructions. And a line whose name has
// been found is never tested again, since it has no other name; a run over all hosts of the
// file tests half of all pairs.
//
// One goroutine adds lines before or between lookups; lookups are safe for concurrent use.
type hashedLines struct {
	lines  []hashedLine
	groups []group // lanes lines each, in the order of lines

	mu    sync.Mutex
	named map[string]namedLines
}

type hashedLine struct {
	*entry
	name hashedName
}

// namedLines are the lines found for a name.
type namedLines struct {
	found []*entry
	upTo  int // the number of lines tested
}

// lanes is the number of lines tested at once.
const lanes = 8

// A group is lanes lines.
type group struct {
	filter laneFilter
	// open has a bit set for each lane whose name has not been found yet.
	open atomic.Uint32
}

func (h *hashedLines) add(e *entry, name hashedName) {
	lane := len(h.lines) % lanes
	if lane == 0 {
		h.groups = append(h.groups, group{})
	}
	h.lines = append(h.lines, hashedLine{e, name})
	g := &h.groups[len(h.groups)-1]
	g.filter.set(lane, name)
	g.open.Or(1 << lane)
}

// lookup returns the lines for a name, in their order.
func (h *hashedLines) lookup(name string) []*entry {
	if len(h.lines) == 0 {
		return nil
	}
	before := h.of(name)
	if before.upTo == len(h.lines) {
		return before.found
	}
	matched := h.test(name, before.upTo)
	return h.note(name, before, matched)
}

func (h *hashedLines) of(name string) namedLines {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.named[name]
}

// test returns the indexes of the lines, starting at from, that hide the name.
func (h *hashedLines) test(name string, from int) (matched []int) {
	var query laneQuery
	query.set(name)
	for i := from / lanes; i < len(h.groups); i++ {
		g := &h.groups[i]
		open := g.open.Load()
		if open == 0 {
			continue
		}
		for open &= g.filter.candidates(&query); open != 0; open &= open - 1 {
			place := i*lanes + bits.TrailingZeros32(open)
			if place >= from && h.lines[place].name.is(name) {
				matched = append(matched, place)
			}
		}
	}
	return matched
}

// note stores the matches and excludes their lines from later tests.
func (h *hashedLines) note(name string, before namedLines, matched []int) []*entry {
	h.mu.Lock()
	defer h.mu.Unlock()
	// Another goroutine that looked for the same name may have closed lines during our test.
	// Its result is complete, since it was the first.
	if now := h.named[name]; now.upTo > before.upTo {
		return now.found
	}
	found := before.found[:len(before.found):len(before.found)]
	for _, place := range matched {
		found = append(found, h.lines[place].entry)
		h.groups[place/lanes].open.And(^uint32(1 << (place % lanes)))
	}
	if len(found) > 0 { // otherwise memory would grow with the names asked for
		if h.named == nil {
			h.named = make(map[string]namedLines)
		}
		h.named[name] = namedLines{found, len(h.lines)}
	}
	return found
}
