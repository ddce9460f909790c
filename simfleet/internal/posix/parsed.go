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

// kind returns the texts of the kind of src, and how many there may be.
func (t *texts) kind(src string) (kind *map[string][]*syntax.Stmt, limit int) {
	if len(src) >= longText {
		return &t.long, maxLong
	}
	return &t.short, maxShort
}

func (t *texts) get(src string) ([]*syntax.Stmt, bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	kind, _ := t.kind(src)
	list, ok := (*kind)[src]
	return list, ok
}

func (t *texts) put(src string, list []*syntax.Stmt) {
	t.mu.Lock()
	defer t.mu.Unlock()
	kind, limit := t.kind(src)
	if *kind == nil || len(*kind) >= limit {
		*kind = make(map[string][]*syntax.Stmt)
	}
	(*kind)[src] = list
}
