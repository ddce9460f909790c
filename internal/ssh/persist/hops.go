package persist

import (
	"bytes"
	"slices"

	xssh "golang.org/x/crypto/ssh"

	"shoal/internal/ssh"
)

// maxKnownHops bounds the different jump hosts that a holder knows.
const maxKnownHops = 4096

// A hop is a jump host, with the jump hosts before it. Attempts of all runs share it, and the
// connections to it. The Holder's mu guards it.
type hop struct {
	target ssh.Target
	works  map[*work]int // whose way it is on, and at which place
	// keys are all host keys with which it was reached: which of its connections carries which
	// other one is not known here.
	keys []xssh.PublicKey
}

// target returns the target of a new attempt at the end of its way. s.mu must be held.
func (s *session) target(w *work, way []place) (_ ssh.Target, err error) {
	h := s.holder
	h.mu.Lock()
	defer h.mu.Unlock()
	defer func() {
		if err != nil {
			for _, hop := range h.hops {
				delete(hop.works, w)
			}
		}
	}()
	var via *hop
	var name []byte
	for i, p := range slices.Backward(way) {
		settings := s.settings[p.settings]
		if settings == nil {
			return ssh.Target{}, errManyOptions
		}
		e := &ssh.Endpoint{User: p.target.User, Port: p.target.Port, Settings: settings}
		if p.target.Route != nil {
			e.Route = *p.target.Route
		}
		if via != nil {
			e.Via, e.Jump = &via.target.Target, &via.target
		}
		t := ssh.Target{Target: p.target, Endpoint: e}
		if p.target.Route != nil || via != nil {
			t.Route = &e.Route
		}
		if i == 0 {
			return t, nil
		}
		// The same settings have the same address.
		id := enc{name}
		encodeTarget(&id, &t, h.numberOf(settings))
		name = id.b
		if via = h.hopNames[string(name)]; via == nil {
			if len(h.hopNames) == maxKnownHops {
				return ssh.Target{}, errManyOptions
			}
			via = &hop{target: t, works: make(map[*work]int)}
			h.hopNames[string(name)], h.hops[e] = via, via
		}
		via.works[w] = i
	}
	return ssh.Target{}, errMalformed
}

// numberOf returns a number of settings. mu must be held.
func (h *Holder) numberOf(s *ssh.Settings) uint32 {
	n, ok := h.numbers[s]
	if !ok {
		n = uint32(len(h.numbers))
		h.numbers[s] = n
	}
	return n
}

// leaveHops forgets an attempt that is over.
func (h *Holder) leaveHops(w *work) {
	if w.attempt.Target.Jump() == nil {
		return
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, t := range way(w.attempt.Target)[1:] {
		if hop := h.hops[t.Endpoint]; hop != nil {
			delete(hop.works, w)
		}
	}
}

// passed remembers a key with which a jump host was reached.
func (h *Holder) passed(t ssh.Target, key xssh.PublicKey) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if hop := h.hops[t.Endpoint]; hop != nil && !slices.ContainsFunc(hop.keys, func(k xssh.PublicKey) bool {
		return bytes.Equal(k.Marshal(), key.Marshal())
	}) {
		hop.keys = append(hop.keys, key)
	}
}

// encodeHops encodes the keys with which the jump hosts on the way to a target were reached.
func (h *Holder) encodeHops(e *enc, t ssh.Target) {
	h.mu.Lock()
	defer h.mu.Unlock()
	var all enc
	n := 0
	for i, t := range way(t)[1:] {
		if hop := h.hops[t.Endpoint]; hop != nil {
			for _, key := range hop.keys {
				all.uint(uint64(i + 1))
				all.bytes(key.Marshal())
				n++
			}
		}
	}
	e.uint(uint64(n))
	e.b = append(e.b, all.b...)
}
