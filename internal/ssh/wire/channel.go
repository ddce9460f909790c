package wire

import "slices"

// A Channel is our number of a channel (RFC 4254 §5). After Closed, ChannelRefused or
// ChannelIgnored every method called with the number panics, except Consumed, until a new
// channel gets the number.
type Channel uint32

// A channel is the state of one channel.
type channel struct {
	number  Channel
	used    bool
	opened  bool // CHANNEL_OPEN_CONFIRMATION was received, or sent
	guessed bool // messages were sent before that, to mux.next
	gotEOF  bool
	sentEOF bool
	closing bool // CLOSE was sent, or will be as soon as the channel is open
	blocked bool // see mux.block
	theirs  bool // the peer has opened it

	remote    uint32 // the server's number
	sendLeft  uint32 // bytes left in our send window
	sendUsed  uint32 // bytes sent that no WINDOW_ADJUST has restored yet
	maxData   uint32 // maximum bytes of data in one message of ours
	window    uint32 // the server's send window when it is full
	recvLeft  uint32 // bytes left in the server's send window
	consumed  uint32 // bytes consumed since our last WINDOW_ADJUST
	questions []Request
}

// sends reports whether data may still be sent.
func (ch *channel) sends() bool { return !ch.sentEOF && !ch.closing }

// canSend returns how many bytes the peer accepts now.
func (ch *channel) canSend() uint32 {
	if !ch.opened || !ch.sends() {
		return 0
	}
	return ch.sendLeft
}

// A Request is a kind of channel request that we send (RFC 4254 §5.4).
type Request uint8

// The requests.
const (
	RequestExec Request = iota + 1
	RequestSubsystem
	RequestEnv
	RequestPTY
	RequestAgent
)

var requestNames = [...]string{
	RequestExec: "exec", RequestSubsystem: "subsystem", RequestEnv: "env", RequestPTY: "pty-req", RequestAgent: "auth-agent-req@openssh.com",
}

func (r Request) String() string {
	if int(r) < len(requestNames) && requestNames[r] != "" {
		return requestNames[r]
	}
	return "invalid"
}

// dataHead is the size of CHANNEL_EXTENDED_DATA without its data, and packetRoom an upper bound of
// what its packet adds to the data, in bytes.
const (
	dataHead   = 13
	packetRoom = 128
)

// OpenSession opens a session channel (RFC 4254 §6.1); ChannelOpened, ChannelRefused or
// ChannelIgnored follows. It may be called as soon as Trust was called.
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

func (c *endpoint) open(kind string, extra []byte) Channel {
	if !c.ready {
		panic("wire: a channel before the host key is trusted")
	}
	ch := c.mux.add(c.config.window())
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

// noteEarly records that the next message is a CHANNEL_OPEN sent before authentication
// has succeeded.
func (c *endpoint) noteEarly(ch *channel) {
	e := earlyOpen{channel: ch.number, seq: c.out.seq}
	if c.out.held != nil {
		e.held = len(c.out.held.messages) + 1
	}
	c.mux.early = append(c.mux.early, e)
}

// request sends a channel request that wants an answer.
func (c *endpoint) request(n Channel, kind Request, value string, more ...string) {
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

// Exec runs a command in the login shell (RFC 4254 §6.5). On a channel that was opened while
// there was no other it may be called before ChannelOpened: the request is sent to the number
// that the server will most likely assign. A wrong guess ends the connection before anything
// has run: the number is that of no channel, or of one that has ended and had its command (RFC
// 4254 §6.5: only one). The same holds for Subsystem, Env, PTY, ForwardAgent, Signal and SendEOF.
func (c *Client) Exec(n Channel, command string) { c.request(n, RequestExec, command) }

// Subsystem starts a subsystem (RFC 4254 §6.5).
func (c *Client) Subsystem(n Channel, name string) { c.request(n, RequestSubsystem, name) }

// Env sets an environment variable; call it before Exec (RFC 4254 §6.4). Servers refuse
// most variables.
func (c *Client) Env(n Channel, name, value string) { c.request(n, RequestEnv, name, value) }

// PTY requests a pseudo-terminal of this size in characters; call it before Exec (RFC 4254
// §6.2). modes are encoded as in RFC 4254 §8.
func (c *Client) PTY(n Channel, term string, columns, rows uint32, modes string) {
	ch := c.mux.use(n)
	if ch.closing {
		return
	}
	p := appendBool(appendString(c.mux.to(ch, msgChannelRequest), RequestPTY.String()), true)
	p = appendUint32(appendUint32(appendString(p, term), columns), rows)
	p = appendUint32(appendUint32(p, 0), 0) // the size in pixels
	ch.questions = append(ch.questions, RequestPTY)
	c.send(appendString(p, modes))
}

// ForwardAgent asks for an agent for the programs of the channel's command; call it before Exec
// (OpenSSH's PROTOCOL, draft-ietf-sshm-ssh-agent §5). Once the server has granted it, it may open
// channels to the agent: AgentOpened. Servers grant it once for each connection.
func (c *Client) ForwardAgent(n Channel) {
	ch := c.mux.use(n)
	if ch.closing {
		return
	}
	ch.questions = append(ch.questions, RequestAgent)
	c.send(appendBool(appendString(c.mux.to(ch, msgChannelRequest), RequestAgent.String()), true))
}

// WithdrawAgent refuses all further channels to the agent. Those that are open stay open.
func (c *Client) WithdrawAgent() { c.mux.agent = false }

// Signal sends a signal to the command (RFC 4254 §6.9); name is without "SIG".
// No answer is requested.
func (c *Client) Signal(n Channel, name string) {
	ch := c.mux.use(n)
	if ch.closing {
		return
	}
	p := appendString(c.mux.to(ch, msgChannelRequest), "signal")
	c.send(appendString(appendBool(p, false), name))
}

// Send sends as much of p as possible now and returns the number of bytes sent; Writable
// follows when more can be sent. It is limited by the window (RFC 4254 §5.2) and returns 0
// before ChannelOpened, during a key exchange (RFC 4253 §7.1) and after SendEOF or
// CloseChannel. p is copied into Output: pass it in pieces to bound the memory; see Lend.
func (c *endpoint) Send(n Channel, p []byte) int { return c.sendData(n, p, false) }

func (c *endpoint) sendData(n Channel, p []byte, stderr bool) int {
	ch := c.mux.use(n)
	if !ch.opened || !ch.sends() {
		return 0
	}
	sent := 0
	for c.err == nil && sent < len(p) && ch.sendLeft > 0 {
		if c.needsRekey() {
			c.startKex()
		}
		if c.out.held != nil {
			c.mux.block(ch)
			break
		}
		size := min(len(p)-sent, int(min(ch.sendLeft, ch.maxData)))
		if sent == 0 {
			all := min(len(p), int(ch.sendLeft))
			c.out.buf = slices.Grow(c.out.buf, all+(1+all/size)*(dataHead+packetRoom))
		}
		head := dataHeader(make([]byte, 0, dataHead), ch.remote, stderr)
		head = appendUint32(head, uint32(size))
		c.trace(true, head, size)
		c.out.seal(head, p[sent:sent+size])
		ch.sendLeft -= uint32(size)
		ch.sendUsed += uint32(size)
		sent += size
	}
	return sent
}

// dataHeader appends what precedes the data (RFC 4254 §5.2).
func dataHeader(dst []byte, remote uint32, stderr bool) []byte {
	if stderr {
		return appendUint32(appendUint32(append(dst, msgChannelExtendedData), remote), extendedStderr)
	}
	return appendUint32(append(dst, msgChannelData), remote)
}

// Window returns how many bytes the server accepts now (RFC 4254 §5.2), for a driver that
// reads what it sends. A server may ask for messages of one byte, and each is a packet in Output:
// Window returns no more than turnPackets of them take, which Send sends at once. Send may still
// return less during a key exchange.
func (c *endpoint) Window(n Channel) uint32 {
	ch := c.mux.use(n)
	return uint32(min(uint64(ch.canSend()), turnPackets*uint64(ch.maxData)))
}

// SendEOF ends the channel's input (RFC 4254 §5.3).
func (c *endpoint) SendEOF(n Channel) {
	ch := c.mux.use(n)
	if !ch.sends() {
		return
	}
	p := c.mux.to(ch, msgChannelEOF)
	ch.sentEOF = true
	c.send(p)
}

// CloseChannel closes a channel; before ChannelOpened it takes effect when that arrives.
// Nothing more can be sent on the channel. What the server sends before it receives the CLOSE
// still causes events, but the window is not extended any more. Closed follows when the
// server has closed the channel too (RFC 4254 §5.3).
func (c *endpoint) CloseChannel(n Channel) {
	ch := c.mux.use(n)
	if ch.closing {
		return
	}
	ch.closing = true
	if ch.opened {
		c.send(c.mux.to(ch, msgChannelClose))
	}
}

// Consumed extends the server's window by n bytes of Data that were processed (RFC 4254
// §5.2). It may be called for a channel that has been closed meanwhile.
func (c *endpoint) Consumed(number Channel, n int) {
	ch := c.mux.find(number)
	if ch == nil || ch.closing || !ch.opened || n <= 0 {
		return
	}
	ch.consumed += uint32(min(n, int(ch.window-ch.recvLeft-ch.consumed)))
	if ch.consumed == 0 || ch.consumed < ch.window/2 {
		return
	}
	ch.recvLeft += ch.consumed
	c.send(appendUint32(c.mux.to(ch, msgChannelWindowAdjust), ch.consumed))
	ch.consumed = 0
}
