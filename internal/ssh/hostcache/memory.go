package hostcache

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"
)

// refreshDays is how old the day of an entry may get that is otherwise
// unchanged, before it is written anew.
const refreshDays = 7

// Options are the bounds of a [Cache]. The zero value is right for programs.
type Options struct {
	MaxHosts int              // endpoints kept, the oldest leave first; 0 means 100,000
	MaxBytes int64            // size of the file; 0 means 64 MiB
	Wait     time.Duration    // how long Close waits for other processes; 0 means 5 s
	Now      func() time.Time // nil means time.Now
}

func (o Options) withDefaults() Options {
	if o.MaxHosts == 0 {
		o.MaxHosts = 100_000
	}
	if o.MaxBytes == 0 {
		o.MaxBytes = 64 << 20
	}
	if o.Wait == 0 {
		o.Wait = 5 * time.Second
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	return o
}

func (o Options) validate() error {
	if o.MaxHosts < 0 || o.MaxBytes < 0 || o.Wait < 0 {
		return errors.New("a bound of what is remembered is negative; 0 means the default")
	}
	return nil
}

// A Cache is what is remembered of the servers. It is safe for concurrent use,
// and so are several on one directory, in one process or in many: the last to
// write about an endpoint wins. A nil *Cache remembers nothing.
type Cache struct {
	opts  Options
	store store

	mu    sync.RWMutex
	table *table
}

// Open reads what is remembered in the directory, which need not exist. The
// error says why nothing can be: the directory or the file can be written by
// others, belongs to another user, is no plain file, cannot be read, or the file
// is of another version. The *Cache is nil then, and may be used all the same.
func Open(dir string, o Options) (*Cache, error) {
	if err := o.validate(); err != nil {
		return nil, err
	}
	o = o.withDefaults()
	m := &Cache{opts: o, store: newStore(dir, o)}
	var err error
	if m.table, err = m.store.load(m.today()); err != nil {
		return nil, fmt.Errorf("reading what is remembered of servers: %w", err)
	}
	return m, nil
}

// Get gives what is remembered of the endpoint, a lower-case name or address
// and a port in whatever form the caller always uses.
func (m *Cache) Get(endpoint string) (Entry, bool) {
	if m == nil {
		return Entry{}, false
	}
	m.mu.RLock()
	defer m.mu.RUnlock()
	h, ok := m.table.hosts[endpoint]
	if !ok {
		return Entry{}, false
	}
	e := h.entry
	e.Day = int(h.day)
	return e, true
}

// Put remembers the entry in place of what was known of the endpoint. Its Day is
// ignored: it was seen today. An endpoint of more than 320 bytes or with white
// space in it, and an entry beyond its limits, are not remembered.
func (m *Cache) Put(endpoint string, e Entry) {
	if m == nil || !validEndpoint(endpoint) || !e.valid() {
		return
	}
	today := int32(m.today())
	m.mu.Lock()
	defer m.mu.Unlock()
	p := m.table.profile(&e)
	old, known := m.table.hosts[endpoint]
	if known && old.profile == p && today-old.day < refreshDays {
		return
	}
	m.table.hosts[endpoint] = host{profile: p, day: today, dirty: true}
	// Some more than the bound are let in, so that not each one costs a sort.
	if bound := m.opts.MaxHosts; len(m.table.hosts) > bound+bound/8 {
		m.table.shrink(bound)
	}
}

// Close writes what has changed and makes the directory (mode 0700) and the
// file (mode 0600) where they are missing. After an error nothing, or whole
// lines, have been written. The Cache stays usable, and Close may be repeated:
// what was not written is tried again.
func (m *Cache) Close() error {
	if m == nil {
		return nil
	}
	changed, lines, compact := m.changes()
	if len(changed) == 0 && !compact {
		return nil
	}
	lines, err := m.store.save(text(changed), lines, compact, m.today())
	if err != nil {
		return fmt.Errorf("writing what is remembered of servers: %w", err)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.table.lines = lines
	for _, c := range changed {
		if m.table.hosts[c.endpoint] == c.host { // not put anew meanwhile
			c.dirty = false
			m.table.hosts[c.endpoint] = c.host
		}
	}
	return nil
}

// A change is a line that the file does not have yet.
type change struct {
	endpoint string
	host
}

// changes gives what the file does not tell yet, how many lines it has once it
// does, and whether it is then worth compacting.
func (m *Cache) changes() (changed []change, lines int, compact bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	exceeded := len(m.table.hosts) > m.opts.MaxHosts
	m.table.shrink(m.opts.MaxHosts)
	for endpoint, h := range m.table.hosts {
		if h.dirty {
			changed = append(changed, change{endpoint, h})
		}
	}
	lines = m.table.lines + len(changed)
	return changed, lines, exceeded || lines > 2*len(m.table.hosts)
}

func text(changed []change) []byte {
	slices.SortFunc(changed, func(a, b change) int { return strings.Compare(a.endpoint, b.endpoint) })
	size := 0
	for _, c := range changed {
		size += len(c.endpoint) + len(c.text) + maxDayDigits + 4 + 8
	}
	text := make([]byte, 0, size)
	for _, c := range changed {
		text = appendLine(text, c.endpoint, int(c.day), c.text)
	}
	return text
}

func (m *Cache) today() int {
	const day = 24 * 60 * 60
	return max(0, int(m.opts.Now().Unix()/day))
}
