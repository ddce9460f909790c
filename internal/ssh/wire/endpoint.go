package wire

import (
	"crypto/sha256"
	"errors"
	"time"
	"unique"
)

// An endpoint is one side of a connection: what Client and Server share.
type endpoint struct {
	config *Config
	role   role // what is not shared
	in     inbound
	out    outbound
	err    error // sticky

	greeting *greeting // nil once the version line was received
	// peerVersion is the other side's identification line: one in memory for all peers
	// that have the same.
	peerVersion unique.Handle[string]

	kex       *exchange // nil between key exchanges
	ready     bool      // our first NEWKEYS was sent: other messages may be sent
	secured   bool      // the peer's first NEWKEYS was received
	waiting   bool      // for the driver: Trust, or the answer to an AuthRequest
	strict    bool
	server    bool
	early     bool // the server took the method's message together with KEXINIT
	sessionID []byte
	hostKey   [sha256.Size]byte // of the key that was trusted
	// later is what later key exchanges use: one in memory for all connections that have the same.
	later  unique.Handle[methods]
	rekeys budget
	noise  budget
	age    time.Duration // of the keys, by Pass

	auth *authentication // nil once it has succeeded
	mux  mux
}

// methods are those of a first key exchange.
type methods struct{ kex, hostKey string }

// A role is what differs between Client and Server.
type role interface {
	// hostKeyAlgorithms lists those of our first KEXINIT.
	hostKeyAlgorithms() []string
	// negotiated continues a key exchange after both KEXINITs.
	negotiated(first bool) (Event, error)
	// takeKex processes the method's message from the peer: see peersMethod.
	takeKex(p []byte) (Event, error)
	// takeAuth processes a message of authentication, including its service; takeEarly one of
	// the connection protocol that comes before authentication has succeeded.
	takeAuth(p []byte) (Event, error)
	takeEarly(number byte) error
	// takeOpen processes CHANNEL_OPEN, takeRequest CHANNEL_REQUEST.
	takeOpen(p []byte) (Event, error)
	takeRequest(ch *channel, r *reader) (Event, error)
}

// start is the beginning of New and NewServer.
func (c *endpoint) start(config *Config, role role, server bool) {
	if err := config.validate(server); err != nil {
		panic("wire: " + err.Error())
	}
	c.config, c.role, c.server = config, role, server
	c.greeting, c.auth = &greeting{}, &authentication{}
	c.rekeys, c.noise = freeRekeys, freeNoise
	c.in.opener, c.out.sealer = plainOpener{}, plainSealer{}
	if !c.config.StepByStep {
		c.begin()
	}
}

// peer names the other side in the texts of errors.
func (c *endpoint) peer() string {
	if c.server {
		return "client"
	}
	return "server"
}

// peersMethod is the number of the message of the key exchange method that the peer sends.
func (c *endpoint) peersMethod() byte {
	if c.server {
		return msgKexInitMethod
	}
	return msgKexReplyMethod
}

// theirVersion returns the peer's identification line, "" before VersionReceived.
func (c *endpoint) theirVersion() string {
	if c.peerVersion == (unique.Handle[string]{}) {
		return ""
	}
	return c.peerVersion.Value()
}

// begin sends the version line and the first KEXINIT.
func (c *endpoint) begin() {
	room := flightRoom
	if c.config.earlyKex() && first(c.config.Kex) == kexMLKEM {
		room = hybridFlightRoom
	}
	if c.borrow(); c.out.buf == nil {
		c.out.buf, c.out.reuse = make([]byte, 0, room), true
	}
	c.out.buf = append(c.out.buf, c.config.version()...)
	c.out.buf = append(c.out.buf, "\r\n"...)
	c.traceVersion(true, c.config.version())
	c.startKex()
}

// Output buffer sizes: for version line, KEXINIT and early key together, and for each batch
// of messages after that until authentication is over. An ML-KEM key has 1,184 bytes.
const (
	flightRoom       = 1 << 10
	hybridFlightRoom = 2 << 10
)

// Secured reports whether messages from the server are authenticated, that is, its first
// NEWKEYS was received. Our own NEWKEYS, and messages after it, may be sent earlier.
func (c *endpoint) Secured() bool { return c.secured }

// Take returns the bytes that Output would, for the driver to keep, and removes them. memory is
// used for what is sent next; it may be nil.
func (c *endpoint) Take(memory []byte) []byte {
	if c.auth != nil {
		c.auth.lent = nil // the driver keeps it
	}
	return c.out.swap(memory)
}

// Output returns the bytes to be sent to the server now. They are valid until the next
// call of a method other than Output or Sent.
func (c *endpoint) Output() []byte { return c.out.pending() }

// Sent removes the first n bytes of Output, those that were written to the network.
func (c *endpoint) Sent(n int) {
	b := c.out.buf // which may have grown
	c.out.sent(n)
	c.giveBack(b)
}

// Receive passes bytes from the server to the Client. They are modified in place and used
// until Next returns nil or an error; call Next until then.
func (c *endpoint) Receive(p []byte) {
	if c.err == nil {
		c.in.receive(p)
	}
}

// Next returns the next event, or nil when more bytes or, after HostKey, a call of Trust are
// needed. Every error is an *Error and is returned again by every later call; Output may
// then hold a last message to the server.
func (c *endpoint) Next() (Event, error) {
	for c.err == nil {
		if c.waiting {
			c.boundWaiting()
			break
		}
		if c.out.held == nil {
			if n, ok := c.mux.unblock(); ok {
				return Writable{n}, nil
			}
		}
		more, ev, err := c.step()
		if err != nil {
			c.end(err)
		}
		if ev != nil {
			return ev, nil
		}
		if !more {
			break
		}
	}
	c.in.settle()
	return nil, c.err
}

// Keep copies the bytes that are left from Receive into the Client's memory, for a driver
// that reuses its buffer before Next has returned nil.
func (c *endpoint) Keep() { c.in.settle() }

// boundWaiting limits what a server may send while the Client waits for Trust.
func (c *endpoint) boundWaiting() {
	if c.in.total+uint64(c.in.waiting()) > MaxPreAuth {
		c.end(errPreAuth())
	}
}

func errPreAuth() error {
	return fail(KindAbuse, "", "more than %d bytes came before authentication had succeeded", MaxPreAuth)
}

// step processes one line or message if it has arrived completely.
func (c *endpoint) step() (more bool, ev Event, err error) {
	if c.greeting != nil {
		return c.greet()
	}
	payload, err := c.in.packet()
	if err != nil || payload == nil {
		return false, nil, err
	}
	if c.auth != nil && c.in.total > MaxPreAuth {
		return false, nil, errPreAuth()
	}
	c.trace(false, payload, 0)
	ev, err = c.handle(payload)
	if err == nil {
		c.Rekey()
	}
	return true, ev, err
}

// greet processes one line of the greeting.
func (c *endpoint) greet() (more bool, ev Event, err error) {
	text := c.in.all()
	version, rest, whole, err := c.greeting.line(text)
	if err != nil || !whole {
		return false, nil, err
	}
	c.in.take(len(text) - len(rest))
	if version == "" && c.server {
		return false, nil, c.greeting.notSSH(nil, "a client begins with its version line")
	}
	if version == "" {
		return true, nil, nil
	}
	c.greeting, c.peerVersion = nil, unique.Make(version)
	c.traceVersion(false, version)
	if c.config.StepByStep {
		c.begin()
	}
	return true, VersionReceived{version}, nil
}

// end records err as the Client's error and sends DISCONNECT as far as keys allow.
func (c *endpoint) end(err error) {
	if c.err != nil {
		return
	}
	e, ok := errors.AsType[*Error](err)
	if !ok {
		e = &Error{Kind: KindProtocol, Err: err}
	}
	switch e.Kind {
	case KindDisconnect, KindNotSSH:
		c.Wipe()
	case KindHostKey, KindHostKeyChanged:
		c.disconnect(disconnectHostKey)
	case KindNoCommonAlgorithm, KindWrongGuess:
		c.disconnect(disconnectKex)
	case KindIntegrity:
		c.disconnect(disconnectMAC)
	default:
		c.disconnect(disconnectProtocol)
	}
	c.err = e
	c.in.drop()
}

// Shrink releases some 1,500 bytes of memory that the next packet recomputes in about a
// microsecond. It is meant for connections that are going to wait, for example for the end of
// a command, and may be called at any time.
func (c *endpoint) Shrink() {
	c.in.opener.shrink()
	c.out.sealer.shrink()
}

// Lend gives memory for Output, unless some is pending, which is reused until Reclaim: connections
// that send much take turns with it. It must not be called before authentication has succeeded.
func (c *endpoint) Lend(b []byte) {
	if len(c.out.pending()) == 0 {
		c.out.buf, c.out.start, c.out.reuse = b[:0], 0, true
	}
}

// Reclaim returns the memory of Output, or nil while something is pending or if there is none.
func (c *endpoint) Reclaim() []byte {
	if len(c.out.pending()) > 0 {
		return nil
	}
	b := c.out.buf
	c.out.buf, c.out.start, c.out.reuse = nil, 0, false
	return b
}

// Idle reports whether there is no channel, and the number of the next one can be known: on that,
// Exec may be called at once.
func (c *endpoint) Idle() bool { return c.mux.opens == 0 && !c.mux.unsure }

// Pass tells the Client that d has elapsed since the last call or New. It refills the budgets
// of the server, which without it only shrink, and ages the keys for Config.RekeyAfter.
func (c *endpoint) Pass(d time.Duration) {
	c.rekeys.give(rekeysPerSecond*d.Seconds(), freeRekeys)
	c.noise.give(noisePerSecond*d.Seconds(), freeNoise)
	c.age += d
}

// useless counts a message that makes no progress.
func (c *endpoint) useless(number byte) error {
	if !c.noise.take() {
		return fail(KindAbuse, "", "the %s floods us: the last one was %s", c.peer(), messageName(number))
	}
	return nil
}
