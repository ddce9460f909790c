package posix

import (
	"sync"

	"mvdan.cc/sh/v3/syntax"
)

// parsed has the texts that were parsed last: many hosts get the same script, and parsing it is
// most of what it costs. Statements are never changed, so that shells can share them.
var parsed texts

type texts struct {
	mu   sync.Mutex
	list map[string][]*syntax.Stmt
}

// Short texts are parsed quickly; when there are maxTexts, all are forgotten.
const (
	minText  = 512
	maxTexts = 64
)

func (t *texts) get(src string) ([]*syntax.Stmt, bool) {
	if len(src) < minText {
		return nil, false
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	list, ok := t.list[src]
	return list, ok
}

func (t *texts) put(src string, list []*syntax.Stmt) {
	if len(src) < minText {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.list == nil || len(t.list) >= maxTexts {
		t.list = make(map[string][]*syntax.Stmt)
	}
	t.list[src] = list
}
