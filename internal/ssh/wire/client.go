package wire

import (
	"crypto/sha256"
	"errors"
	"slices"
	"time"
	"unique"
)

// A Client is the client side of one SSH connection. It must not be used concurrently.
//
//	bytes from the server → Receive → Next → events → the driver
//	the driver → AuthPublicKey, OpenSession, Exec, … → Output → bytes to the server
type Client struct {
	config *Config
	in     inbound
	out    outbound
	err    error // sticky

	greeting *greeting // nil once the version line was received
	// serverVersion is its identification line: one in memory for all servers that
	// have the same.
	serverVersion unique.Handle[string]

	kex         *exchange // nil between key exchanges
	ready       bool      // our first NEWKEYS was sent: other messages may be sent
	secured     bool      // the server's first NEWKEYS was received
	waiting     bool      // for Trust
	strict      bool
	sessionID   []byte
	hostKey     [sha256.Size]byte // of the key that was trusted
	hostKeyName string            // its algorithm, for later key exchanges
	rekeys      budget
	noise       budget
	age         time.Duration // of the keys, by Pass

	auth *authentication // nil once it has succeeded
	mux  mux
}

// New returns a Client whose first bytes are in Output. It panics where
// config.Validate fails. Many Clients may share config, which must not be changed any more.
func New(config *Config) *Client {
	if err := config.Validate(); err != nil {
		panic("wire: " + err.Error())
	}
	c := &Client{
		config:   config,
		greeting: &greeting{},
		auth:     &authentication{},
		rekeys:   freeRekeys,
		noise:    freeNoise,
	}
	c.in.opener, c.out.sealer = plainOpener{}, plainSealer{}
	if !c.config.StepByStep {
		c.begin()
	}
	return c
}

// begin sends the version line and the first KEXINIT.
func (c *Client) begin() {
	room := flightRoom
	if c.config.earlyKex() && first(c.config.Kex) == kexMLKEM {
		room = hybridFlightRoom
	}
	c.out.reuse = true
	c.out.buf = append(make([]byte, 0, room), c.config.version()...)
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
func (c *Client) Secured() bool { return c.secured }

// ServerVersion returns the server's identification line without its end, "" before
// VersionReceived.
func (c *Client) ServerVersion() string {
	if c.serverVersion == (unique.Handle[string]{}) {
		return ""
	}
	return c.serverVersion.Value()
}

// Output returns the bytes to be sent to the server now. They are valid until the next
// call of a method other than Output or Sent.
func (c *Client) Output() []byte { return c.out.pending() }

// Sent removes the first n bytes of Output, those that were written to the network.
func (c *Client) Sent(n int) { c.out.sent(n) }

// Receive passes bytes from the server to the Client. They are modified in place and used
// until Next returns nil or an error; call Next until then.
func (c *Client) Receive(p []byte) {
	if c.err == nil {
		c.in.receive(p)
	}
}

// Next returns the next event, or nil when more bytes or, after HostKey, a call of Trust are
// needed. Every error is an *Error and is returned again by every later call; Output may
// then hold a last message to the server.
func (c *Client) Next() (Event, error) {
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
func (c *Client) Keep() { c.in.settle() }

// boundWaiting limits what a server may send while the Client waits for Trust.
func (c *Client) boundWaiting() {
	if c.in.total+uint64(c.in.waiting()) > MaxPreAuth {
		c.end(errPreAuth())
	}
}

func errPreAuth() error {
	return fail(KindAbuse, "", "more than %d bytes came before authentication had succeeded", MaxPreAuth)
}

// step processes one line or message if it has arrived completely.
func (c *Client) step() (more bool, ev Event, err error) {
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
	c.trace(false, payload)
	ev, err = c.handle(payload)
	if err == nil && c.needsRekey() {
		c.startKex()
	}
	return true, ev, err
}

// greet processes one line of the greeting.
func (c *Client) greet() (more bool, ev Event, err error) {
	text := c.in.all()
	version, rest, whole, err := c.greeting.line(text)
	if err != nil || !whole {
		return false, nil, err
	}
	c.in.take(len(text) - len(rest))
	if version == "" {
		return true, nil, nil
	}
	c.greeting, c.serverVersion = nil, unique.Make(version)
	c.traceVersion(false, version)
	if c.config.StepByStep {
		c.begin()
	}
	return true, VersionReceived{version}, nil
}

// Greeting returns what was received before the version line, at most MaxGreeting bytes; nil
// once that line was received. It is the whole answer of a server that turns connections
// away or does not speak SSH.
func (c *Client) Greeting() []byte {
	if c.greeting == nil {
		return nil
	}
	g := greeting{kept: slices.Clone(c.greeting.kept)}
	g.keep(c.in.all())
	return g.kept
}

// end records err as the Client's error and sends DISCONNECT as far as keys allow.
func (c *Client) end(err error) {
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
func (c *Client) Shrink() {
	c.in.opener.shrink()
	c.out.sealer.shrink()
}

// Idle reports whether there is no channel: on the next one, Exec may be called at once.
func (c *Client) Idle() bool { return c.mux.opens == 0 }

// Pass tells the Client that d has elapsed since the last call or New. It refills the budgets
// of the server, which without it only shrink, and ages the keys for Config.RekeyAfter.
func (c *Client) Pass(d time.Duration) {
	c.rekeys.give(rekeysPerSecond*d.Seconds(), freeRekeys)
	c.noise.give(noisePerSecond*d.Seconds(), freeNoise)
	c.age += d
}

// useless counts a message that makes no progress.
func (c *Client) useless(number byte) error {
	if !c.noise.take() {
		return fail(KindAbuse, "", "the server floods us: the last one was %s", messageName(number))
	}
	return nil
}
