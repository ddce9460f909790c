package wire

// Reason codes of CHANNEL_OPEN_FAILURE (RFC 4254 §5.1).
const openProhibited = 1

// extendedStderr is SSH_EXTENDED_DATA_STDERR (RFC 4254 §5.2).
const extendedStderr = 1

// maxSignalName bounds what is kept of a signal's name; RFC 4254 §6.10 knows
// none longer than 4 bytes.
const maxSignalName = 64

// exitSource is where exit-status and exit-signal are described.
const exitSource = "RFC 4254 §6.10"

// smallAdjust is what no server that means it grows a window by beyond giving
// back what was used, in bytes.
const smallAdjust = 64

// Keepalive asks the server for a sign of life, which is Alive
// (keepalive@openssh.com, a global request of RFC 4254 §4 that servers refuse).
func (c *Client) Keepalive() {
	if c.auth != nil {
		panic("wire: a keepalive before authentication has succeeded")
	}
	c.mux.pings++
	p := appendString([]byte{msgGlobalRequest}, "keepalive@openssh.com")
	c.send(appendBool(p, true))
}

// handleConnection takes a message of RFC 4254.
func (c *Client) handleConnection(p []byte) (Event, error) {
	number := p[0]
	if c.auth != nil {
		return nil, unexpected(number, "before authentication had succeeded", "RFC 4252 §6")
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
		return nil, c.refuseChannel(p)
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
		return c.takeRequest(ch, r)
	default:
		return ch.takeAnswer(number, r)
	}
}

// harmlessLate says whether a message may come for a channel that is closed on
// both sides. Nothing may (RFC 4254 §5.3), but servers that answer late exist,
// and OpenSSH's channels.c lets them.
func harmlessLate(number byte) bool {
	return number == msgChannelWindowAdjust || number == msgChannelSuccess || number == msgChannelFailure
}

// refuseRequest answers a global request (RFC 4254 §4): none is known. That
// includes hostkeys-00@openssh.com, which brings keys nobody has proven.
func (c *Client) refuseRequest(p []byte) error {
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

// refuseChannel refuses every channel that the server opens: nothing was
// forwarded, and an agent is never within reach (RFC 4254 §5.1).
func (c *Client) refuseChannel(p []byte) error {
	r := read(p[1:])
	_ = r.string()
	sender := r.uint32()
	_, _ = r.uint32(), r.uint32() // window and maximum packet size
	if r.bad {
		return malformed(msgChannelOpen, "RFC 4254 §5.1")
	}
	out := appendUint32([]byte{msgChannelOpenFailure}, sender)
	out = appendString(appendUint32(out, openProhibited), "not offered")
	return c.answer(msgChannelOpen, appendString(out, ""))
}

// takeOpened is the answer to our CHANNEL_OPEN (RFC 4254 §5.1).
func (c *Client) takeOpened(ch *channel, number byte, r *reader) (Event, error) {
	if ch.opened {
		return nil, unexpected(number, "for a channel that is open", "RFC 4254 §5.1")
	}
	if number == msgChannelOpenFailure {
		code, text := r.uint32(), r.string()
		if r.bad { // the language tag is left out by some
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

// checkGuess holds the server's number of a channel against the one that early
// messages went to.
func (c *Client) checkGuess(ch *channel, remote uint32) error {
	if ch.guessed && remote != guessedNumber {
		return fail(KindWrongGuess, "RFC 4254 §5.1",
			"the early command went to channel %d, the server opened %d", guessedNumber, remote)
	}
	if g := c.mux.guess; g != nil && g != ch && g.guessed && remote == guessedNumber {
		return fail(KindProtocol, "RFC 4254 §5.1",
			"the early command went to channel %d, which is another channel's now", guessedNumber)
	}
	return nil
}

// takeAdjust grows our window (RFC 4254 §5.2).
func (c *Client) takeAdjust(ch *channel, r *reader) (Event, error) {
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

// takeData takes output (RFC 4254 §5.2). What comes after EOF still counts, and
// extended data that is not stderr is dropped, as in OpenSSH.
func (c *Client) takeData(ch *channel, number byte, r *reader) (Event, error) {
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

func (c *Client) takeEOF(ch *channel, r *reader) (Event, error) {
	if !r.done() {
		return nil, malformed(msgChannelEOF, "RFC 4254 §5.3")
	}
	if ch.gotEOF {
		return nil, c.useless(msgChannelEOF)
	}
	ch.gotEOF = true
	return EOF{ch.number}, nil
}

// takeClose closes our end too (RFC 4254 §5.3).
func (c *Client) takeClose(ch *channel, r *reader) (Event, error) {
	if !r.done() {
		return nil, malformed(msgChannelClose, "RFC 4254 §5.3")
	}
	if !ch.closing {
		c.send(c.mux.to(ch, msgChannelClose))
	}
	c.mux.remove(ch.number)
	return Closed{ch.number}, nil
}

// takeAnswer matches an answer with the request (RFC 4254 §5.4): they come in
// the same order.
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

// takeRequest takes a channel request of the server's (RFC 4254 §5.4, §6.10).
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
