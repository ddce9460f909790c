package xcrypto

import (
	"fmt"
	"time"

	xssh "golang.org/x/crypto/ssh"

	"shoal/fleet"
)

// watch sends a keepalive to a silent server and closes the connection if there is no answer
// (faults.md T10). It ends when over is closed.
func (c *conn) watch(over <-chan struct{}, ch xssh.Channel) {
	tick := time.NewTicker(c.timeouts.Alive)
	defer tick.Stop()
	most := c.timeouts.Silent()
	heard, silent := c.wire.received.Load(), 0
	lost := c.wire.clock.Suspended()
	for {
		select {
		case <-over:
			return
		case <-tick.C:
		}
		if now := c.wire.received.Load(); now != heard {
			heard, silent = now, 0
			continue
		}
		if now := c.wire.clock.Suspended(); now != lost {
			// This process was stopped: repeat the last keepalive.
			lost, silent = now, min(silent, most-1)
		}
		if silent++; silent > most {
			_ = c.wire.blame(c.attempt.Timeline.Phase(), fleet.ReasonVanished, fmt.Errorf(
				"the server gave no sign of life for %v", time.Duration(most+1)*c.timeouts.Alive))
			_ = c.Close()
			return
		}
		// The answer is detected by its bytes; the library's wait for it ends with the
		// connection.
		go func() {
			if c.master != nil { // it keeps the answers to global requests
				_, _ = ch.SendRequest("keepalive@openssh.com", true, nil)
				return
			}
			_, _, _ = c.ssh.SendRequest("keepalive@openssh.com", true, nil)
		}()
	}
}
