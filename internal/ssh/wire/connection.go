package wire

// Reason codes of CHANNEL_OPEN_FAILURE (RFC 4254 §5.1).
const (
	openProhibited = 1
	openShortage   = 4
)

// agentChannel is the kind of channels to our agent (draft-ietf-sshm-ssh-agent §5).
const agentChannel = "auth-agent@openssh.com"

// extendedStderr is SSH_EXTENDED_DATA_STDERR (RFC 4254 §5.2).
const extendedStderr = 1

// maxSignalName bounds what is kept of a signal's name, in bytes; those of RFC 4254 §6.10
// have at most 4.
const maxSignalName = 64

// exitSource is the section that specifies exit-status and exit-signal.
const exitSource = "RFC 4254 §6.10"

// smallAdjust is the size, in bytes, below which a WINDOW_ADJUST that restores no used window
// counts as useless: no sensible server enlarges a window by so little.
const smallAdjust = 64

// Keepalive sends keepalive@openssh.com, a global request (RFC 4254 §4) that servers refuse.
// The answer is reported as Alive.
func (c *endpoint) Keepalive() {
	if c.auth != nil {
		panic("wire: a keepalive before authentication has succeeded")
	}
	c.mux.pings++
	p := appendString([]byte{msgGlobalRequest}, "keepalive@openssh.com")
	c.send(appendBool(p, true))
}

// handleConnection processes a message of the connection protocol (RFC 4254).
func (c *endpoint) handleConnection(p []byte) (Event, error) {
	number := p[0]
	if c.auth != nil {
		return nil, c.role.takeEarly(number)
	}
	switch number {
	case msgGlobalRequest:
		return nil, c.refuseRequest(p)
	case msgRequestSuccess, msgRequestFailure:
		if c.mux.pings == 0 {
			return nil, unexpected(number, "with no request in flight", "RFC 4254 §4")
		}
		c.mux.pings--
		return Alive{}, nil
	case msgChannelOpen:
		return c.role.takeOpen(p)
	}
	r := read(p[1:])
	n := Channel(r.uint32())
	ch := c.mux.find(n)
	if ch == nil && !r.bad && c.mux.past(n) && harmlessLate(number) {
		return nil, c.useless(number)
	}
	if r.bad {
		return nil, malformed(number, "RFC 4254 §5")
	}
	if ch == nil {
		return nil, fail(KindProtocol, "RFC 4254 §5", "%s is for channel %d, which is not open", messageName(number), n)
	}
	switch {
	case number == msgChannelOpenConfirm || number == msgChannelOpenFailure:
		return c.takeOpened(ch, number, r)
	case !ch.opened && ch.theirs: // sent early, to a channel that our driver has not opened yet
		return nil, c.useless(number)
	case !ch.opened:
		return nil, unexpected(number, "before the channel was open", "RFC 4254 §5.1")
	}
	switch number {
	case msgChannelWindowAdjust:
		return c.takeAdjust(ch, r)
	case msgChannelData, msgChannelExtendedData:
		return c.takeData(ch, number, r)
	case msgChannelEOF:
		return c.takeEOF(ch, r)
	case msgChannelClose:
		return c.takeClose(ch, r)
	case msgChannelRequest:
		return c.role.takeRequest(ch, r)
	default:
		ev, err := ch.takeAnswer(number, r)
		if a, ok := ev.(RequestAnswered); ok && a.Request == RequestAgent {
			c.mux.agent = a.OK
		}
		return ev, err
	}
}

// harmlessLate reports whether a message for a channel that is closed on both sides is
// ignored. RFC 4254 §5.3 forbids all, but some servers answer late, and OpenSSH's channels.c
// accepts that.
func harmlessLate(number byte) bool {
	return number == msgChannelWindowAdjust || number == msgChannelSuccess || number == msgChannelFailure
}

// refuseRequest refuses every global request (RFC 4254 §4), including
// hostkeys-00@openssh.com, which announces keys without proof of possession.
func (c *endpoint) refuseRequest(p []byte) error {
	r := read(p[1:])
	_ = r.string()
	wantsReply := r.bool()
	if r.bad {
		return malformed(msgGlobalRequest, "RFC 4254 §4")
	}
	if wantsReply {
		return c.answer(msgGlobalRequest, []byte{msgRequestFailure})
	}
	return c.useless(msgGlobalRequest)
}

// takeEarly refuses messages of the connection protocol before it has begun.
func (c *Client) takeEarly(number byte) error {
	return unexpected(number, "before authentication had succeeded", "RFC 4252 §6")
}

// takeOpen processes a channel that the server opens (RFC 4254 §5.1). It refuses all but those to
// our agent, if that is forwarded.
func (c *Client) takeOpen(p []byte) (Event, error) {
	r := read(p[1:])
	kind := string(r.string())
	sender, window, maxData := r.uint32(), r.uint32(), r.uint32()
	switch {
	case r.bad:
		return nil, malformed(msgChannelOpen, "RFC 4254 §5.1")
	case kind != agentChannel || !c.mux.agent:
		return nil, c.refuseChannel(sender, openProhibited, "not offered")
	case !r.done() || maxData == 0:
		return nil, malformed(msgChannelOpen, "RFC 4254 §5.1")
	case c.mux.theirs == MaxAgentChannels:
		return nil, c.refuseChannel(sender, openShortage, "too many at once")
	case maxData < minAgentData:
		return nil, c.refuseChannel(sender, openShortage, "messages too small")
	}
	if err := c.checkOther(nil, sender); err != nil {
		return nil, err
	}
	ch := c.mux.accept(AgentWindow, sender, window, maxData)
	return AgentOpened{ch.number}, c.answer(msgChannelOpen, c.mux.confirm(ch))
}

func (c *endpoint) refuseChannel(sender, code uint32, text string) error {
	out := appendUint32([]byte{msgChannelOpenFailure}, sender)
	out = appendString(appendUint32(out, code), text)
	return c.answer(msgChannelOpen, appendString(out, ""))
}

// takeOpened processes the answer to our CHANNEL_OPEN (RFC 4254 §5.1).
func (c *endpoint) takeOpened(ch *channel, number byte, r *reader) (Event, error) {
	if ch.opened || ch.theirs {
		return nil, unexpected(number, "for a channel that is open", "RFC 4254 §5.1")
	}
	if number == msgChannelOpenFailure {
		code, text := r.uint32(), r.string()
		if r.bad { // some servers omit the language tag
			return nil, malformed(number, "RFC 4254 §5.1")
		}
		c.mux.answered(ch)
		c.mux.remove(ch.number)
		return ChannelRefused{ch.number, code, clip(text, maxDisconnectText)}, nil
	}
	remote, window, maxData := r.uint32(), r.uint32(), r.uint32()
	if r.bad || maxData == 0 {
		return nil, malformed(number, "RFC 4254 §5.1")
	}
	if err := c.checkGuess(ch, remote); err != nil {
		return nil, err
	}
	ch.opened, ch.remote, ch.sendLeft, ch.maxData = true, remote, window, min(maxData, MaxData)
	c.mux.answered(ch)
	if ch.closing {
		c.send(c.mux.to(ch, msgChannelClose))
	}
	return ChannelOpened{ch.number}, nil
}

// checkGuess compares the server's number of a channel with the one that early messages were
// sent to.
func (c *endpoint) checkGuess(ch *channel, remote uint32) error {
	if ch.guessed && remote != c.mux.next {
		return fail(KindWrongGuess, "RFC 4254 §5.1",
			"the early command went to channel %d, the server opened %d", c.mux.next, remote)
	}
	return c.checkOther(ch, remote)
}

// checkOther refuses a channel, other than that of an early command, with the number that the
// command was sent to.
func (c *endpoint) checkOther(ch *channel, remote uint32) error {
	if g := c.mux.guess; g != nil && g != ch && g.guessed && remote == c.mux.next {
		return fail(KindProtocol, "RFC 4254 §5.1",
			"the early command went to channel %d, which is another channel's now", c.mux.next)
	}
	return nil
}

// takeAdjust processes WINDOW_ADJUST, which enlarges our send window (RFC 4254 §5.2).
func (c *endpoint) takeAdjust(ch *channel, r *reader) (Event, error) {
	n := r.uint32()
	if !r.done() {
		return nil, malformed(msgChannelWindowAdjust, "RFC 4254 §5.2")
	}
	if uint64(ch.sendLeft)+uint64(n) > 1<<32-1 {
		return nil, fail(KindProtocol, "RFC 4254 §5.2", "the window grows beyond 2^32-1 bytes")
	}
	ch.sendLeft += n
	back := min(n, ch.sendUsed)
	ch.sendUsed -= back
	if n-back < smallAdjust && back == 0 { // neither gives back what we used nor opens the window
		if err := c.useless(msgChannelWindowAdjust); err != nil {
			return nil, err
		}
	}
	if !ch.sends() {
		return nil, nil
	}
	return Writable{ch.number}, nil
}

// takeData processes output (RFC 4254 §5.2). As in OpenSSH, data after EOF is accepted, and
// extended data other than stderr is dropped.
func (c *endpoint) takeData(ch *channel, number byte, r *reader) (Event, error) {
	stderr, known := false, true
	if number == msgChannelExtendedData {
		stderr, known = true, r.uint32() == extendedStderr
	}
	data := r.string()
	if !r.done() {
		return nil, malformed(number, "RFC 4254 §5.2")
	}
	switch {
	case len(data) > MaxData:
		return nil, fail(KindProtocol, "RFC 4254 §5.1", "%d bytes of data in one message, %d are allowed", len(data), MaxData)
	case uint32(len(data)) > ch.recvLeft:
		return nil, fail(KindProtocol, "RFC 4254 §5.2", "%d bytes of data came, the window is %d", len(data), ch.recvLeft)
	case len(data) == 0:
		return nil, c.useless(number)
	}
	ch.recvLeft -= uint32(len(data))
	if !known {
		c.Consumed(ch.number, len(data))
		return nil, nil
	}
	return Data{ch.number, stderr, data}, nil
}

func (c *endpoint) takeEOF(ch *channel, r *reader) (Event, error) {
	if !r.done() {
		return nil, malformed(msgChannelEOF, "RFC 4254 §5.3")
	}
	if ch.gotEOF {
		return nil, c.useless(msgChannelEOF)
	}
	ch.gotEOF = true
	return EOF{ch.number}, nil
}

// takeClose processes CHANNEL_CLOSE and closes our side too (RFC 4254 §5.3).
func (c *endpoint) takeClose(ch *channel, r *reader) (Event, error) {
	if !r.done() {
		return nil, malformed(msgChannelClose, "RFC 4254 §5.3")
	}
	if !ch.closing {
		c.send(c.mux.to(ch, msgChannelClose))
	}
	if len(ch.questions) > 0 { // an answer that comes late must not count for another channel
		c.mux.retire(ch.number)
	} else {
		c.mux.remove(ch.number)
	}
	return Closed{ch.number}, nil
}

// takeAnswer matches an answer with the oldest unanswered request: answers arrive in the
// order of the requests (RFC 4254 §5.4).
func (ch *channel) takeAnswer(number byte, r *reader) (Event, error) {
	if !r.done() {
		return nil, malformed(number, "RFC 4254 §5.4")
	}
	if len(ch.questions) == 0 {
		return nil, unexpected(number, "with no request in flight", "RFC 4254 §5.4")
	}
	asked := ch.questions[0]
	if ch.questions = ch.questions[1:]; len(ch.questions) == 0 {
		ch.questions = nil
	}
	return RequestAnswered{ch.number, asked, number == msgChannelSuccess}, nil
}

// takeRequest processes a channel request from the server (RFC 4254 §5.4, §6.10).
func (c *Client) takeRequest(ch *channel, r *reader) (Event, error) {
	kind, wantsReply := r.string(), r.bool()
	if r.bad {
		return nil, malformed(msgChannelRequest, "RFC 4254 §5.4")
	}
	var err error
	if wantsReply && !ch.closing {
		err = c.answer(msgChannelRequest, c.mux.to(ch, msgChannelFailure))
	} else {
		err = c.useless(msgChannelRequest)
	}
	if err != nil {
		return nil, err
	}
	switch string(kind) {
	case "exit-status":
		status := r.uint32()
		if !r.done() {
			return nil, malformed(msgChannelRequest, exitSource)
		}
		return ExitStatus{ch.number, status}, nil
	case "exit-signal":
		name, core, text := r.string(), r.bool(), r.string()
		_ = r.string() // language
		if !r.done() {
			return nil, malformed(msgChannelRequest, exitSource)
		}
		return ExitSignal{ch.number, clip(name, maxSignalName), core, clip(text, maxDisconnectText)}, nil
	}
	return nil, nil
}
