// Package wire implements both sides of SSH-2 as state machines without I/O: bytes in, bytes out,
// events out. Client is for connections to real servers, Server for simulated ones. It has no
// goroutines, no clock and no sockets, and imports no other package of this module. The owner of
// the connection, the driver, moves the bytes.
//
// Call [New] first, then move bytes and process events until the command is over:
//
//	c := wire.New(&wire.Config{})
//	for {
//		if n, err := conn.Write(c.Output()); err == nil { // or as much as possible
//			c.Sent(n)
//		}
//		n, err := conn.Read(buf) // with the deadline of the phase
//		c.Receive(buf[:n])
//		for {
//			ev, err := c.Next()
//			if ev == nil { // more bytes are needed, or err ends the connection
//				break
//			}
//			switch ev := ev.(type) {
//			case wire.HostKey: // verify the key here
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
//			case wire.Closed: // the channel's last event
//			}
//		}
//	}
//
// # Round trips
//
// No request has to wait for an answer. The version line and KEXINIT are in Output from the
// beginning; with [Config.EarlyKex] also the first message of the key exchange. After Trust,
// the first authentication request, OpenSession, Exec and SendEOF may be called one after
// the other: they are sent together, and events report their results. A server that rejects
// the authentication has not run the command; [AuthFailure] and [ChannelIgnored] report that.
//
// # Guarantees
//
//   - Nothing that depends on the keys is sent before Trust, and a HostKey event means that
//     the key has signed this key exchange. Later exchanges must use the same key.
//   - Data is returned as the server sent it, complete and in order, or there is an error.
//     Packets are authenticated before their content is used.
//   - Whatever a server sends, no method panics, loops or keeps more than the limits allow.
//     Methods panic only if the driver violates their documentation, for example with two
//     authentication requests at a time or with the number of a closed channel.
//   - A connection ends with the first error of Next, an [*Error], which later calls repeat.
//     After it nothing is accepted or sent, except for the message that informs the server.
//   - Rekeying by either side is invisible to the driver: messages that may not be sent
//     meanwhile are queued.
//
// # Not included
//
// The package does not verify host keys against known_hosts, choose credentials, resend, time
// out or close. It never compresses, never forwards X11, refuses every global request of a server
// and every channel but those to an agent that the driver forwards, ignores announced host keys (hostkeys-00@openssh.com), and
// never accepts SHA-1, DSA, CBC or finite-field Diffie-Hellman. See ErrNeedsStrict for when
// chacha20-poly1305 and the encrypt-then-MAC algorithms are refused. There are no terminals,
// no shell requests, and no environment beyond Env.
//
// # Limits
//
// limits.go lists them; a Server has the same. A packet has at most [MaxPacket] bytes, and memory grows with the
// bytes received, never with an announced length. [MaxPreAuth] bounds everything received
// before authentication has succeeded. Key exchanges and messages that make no progress have
// budgets that refill with time: a driver with a clock calls [Client.Pass]. Until Consumed is
// called, a server can send one window ([Config.Window]) of output on each channel.
//
// # Memory
//
// The bytes passed to Receive are modified in place, and copied only if a packet extends
// beyond their end. Events share that memory until the next call of Next. A connection that
// waits for a command holds 1 to 1.4 KiB after [Client.Shrink] (BenchmarkWaitingClient),
// 2.5 KiB without it, 3.5 with aes-ctr: no buffers, no lists of algorithms, and from the
// handshake only the session identifier and the host key's hash.
//
// # Files
//
//	RFC 4251 §5   types.go: the data types
//	RFC 4253 §4.2 version.go: greeting and version line
//	         §6   inbound.go, outbound.go: bytes and packets; cipher*.go: encryption and MACs
//	         §7   kexinit.go, negotiate.go: negotiation; exchange.go: sequence of a key exchange
//	         §8   kex*.go, derive.go: secrets and keys; hostkey.go: host key and signature
//	         §11  transport.go: dispatch of messages; DISCONNECT, IGNORE, EXT_INFO, PING
//	RFC 4252      auth.go; interactive.go: RFC 4256
//	RFC 4254      channel.go: sending; connection.go: receiving; mux.go: the set of channels
//	the server    server.go: key exchange; server_auth.go; server_channel.go
//
// endpoint.go holds the state and the loop of either side, client.go the client's face, event.go
// the events, error.go the errors, limits.go the limits and trace.go what [Config.Trace] is called
// with. testdata/messages.txt lists the effect of every message in every phase.
package wire
