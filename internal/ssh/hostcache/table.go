package hostcache

import (
	"bufio"
	"bytes"
	"cmp"
	"errors"
	"io"
	"maps"
	"slices"
)

// A table is what is known of all endpoints. Ten thousand hosts have few distinct profiles, so
// each profile is stored once, and a host costs little more than its name.
type table struct {
	hosts    map[string]host
	profiles map[string]*profile // by text
	lines    int                 // lines read, including obsolete and bad ones
}

type host struct {
	*profile
	day int32
	// dirty means that the file does not have it yet.
	dirty bool
}

// A profile is an Entry without its day, and its encoded text.
type profile struct {
	entry Entry
	text  string
}

func newTable() *table {
	return &table{hosts: make(map[string]host), profiles: make(map[string]*profile)}
}

// read reads the lines of a file after the header, up to the first read error, and skips bad
// ones. A day in the future counts as today; otherwise it would never be the oldest.
func (t *table) read(r io.Reader, today int) error {
	const longest = 64 << 10 // several times the size of the largest valid entry
	lines := bufio.NewReaderSize(r, longest)
	for {
		line, err := lines.ReadSlice('\n')
		if errors.Is(err, bufio.ErrBufferFull) {
			line, err = nil, dropLine(lines)
		}
		if err == nil || len(line) > 0 {
			t.lines++
			t.readLine(bytes.TrimSuffix(line, []byte{'\n'}), today)
		}
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return err
		}
	}
}

// dropLine skips to the end of an overlong line.
func dropLine(r *bufio.Reader) error {
	for {
		if _, err := r.ReadSlice('\n'); !errors.Is(err, bufio.ErrBufferFull) {
			return err
		}
	}
}

func (t *table) readLine(line []byte, today int) {
	endpoint, day, text, ok := cutLine(line)
	if !ok {
		return
	}
	p := t.profiles[string(text)]
	if p == nil {
		entry, ok := parseProfile(string(text))
		if !ok {
			return
		}
		p = t.intern(string(text), entry)
	}
	t.hosts[string(endpoint)] = host{profile: p, day: int32(min(day, today))}
}

func (t *table) intern(text string, entry Entry) *profile {
	p := &profile{entry: entry, text: text}
	t.profiles[text] = p
	return p
}

// profile returns the shared profile of the entry, which must be valid.
func (t *table) profile(e *Entry) *profile {
	var space [1024]byte
	text := appendProfile(space[:0], e)
	if p := t.profiles[string(text)]; p != nil {
		return p
	}
	entry := e.clone()
	entry.Day = 0
	return t.intern(string(text), entry)
}

// oldestFirst returns the endpoints sorted by day, then by name.
func (t *table) oldestFirst() []string {
	return slices.SortedFunc(maps.Keys(t.hosts), func(a, b string) int {
		return cmp.Or(cmp.Compare(t.hosts[a].day, t.hosts[b].day), cmp.Compare(a, b))
	})
}

// shrink removes the oldest until at most the given number of hosts is left, and the unused
// profiles.
func (t *table) shrink(hosts int) {
	if len(t.hosts) <= hosts {
		return
	}
	for _, endpoint := range t.oldestFirst()[:len(t.hosts)-hosts] {
		delete(t.hosts, endpoint)
	}
	clear(t.profiles)
	for _, h := range t.hosts {
		t.profiles[h.text] = h.profile
	}
}
