package wire

import (
	"crypto/sha256"
	"errors"
	"slices"
	"time"
)

// A Client is one connection, seen from the client. It is for one goroutine.
//
//	bytes from the server → Receive → Next → events → the driver
//	the driver → AuthPublicKey, OpenSession, Exec, … → Output → bytes to the server
type Client struct {
	config *Config
	in     inbound
	out    outbound
	err    error // sticky

	greeting      *greeting // nil once the version line has come
	serverVersion string

	kex         *exchange // nil between key exchanges
	ready       bool      // the first key exchange is over for us: messages may be sent
	secured     bool      // and for the server
	waiting     bool      // for Trust
	strict      bool
	sessionID   []byte
	hostKey     [sha256.Size]byte // of the key that was trusted
	hostKeyName string            // its algorithm, for later key exchanges
	rekeys      budget
	noise       budget

	auth *authentication // nil once it has succeeded
	mux  mux
}

// New gives a Client whose first bytes are in Output. It panics where
// config.Validate fails.
func New(config Config) *Client {
	if err := config.Validate(); err != nil {
		panic("wire: " + err.Error())
	}
	c := &Client{
		config:   config.withDefaults(),
		greeting: &greeting{},
		auth:     &authentication{},
		rekeys:   newBudget(freeRekeys, 1),
		noise:    newBudget(freeNoise, noisePerSecond),
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
	if c.config.EarlyKex && first(c.config.Kex) == kexMLKEM {
		room = hybridFlightRoom
	}
	c.out.room = make([]byte, 0, room)
	c.out.buf = append(c.out.room, c.config.Version...)
	c.out.buf = append(c.out.buf, "\r\n"...)
	c.traceVersion(true, c.config.Version)
	c.startKex()
}

// Rooms for a version line, KEXINIT and an early key, and for each flight after it
// until authentication is over; an ML-KEM key has 1,184 bytes.
const (
	flightRoom       = 1 << 10
	hybridFlightRoom = 2 << 10
)

// Secured reports whether what comes from the server is authenticated: its first
// NEWKEYS has come. Our first has left before, and messages behind it.
func (c *Client) Secured() bool { return c.secured }

// Output is what is to be sent to the server now. It is valid until the next
// call of a method that is not Output or Sent.
func (c *Client) Output() []byte { return c.out.buf }

// Sent takes the first n bytes of Output away, those that the network has taken.
func (c *Client) Sent(n int) { c.out.sent(n) }

// Receive takes bytes from the server. They are altered in place, and used until
// Next has given nil or an error; call it until then.
func (c *Client) Receive(p []byte) {
	if c.err == nil {
		c.in.receive(p)
	}
}

// Next gives what happened, or nil when it needs more bytes or, after HostKey,
// Trust. Every error is an *Error and stays; Output may then hold a last message
// to the server.
func (c *Client) Next() (Event, error) {
	for c.err == nil {
		if c.waiting {
			c.boundWaiting()
			break
		}
		if !c.out.holding {
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

// Keep takes what is left of the bytes given to Receive into memory of the
// Client's, for a driver that uses its buffer again before Next has given nil.
func (c *Client) Keep() { c.in.settle() }

// boundWaiting bounds what a server sends while its key is being judged.
func (c *Client) boundWaiting() {
	if c.in.total+uint64(c.in.waiting()) > MaxPreAuth {
		c.end(errPreAuth())
	}
}

func errPreAuth() error {
	return fail(KindAbuse, "", "more than %d bytes came before authentication had succeeded", MaxPreAuth)
}

// step takes one line or message, if one has arrived.
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

// greet takes one line of the greeting.
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
	c.greeting, c.serverVersion = nil, version
	c.traceVersion(false, version)
	if c.config.StepByStep {
		c.begin()
	}
	return true, VersionReceived{version}, nil
}

// Greeting is what came before the version line, at most MaxGreeting bytes, and
// nil once that has come: the whole answer of a server that turns connections
// away, or is none.
func (c *Client) Greeting() []byte {
	if c.greeting == nil {
		return nil
	}
	g := greeting{kept: slices.Clone(c.greeting.kept)}
	g.keep(c.in.all())
	return g.kept
}

// end makes err the Client's and tells the server, as far as keys allow.
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

// Shrink gives up memory that the next packet will make again, some 1,500 bytes
// at the cost of about a microsecond. It is for connections that are going to
// wait, as for the end of a command, and may be called at any time.
func (c *Client) Shrink() {
	c.in.opener.shrink()
	c.out.sealer.shrink()
}

// Pass tells that d has gone by since the last call or New. Budgets that give
// back with time grow by it; without it they only shrink.
func (c *Client) Pass(d time.Duration) {
	c.rekeys.pass(d)
	c.noise.pass(d)
}

// useless counts a message that moves nothing.
func (c *Client) useless(number byte) error {
	if !c.noise.take() {
		return fail(KindAbuse, "", "the server floods us: the last one was %s", messageName(number))
	}
	return nil
}
