package simfleet

import (
	"encoding/binary"
	"net"
	"strings"
	"sync"

	"shoal/fleet"
)

// The faults of bytes: what comes in place of SSH, and what becomes of SSH on its way. Where they
// strike follows from the fleet's seed and the host.
const (
	FaultVersion1        Fault = "version-1"        // T07
	FaultTLS             Fault = "tls"              // T07
	FaultMail            Fault = "mail-server"      // T07
	FaultVersion199      Fault = "version-1.99"     // T07
	FaultNotice          Fault = "notice"           // T06
	FaultStallVersion    Fault = "stall-version"    // T04
	FaultHugePacket      Fault = "huge-packet"      // K01
	FaultPadding         Fault = "bad-padding"      // K01
	FaultIgnoreFlood     Fault = "ignore-flood"     // K09
	FaultNastyDisconnect Fault = "nasty-disconnect" // A11
	FaultZeroPoint       Fault = "zero-point"       // K03
	FaultEarlySuccess    Fault = "early-success"    // A07

	FaultCut     Fault = "cut"      // K02
	FaultCutHard Fault = "cut-hard" // K02
	FaultFlip    Fault = "flip"     // K02
	FaultFreeze  Fault = "freeze"   // T10
	FaultDribble Fault = "dribble"  // S09
)

var byteFaults = map[Fault]behaviour{
	FaultVersion1: {
		doc: "speaks SSH 1.5", raw: func(c *conn) { c.speak("SSH-1.5-OldServer\r\n") },
		expect: neverStarted(fleet.ReasonProtocolError),
	},
	FaultTLS: {
		doc: "answers with a TLS alert", raw: func(c *conn) { c.speak("\x15\x03\x01\x00\x02\x02\x28") },
		expect: neverStarted(fleet.ReasonProtocolError, fleet.ReasonConnClosed),
	},
	FaultMail: {
		doc: "is a mail server", raw: func(c *conn) { c.speak("220 mail.example ESMTP ready\r\n500 5.5.1 What?\r\n") },
		expect: neverStarted(fleet.ReasonProtocolError, fleet.ReasonConnClosed),
	},
	FaultVersion199: {
		doc:       "says that it speaks SSH 1 too",
		configure: func(_ *conn, s *setup) { s.config.Version = "SSH-1.99-Go simfleet" },
	},
	FaultNotice: {
		doc: "prints a notice of ten lines before its version line",
		configure: func(c *conn, _ *setup) {
			c.say(strings.Repeat("Unauthorised use is \x1b[1mprohibited\x1b[0m.\r\n", 10))
		},
	},
	FaultStallVersion: {
		doc: "goes silent after its version line", raw: func(c *conn) {
			if c.say(serverVersion + "\r\n") {
				c.drain()
			}
		},
		expect: neverStarted(fleet.ReasonKexTimeout),
	},
	FaultHugePacket: {
		doc: "announces a packet of 4 GiB", raw: func(c *conn) { c.speak(serverVersion + "\r\n\xff\xff\xff\xff\x04") },
		expect: neverStarted(fleet.ReasonProtocolError),
	},
	FaultPadding: {
		doc: "sends a packet that is nothing but padding", raw: func(c *conn) {
			c.speak(serverVersion + "\r\n\x00\x00\x00\x0c\xff" + strings.Repeat("\x00", 11))
		},
		expect: neverStarted(fleet.ReasonProtocolError),
	},
	FaultIgnoreFlood: {
		doc: "sends messages to ignore without end after its KEXINIT", raw: ignoreFlood,
		expect: neverStarted(fleet.ReasonProtocolAbuse),
	},
	FaultNastyDisconnect: {
		doc: "disconnects after its version line, with terminal escapes", raw: nastyDisconnect,
		expect: neverStarted(fleet.ReasonDisconnected),
	},
	FaultZeroPoint: {
		doc: "answers the key exchange with zeros", raw: zeroPoint,
		expect: neverStarted(fleet.ReasonProtocolError),
	},
	FaultEarlySuccess: {
		doc: "says in plain text that the login is done", raw: func(c *conn) {
			const success = 52 // SSH_MSG_USERAUTH_SUCCESS (RFC 4252 §5.1)
			if c.sayKexinit(nil) {
				c.speak(string(plainPacket([]byte{success})))
			}
		},
		expect: neverStarted(fleet.ReasonProtocolError),
	},

	FaultCut: {
		doc:       "closes at some byte of what it sends",
		configure: onWire(func(c *conn) { _ = c.CloseWrite() }),
		expect:    maybeRan(fleet.ReasonConnClosed, fleet.ReasonConnReset),
	},
	FaultCutHard: {
		doc: "resets the connection at some byte of what it sends",
		configure: onWire(func(c *conn) {
			if tcp, ok := c.raw.(*net.TCPConn); ok {
				_ = tcp.SetLinger(0)
			}
			c.cancel()
			c.transport.abort()
		}),
		expect: maybeRan(fleet.ReasonConnClosed, fleet.ReasonConnReset),
	},
	FaultFreeze: {
		doc:       "sends nothing any more from some byte on",
		configure: onWire(func(c *conn) { c.hung.Store(true) }),
		expect: maybeRan(fleet.ReasonBannerTimeout, fleet.ReasonKexTimeout, fleet.ReasonAuthTimeout, fleet.ReasonSessionTimeout,
			fleet.ReasonExecTimeout, fleet.ReasonTimeout, fleet.ReasonVanished),
	},
	FaultFlip: {
		doc:       "sends one bit the wrong way round",
		configure: onWire(nil),
		// What a flipped bit means depends on where it is: a length that grows waits for more.
		expect: maybeRan(),
	},
	FaultDribble: {
		doc: "sends one byte at a time",
		configure: func(c *conn, _ *setup) {
			c.transport = &wireFault{transport: c.transport, piece: 1}
		},
	},
}

// speak sends a text and ends what the host sends.
func (c *conn) speak(text string) {
	if c.say(text) {
		c.hangUp()
	}
}

// farthest is about where the last byte of a connection with a short command is.
const farthest = 2700

// onWire has something happen at a byte of what the host sends; nil flips a bit of it.
func onWire(then func(*conn)) func(*conn, *setup) {
	return func(c *conn, _ *setup) {
		dice := c.fleet.keys.dice("wire fault " + address(c.host).String())
		w := &wireFault{transport: c.transport, at: dice.IntN(farthest), bit: 1 << dice.IntN(8)}
		if then != nil {
			w.then = func() { then(c) }
		}
		c.transport = w
	}
}

// A wireFault is a transport that does harm to what is written.
type wireFault struct {
	transport
	piece int    // bytes to write at once; 0 means all
	at    int    // the byte before which it happens, unless piece is set
	bit   byte   // that is flipped if then is nil
	then  func() // once

	mu   sync.Mutex // SSH writes from several goroutines, one at a time
	sent int
	done bool
}

func (w *wireFault) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.piece > 0 {
		return w.inPieces(p)
	}
	begin := w.sent
	w.sent += len(p)
	if w.done || w.sent <= w.at {
		return w.transport.Write(p)
	}
	w.done = true
	if w.then == nil {
		p = append([]byte(nil), p...)
		p[w.at-begin] ^= w.bit
		return w.transport.Write(p)
	}
	_, err := w.transport.Write(p[:w.at-begin])
	w.then()
	return len(p), err // the host does not notice
}

func (w *wireFault) inPieces(p []byte) (n int, err error) {
	for len(p) > 0 && err == nil {
		var m int
		m, err = w.transport.Write(p[:min(w.piece, len(p))])
		n, p = n+m, p[m:]
	}
	return n, err
}

func ignoreFlood(c *conn) {
	const ignore = 2 // SSH_MSG_IGNORE (RFC 4253 §11.2)
	payload := binary.BigEndian.AppendUint32([]byte{ignore}, 1024)
	packets := strings.Repeat(string(plainPacket(append(payload, make([]byte, 1024)...))), 16)
	if c.sayKexinit(nil) {
		for c.link(len(packets)) && c.say(packets) {
		}
	}
}

func nastyDisconnect(c *conn) {
	const disconnect, byApplication = 1, 11 // RFC 4253 §11.1
	payload := binary.BigEndian.AppendUint32([]byte{disconnect}, byApplication)
	for _, text := range []string{strings.Repeat(nasty, 20), ""} {
		payload = binary.BigEndian.AppendUint32(payload, uint32(len(text)))
		payload = append(payload, text...)
	}
	c.speak(serverVersion + "\r\n" + string(plainPacket(payload)))
}

// zeroPoint sends its reply unasked: it is behind the KEXINIT in any case.
func zeroPoint(c *conn) {
	const reply = 31 // SSH_MSG_KEX_ECDH_REPLY (RFC 5656 §4)
	payload := []byte{reply}
	for _, part := range [][]byte{c.fleet.HostKey(c.host).Marshal(), make([]byte, 32), make([]byte, 83)} {
		payload = binary.BigEndian.AppendUint32(payload, uint32(len(part)))
		payload = append(payload, part...)
	}
	if c.sayKexinit(nil) {
		c.speak(string(plainPacket(payload)))
	}
}
