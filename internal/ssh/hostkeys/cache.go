package hostkeys

import "sync"

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
