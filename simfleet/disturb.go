package simfleet

import "net"

// A Disturbance is what happens to connections that are open.
type Disturbance uint8

// The disturbances.
const (
	DisturbClose Disturbance = iota // the host closes them
	DisturbReset                    // the host resets them
	DisturbHang                     // the host reads and sends nothing any more
)

// Disturb does something to all open connections of host i. Later ones are as always.
func (f *Fleet) Disturb(i int, d Disturbance) {
	f.mu.Lock()
	var open []*conn
	for c := range f.open {
		if c.host == i {
			open = append(open, c)
		}
	}
	f.mu.Unlock()
	for _, c := range open {
		switch d {
		case DisturbHang:
			c.hung.Store(true)
			continue
		case DisturbReset:
			if tcp, ok := c.raw.(*net.TCPConn); ok {
				_ = tcp.SetLinger(0) // RST
			}
		}
		c.abort()
	}
}

// Write implements net.Conn.
func (c *conn) Write(p []byte) (int, error) {
	if c.hung.Load() {
		return len(p), nil
	}
	return c.transport.Write(p)
}

// hang waits for the end of a connection that is hung.
func (c *conn) hang() {
	if c.hung.Load() {
		<-c.ctx.Done()
	}
}
