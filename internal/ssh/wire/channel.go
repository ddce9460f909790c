package wire

import "slices"

// A Channel is our number of a channel (RFC 4254 §5). Numbers are used again
// after Closed, ChannelRefused and ChannelIgnored, from when on methods panic that
// are called with them, but for Consumed.
type Channel uint32

// A channel is the state of one.
type channel struct {
	number  Channel
	used    bool
	opened  bool // CHANNEL_OPEN_CONFIRMATION has come
	guessed bool // messages have left before that
	gotEOF  bool
	sentEOF bool
	closing bool // CLOSE has left, or will when the channel is open
	blocked bool // see mux.block

	remote    uint32 // the server's number
	sendLeft  uint32 // window for us
	sendUsed  uint32 // of it, as far as the server has not given it back
	maxData   uint32 // of one message of ours
	recvLeft  uint32 // window for the server
	consumed  uint32 // since the last WINDOW_ADJUST
	questions []Request
}

// sends says whether data may still go.
func (ch *channel) sends() bool { return !ch.sentEOF && !ch.closing }

// A Request is a channel request of ours (RFC 4254 §5.4).
type Request uint8

// The requests.
const (
	RequestExec Request = iota + 1
	RequestSubsystem
	RequestEnv
)

var requestNames = [...]string{RequestExec: "exec", RequestSubsystem: "subsystem", RequestEnv: "env"}

func (r Request) String() string {
	if int(r) < len(requestNames) && requestNames[r] != "" {
		return requestNames[r]
	}
	return "invalid"
}

// guessedNumber is the number that every known server gives to the first channel
// of a connection.
const guessedNumber = 0

// dataHead is what CHANNEL_DATA has before its data, and packetRoom what its
// packet has at most beyond its data, in bytes.
const (
	dataHead   = 9
	packetRoom = 128
)

// OpenSession opens a session channel (RFC 4254 §6.1): ChannelOpened,
// ChannelRefused or ChannelIgnored answers. It may be called from Trust on.
func (c *Client) OpenSession() Channel {
	return c.open("session", nil)
}

// OpenDirect opens a channel to host and port as seen from the server
// (direct-tcpip, RFC 4254 §7.2).
func (c *Client) OpenDirect(host string, port uint16) Channel {
	p := appendUint32(appendString(nil, host), uint32(port))
	p = appendString(p, "127.0.0.1") // the originator, which nobody checks
	return c.open("direct-tcpip", appendUint32(p, 0))
}

func (c *Client) open(kind string, extra []byte) Channel {
	if !c.ready {
		panic("wire: a channel before the host key is trusted")
	}
	ch := c.mux.add(c.config.Window)
	p := appendString(message(msgChannelOpen), kind)
	p = appendUint32(p, uint32(ch.number))
	p = appendUint32(p, ch.recvLeft)
	p = appendUint32(p, MaxData)
	if c.auth != nil {
		c.noteEarly(ch)
	}
	c.send(append(p, extra...))
	return ch.number
}

// noteEarly notes the CHANNEL_OPEN that is sent next.
func (c *Client) noteEarly(ch *channel) {
	e := earlyOpen{channel: ch.number, seq: c.out.seq}
	if c.out.holding {
		e.held = len(c.out.held) + 1
	}
	c.mux.early = append(c.mux.early, e)
}

// request sends a channel request that wants an answer.
func (c *Client) request(n Channel, kind Request, value string, more ...string) {
	ch := c.mux.use(n)
	if ch.closing {
		return
	}
	p := appendString(c.mux.to(ch, msgChannelRequest), kind.String())
	p = appendString(appendBool(p, true), value)
	for _, s := range more {
		p = appendString(p, s)
	}
	ch.questions = append(ch.questions, kind)
	c.send(p)
}

// Exec runs a command in the login shell (RFC 4254 §6.5). On the connection's
// first channel it may be called before ChannelOpened, and goes to the number
// that the channel will most likely have; a wrong guess ends the connection, and
// nothing ran. That holds for Subsystem, Env, Signal and SendEOF too.
func (c *Client) Exec(n Channel, command string) { c.request(n, RequestExec, command) }

// Subsystem starts a subsystem (RFC 4254 §6.5).
func (c *Client) Subsystem(n Channel, name string) { c.request(n, RequestSubsystem, name) }

// Env sets an environment variable before Exec (RFC 4254 §6.4). Servers refuse
// most.
func (c *Client) Env(n Channel, name, value string) { c.request(n, RequestEnv, name, value) }

// Signal sends a signal to the command (RFC 4254 §6.9); name is without "SIG".
// There is no answer.
func (c *Client) Signal(n Channel, name string) {
	ch := c.mux.use(n)
	if ch.closing {
		return
	}
	p := appendString(c.mux.to(ch, msgChannelRequest), "signal")
	c.send(appendString(appendBool(p, false), name))
}

// Send sends as much of p as goes now, and tells how much; Writable says when
// more will go. The window bounds it (RFC 4254 §5.2), nothing goes before
// ChannelOpened or during a key exchange (RFC 4253 §7.1), and nothing any more
// after SendEOF or CloseChannel. p is copied into Output: give a piece at a time.
func (c *Client) Send(n Channel, p []byte) int {
	ch := c.mux.use(n)
	if !ch.opened || !ch.sends() {
		return 0
	}
	var message []byte
	sent := 0
	for c.err == nil && sent < len(p) && ch.sendLeft > 0 {
		if c.needsRekey() {
			c.startKex()
		}
		if c.out.holding {
			c.mux.block(ch)
			break
		}
		size := min(len(p)-sent, int(min(ch.sendLeft, ch.maxData)))
		if message == nil {
			message = make([]byte, 0, dataHead+size)
			c.out.buf = slices.Grow(c.out.buf, min(len(p), int(ch.sendLeft))+2*packetRoom)
		}
		message = appendUint32(append(message[:0], msgChannelData), ch.remote)
		message = appendString(message, p[sent:sent+size])
		c.send(message)
		ch.sendLeft -= uint32(size)
		ch.sendUsed += uint32(size)
		sent += size
	}
	return sent
}

// SendEOF says that no more input comes (RFC 4254 §5.3).
func (c *Client) SendEOF(n Channel) {
	ch := c.mux.use(n)
	if !ch.sends() {
		return
	}
	p := c.mux.to(ch, msgChannelEOF)
	ch.sentEOF = true
	c.send(p)
}

// CloseChannel closes a channel, before ChannelOpened as soon as that comes.
// Nothing more can be sent on it. What the server sent before it heard of it
// still gives events, but the window does not open again; Closed follows when the
// server has closed the channel too (RFC 4254 §5.3).
func (c *Client) CloseChannel(n Channel) {
	ch := c.mux.use(n)
	if ch.closing {
		return
	}
	ch.closing = true
	if ch.opened {
		c.send(c.mux.to(ch, msgChannelClose))
	}
}

// Consumed says that n bytes of Data were dealt with, so that the server may
// send as many more (RFC 4254 §5.2). It may be called for a channel that has
// closed meanwhile.
func (c *Client) Consumed(number Channel, n int) {
	ch := c.mux.find(number)
	if ch == nil || ch.closing || !ch.opened || n <= 0 {
		return
	}
	ch.consumed += uint32(min(n, int(c.config.Window-ch.recvLeft-ch.consumed)))
	if ch.consumed == 0 || ch.consumed < c.config.Window/2 {
		return
	}
	ch.recvLeft += ch.consumed
	c.send(appendUint32(c.mux.to(ch, msgChannelWindowAdjust), ch.consumed))
	ch.consumed = 0
}
