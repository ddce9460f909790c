package xcrypto

import (
	"sync/atomic"
	"time"

	xssh "golang.org/x/crypto/ssh"

	"shoal/fleet"
)

// watch sends a keepalive to a silent server and closes the connection if there is no answer
// (faults.md T10). It ends when over is closed.
func (c *conn) watch(over <-chan struct{}, ch xssh.Channel) {
	tick := time.NewTicker(c.timeouts.Alive)
	defer tick.Stop()
	clock, heard, alive := c.wire.clock, c.wire.received.Load(), c.timeouts.Keepalive()
	var asking atomic.Bool
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
			_ = c.wire.blame(c.attempt().Timeline.Phase(), fleet.ReasonVanished, err)
			_ = c.Close()
			return
		}
		// The answer is detected by its bytes; the library's wait for it ends with the
		// connection. One at a time: a server that answers none and is not silent would have
		// us keep ever more of them.
		if asking.CompareAndSwap(false, true) {
			go func() {
				defer asking.Store(false)
				if c.master != nil { // it keeps the answers to global requests
					_, _ = ch.SendRequest("keepalive@openssh.com", true, nil)
					return
				}
				_, _, _ = c.ssh.SendRequest("keepalive@openssh.com", true, nil)
			}()
		}
	}
}
