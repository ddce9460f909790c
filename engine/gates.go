package engine

import (
	"strings"
	"sync"

	"shoal/fleet"
)

// gates bounds the connections being started to each endpoint, because servers
// count those that have not authenticated yet and drop what is too much. Only
// endpoints with a connection being started are held.
type gates struct {
	limit int // connections being started to one endpoint; negative: no bound

	mu   sync.Mutex
	open map[string]*gate
}

type gate struct {
	starting int
	waiting  []fleet.Target
}

func newGates(limit int) *gates {
	return &gates{limit: limit, open: make(map[string]*gate)}
}

// enter gives true when t may start now. Otherwise t waits until another
// target's leave gives it.
func (g *gates) enter(t fleet.Target) bool {
	if g.limit < 0 {
		return true
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	key := endpoint(t)
	e := g.open[key]
	if e == nil {
		e = new(gate)
		g.open[key] = e
	}
	if e.starting == g.limit {
		e.waiting = append(e.waiting, t)
		return false
	}
	e.starting++
	return true
}

// leave ends the start of t. It gives the target that takes its place, if one
// waits.
func (g *gates) leave(t fleet.Target) (next fleet.Target, ok bool) {
	if g.limit < 0 {
		return fleet.Target{}, false
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	key := endpoint(t)
	e := g.open[key]
	if len(e.waiting) > 0 {
		next, e.waiting[0] = e.waiting[0], fleet.Target{}
		e.waiting = e.waiting[1:]
		return next, true
	}
	if e.starting--; e.starting == 0 {
		delete(g.open, key)
	}
	return fleet.Target{}, false
}

func endpoint(t fleet.Target) string { return strings.ToLower(t.Address()) }
