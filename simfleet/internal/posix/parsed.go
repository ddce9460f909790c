package posix

import (
	"sync"

	"mvdan.cc/sh/v3/syntax"
)

// parsed has the texts that were parsed last: many hosts get the same script, and parsing it is
// most of what it costs. Statements are never changed, so that shells can share them.
var parsed texts

type texts struct {
	mu    sync.Mutex
	long  map[string][]*syntax.Stmt
	short map[string][]*syntax.Stmt
}

// A text is long from longText bytes on. When there are as many of a kind as is the limit, all of it are
// forgotten: short ones may each be of one host, and must not push out the scripts.
const (
	longText = 512
	maxLong  = 64
	maxShort = 512
)

func (t *texts) get(src string) ([]*syntax.Stmt, bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	list, ok := t.short[src]
	if len(src) >= longText {
		list, ok = t.long[src]
	}
	return list, ok
}

func (t *texts) put(src string, list []*syntax.Stmt) {
	t.mu.Lock()
	defer t.mu.Unlock()
	kind, limit := &t.short, maxShort
	if len(src) >= longText {
		kind, limit = &t.long, maxLong
	}
	if *kind == nil || len(*kind) >= limit {
		*kind = make(map[string][]*syntax.Stmt)
	}
	(*kind)[src] = list
}
