package xcrypto

import (
	"time"

	"shoal/fleet"
)

// watch sends a keepalive to a silent server and closes the connection if there is no answer
// (faults.md T10). It ends when over is closed.
func (c *conn) watch(over <-chan struct{}) {
	tick := time.NewTicker(c.timeouts.Alive)
	defer tick.Stop()
	clock, heard, alive := c.wire.clock, c.wire.received.Load(), c.timeouts.Keepalive()
	for {
		select {
		case <-over:
			return
		case <-tick.C:
		}
		if now := c.wire.received.Load(); now != heard {
			heard = now
			alive.Heard(clock.Now())
			continue
		}
		if err := alive.Silent(clock.Now(), clock.Suspended()); err != nil {
			_ = c.wire.blame(c.attempt.Timeline.Phase(), fleet.ReasonVanished, err)
			_ = c.Close()
			return
		}
		// The answer is detected by its bytes; the library's wait for it ends with the
		// connection.
		go func() { _, _, _ = c.ssh.SendRequest("keepalive@openssh.com", true, nil) }()
	}
}
