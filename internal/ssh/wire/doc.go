// Package wire is an SSH-2 client as a state machine without I/O: bytes in,
// bytes out, events out. It has no goroutines, no clock and no sockets, and
// imports no other package of ours. Whoever owns the connection drives it.
//
// Call [New] first, then move bytes and take events until the command is over:
//
//	c := wire.New(wire.Config{})
//	for {
//		if n, err := conn.Write(c.Output()); err == nil { // or as much as goes
//			c.Sent(n)
//		}
//		n, err := conn.Read(buf) // with the deadline of the phase
//		c.Receive(buf[:n])
//		for {
//			ev, err := c.Next()
//			if ev == nil { // more bytes are needed, or err is the end
//				break
//			}
//			switch ev := ev.(type) {
//			case wire.HostKey: // the one moment to look at the key
//				c.Trust()
//				c.AuthPublicKey(user, algorithm, key, sign(c.SignatureData(user, algorithm, key)))
//			case wire.AuthSuccess:
//				c.OpenSession()
//			case wire.ChannelOpened:
//				c.Exec(ev.Channel, "uptime")
//				c.SendEOF(ev.Channel)
//			case wire.Data:
//				_, _ = os.Stdout.Write(ev.Bytes)
//				c.Consumed(ev.Channel, len(ev.Bytes))
//			case wire.ExitStatus: // how the command ended
//			case wire.Closed: // no more of it comes
//			}
//		}
//	}
//
// # Round trips
//
// Nothing has to wait for an answer. The version line and KEXINIT are in Output
// from the beginning, with [Config.EarlyKex] the first message of the key exchange
// too. From Trust on, the first request of authentication, OpenSession, Exec and
// SendEOF may be called one after the other: they leave together, and the events
// tell what became of them. A server that does not let us in has not run the
// command: [ChannelIgnored] and [AuthFailure] are its word on that.
//
// # What is promised
//
//   - Nothing that depends on the keys leaves before Trust, and a HostKey event
//     means that the key has signed this key exchange. Later exchanges have to
//     bring the same key.
//   - Data comes out as the server sent it, whole and in order, or there is an
//     error. Packets are authenticated before anything of them is believed.
//   - Whatever a server sends, no method panics, loops or keeps more than the
//     limits allow. Methods panic only where the driver breaks what their
//     documentation says, such as two authentication requests at a time, or a
//     method with the number of a channel that is closed.
//   - A connection has one end: the first error of Next, an [*Error], which stays.
//     From then on nothing is taken or sent, but for the message that tells the
//     server.
//   - Key exchanges during a connection, from either side, change nothing for the
//     driver: what may not be sent meanwhile waits.
//
// # What it will not do
//
// It does not judge host keys, choose what to authenticate with, resend, time out
// or close. It never compresses, never forwards an agent or X11, refuses every
// channel and global request of a server, believes no announced host keys
// (hostkeys-00@openssh.com), and never takes SHA-1, DSA, CBC or finite-field
// Diffie-Hellman. ErrNeedsStrict says why chacha20-poly1305 and the MACs
// of the encrypted packet may be refused. Terminals, shells and environment beyond
// Env are left out.
//
// # Limits
//
// limits.go lists them. A packet has at most [MaxPacket] bytes, and memory grows
// with what has arrived, never with what was announced. [MaxPreAuth] bounds all
// that comes before authentication has succeeded. Key exchanges, and messages that
// move nothing, have budgets, to which time gives back: a driver with a clock
// calls [Client.Pass]. A server can have a window ([Config.Window]) of output
// underway on each channel, as long as nobody calls Consumed.
//
// # Memory
//
// Receive's bytes are used in place, altered, and copied only where a packet
// reaches over their end. Events share that memory until the next call of Next. A
// connection that waits for a command holds 1 to 1.4 KiB after [Client.Shrink]
// (BenchmarkWaitingClient), 2.5 KiB without it, 3.5 with aes-ctr: no buffers, no lists of algorithms,
// nothing of the handshake but the session identifier and the key's hash.
//
// # Where to find what
//
//	RFC 4251 §5   types.go: the data types
//	RFC 4253 §4.2 version.go: greeting and version line
//	         §6   inbound.go, outbound.go: bytes and packets; cipher*.go: what protects them
//	         §7   kexinit.go, negotiate.go: what is agreed on; exchange.go: the order of things
//	         §8   kex*.go, derive.go: secrets and keys; hostkey.go: whose they are
//	         §11  transport.go: which message goes where; DISCONNECT, IGNORE, EXT_INFO, PING
//	RFC 4252      auth.go; interactive.go: RFC 4256
//	RFC 4254      channel.go: what we send; connection.go: what comes; mux.go: all channels
//
// client.go holds the state and the loop, event.go what comes out, error.go how
// it ends, limits.go the limits and trace.go what [Config.Trace] sees.
// testdata/messages.txt tells what every message comes to in every phase.
package wire
