package wire

import (
	"sync"
	"sync/atomic"
)

// A Memory lends the memory in which Clients build packets until they are let in: thousands of them
// may wait for their servers. Clients also share the name-lists of their servers, which are the same
// for most. Nothing in it is secret, because packets are encrypted in place as they are built. The
// zero value is ready for use, by any number of goroutines.
type Memory struct {
	flights sync.Pool // of *[]byte, which are empty
	kexInit atomic.Pointer[sharedKexInit]
}

// A sharedKexInit is the KEXINIT that a server has sent, for others that send the same: nobody
// changes it. Its cookie has no meaning.
type sharedKexInit struct {
	rest string // of the payload, behind the cookie
	kexInit
}

// parseKexInit is [parseKexInit] of the payload of a server.
func (m *Memory) parseKexInit(payload []byte, peer string) (*kexInit, error) {
	const head = 1 + len(kexInit{}.cookie)
	if m == nil {
		return parseKexInit(payload, peer)
	}
	if last := m.kexInit.Load(); last != nil && len(payload) > head && payload[0] == msgKexInit && string(payload[head:]) == last.rest {
		return &last.kexInit, nil
	}
	k, err := parseKexInit(payload, peer)
	if err == nil {
		m.kexInit.Store(&sharedKexInit{string(payload[head:]), *k})
	}
	return k, err
}

func (m *Memory) get() *[]byte {
	if b, ok := m.flights.Get().(*[]byte); ok {
		return b
	}
	b := make([]byte, 0, hybridFlightRoom)
	return &b
}

// put takes back what get returned, unless it has grown beyond what others need.
func (m *Memory) put(b *[]byte) {
	if cap(*b) <= 2*hybridFlightRoom {
		*b = (*b)[:0]
		m.flights.Put(b)
	}
}

// borrow takes memory for the output, if there is none and it is to be lent.
func (c *endpoint) borrow() {
	if c.out.buf == nil && c.auth != nil && c.config.Memory != nil && !c.server {
		c.auth.lent = c.config.Memory.get()
		c.out.buf = *c.auth.lent
	}
}

// giveBack gives memory back that was borrowed, once all of it is sent. What is still to be sent
// when authentication is over keeps it.
func (c *endpoint) giveBack(b []byte) {
	if c.auth != nil && c.auth.lent != nil && len(c.out.pending()) == 0 {
		*c.auth.lent = b
		c.config.Memory.put(c.auth.lent)
		c.auth.lent, c.out.buf = nil, nil
	}
}
