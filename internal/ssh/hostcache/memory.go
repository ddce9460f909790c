package hostcache

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"
)

// refreshDays is how old the day of an otherwise unchanged entry may become before it is
// written again.
const refreshDays = 7

// Options are the limits of a [Cache]. The zero value is suitable for programs.
type Options struct {
	MaxHosts int              // maximum number of endpoints, the oldest are removed first; 0 means 100,000
	MaxBytes int64            // maximum size of the file; 0 means 64 MiB
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

// A Cache stores what is known of servers. It is safe for concurrent use. Several caches, in
// one process or several, may share a directory: the last to write an endpoint wins. A nil
// *Cache stores nothing.
type Cache struct {
	opts  Options
	store store

	mu    sync.RWMutex
	table *table
	puts  int // calls of Put since Open, or the last Close
}

// Open reads the cache from the directory, which need not exist. It fails if the directory or
// file is writable by others, belongs to another user, is of the wrong kind or cannot be read,
// or if the file has another version. The *Cache is then nil, which is usable.
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

// Get returns the entry of the endpoint: a lower-case name or address and a port, in any form
// that the caller uses consistently.
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

// Put replaces the entry of the endpoint. It ignores the entry's Day and sets it to today. It
// ignores an endpoint of more than 320 bytes or with white space, and an entry beyond its
// limits. Once it was called MaxHosts times since Open or Close, it ignores endpoints that are not
// known: of a run over more hosts the first are kept, the same ones in the next run over them,
// instead of those that happen to be the last.
func (m *Cache) Put(endpoint string, e Entry) {
	if m == nil || !validEndpoint(endpoint) || !e.valid() {
		return
	}
	today := int32(m.today())
	m.mu.Lock()
	defer m.mu.Unlock()
	old, known := m.table.hosts[endpoint]
	if m.puts++; !known && m.puts > m.opts.MaxHosts {
		return
	}
	p := m.table.profile(&e)
	if known && old.profile == p && today-old.day < refreshDays {
		return
	}
	m.table.hosts[endpoint] = host{profile: p, day: today, dirty: true}
	// Allow some more than the limit, so that not every Put costs a sort.
	if bound := m.opts.MaxHosts; len(m.table.hosts) > bound+bound/8 {
		m.table.shrink(bound)
	}
}

// Close writes the changes. It creates the directory (mode 0700) and the file (mode 0600) if
// they are missing. On error it has written nothing or whole lines. The Cache stays usable, and
// Close may be called again to retry what was not written.
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
		if m.table.hosts[c.endpoint] == c.host { // unless it was put again meanwhile
			c.dirty = false
			m.table.hosts[c.endpoint] = c.host
		}
	}
	return nil
}

// A change is a line that is not yet in the file.
type change struct {
	endpoint string
	host
}

// changes returns the changes, the number of lines in the file after they are written, and
// whether the file should then be compacted.
func (m *Cache) changes() (changed []change, lines int, compact bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.puts = 0 // what follows is of another run
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
