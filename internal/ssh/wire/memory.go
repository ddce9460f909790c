package wire

import "sync"

// A Memory lends the memory in which Clients build packets until they are let in: thousands of them
// may wait for their servers. Nothing in it is secret: until a packet is encrypted it stands there
// only if it may be read on the network. The zero value is ready for use, by any number of
// goroutines.
type Memory struct{ flights sync.Pool } // of *[]byte, which are empty

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
