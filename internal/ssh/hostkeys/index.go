package hostkeys

import (
	"cmp"
	"io"
	"slices"
	"strings"
	"sync"

	"shoal/internal/ssh/match"
)

// An index finds the lines for a name. It is read-only once built.
type index struct {
	plain    map[string][]*entry
	filed    *filedLines // lines with plain names and no marker; nil: they are in plain
	patterns []*entry    // with wildcards or negations
	hashed   hashedLines
	size     int
}

// newIndex returns an index that keeps all its lines in memory.
func newIndex() *index {
	return &index{plain: make(map[string][]*entry)}
}

// newFileIndex returns an index that reads most lines again from text, the file at path.
func newFileIndex(path string, text io.ReaderAt) *index {
	x := newIndex()
	x.filed = newFiledLines(path, text)
	return x
}

// add adds a line. On error the line is bad and was not added.
func (x *index) add(e *entry) error {
	switch {
	case strings.HasPrefix(e.names, "|"):
		name, err := parseHashed(e.names)
		if err != nil {
			return err
		}
		x.hashed.add(e, name)
	case isPlain(e.names) && x.filed != nil && e.mark == markNone:
		if err := x.filed.add(e); err != nil {
			return err
		}
	case isPlain(e.names):
		x.addPlain(e)
	default:
		x.patterns = append(x.patterns, e)
	}
	x.size++
	return nil
}

func (x *index) addPlain(e *entry) {
	for name := range strings.SplitSeq(match.Lower(e.names), ",") {
		// A name may occur twice in a line; the line is returned once.
		if lines := x.plain[name]; name != "" && (len(lines) == 0 || lines[len(lines)-1] != e) {
			x.plain[name] = append(lines, e)
		}
	}
}

// lookup returns all lines for a name, in the order of the files. The result may be shared and
// must not be changed.
//
// It takes constant time if all names are plain, otherwise one comparison for each pattern
// line; for hashed lines see hashedLines.
func (x *index) lookup(name string) []*entry {
	filed := x.filed.lookup(name)
	if x.onlyPlain() && len(filed) == 0 {
		return x.plain[name]
	}
	found := append(slices.Clone(x.plain[name]), filed...)
	for _, e := range x.patterns {
		if matchList(name, e.names) {
			found = append(found, e)
		}
	}
	found = append(found, x.hashed.lookup(name)...)
	slices.SortFunc(found, func(a, b *entry) int { return cmp.Compare(a.number, b.number) })
	return found
}

// onlyPlain reports whether there are only plain names.
func (x *index) onlyPlain() bool { return len(x.patterns)+len(x.hashed.lines) == 0 }

// cacheLimit bounds a generation of the cache, in names. An attempt looks up its name three
// times within seconds, so older entries are not needed.
const cacheLimit = 4096

// A cache keeps recent results of lookup. It is bounded, so that memory does not grow with the
// number of targets. The zero value is ready; it is safe for concurrent use.
type cache struct {
	mu         sync.Mutex
	young, old map[string][]*entry
}

func (c *cache) get(name string) ([]*entry, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if found, ok := c.young[name]; ok {
		return found, true
	}
	found, ok := c.old[name]
	return found, ok
}

func (c *cache) put(name string, found []*entry) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.young == nil || len(c.young) >= cacheLimit {
		c.young, c.old = make(map[string][]*entry), c.young
	}
	c.young[name] = found
}
