package wire

// Reason codes of SSH_MSG_DISCONNECT (RFC 4253 §11.1).
const (
	disconnectProtocol    = 2
	disconnectKex         = 3
	disconnectMAC         = 5
	disconnectHostKey     = 9
	disconnectApplication = 11
)

// send encrypts a message, or queues it until the key exchange is over.
func (c *endpoint) send(payload []byte) {
	if c.err != nil {
		return
	}
	if c.out.held != nil && !duringKex(payload[0]) {
		if err := c.out.held.add(payload); err != nil {
			c.end(err)
		}
		return
	}
	c.trace(true, payload, 0)
	c.borrow()
	c.out.seal(payload, nil)
}

// answer sends the answer to a message that makes no progress, within the limits.
func (c *endpoint) answer(number byte, payload []byte) error {
	if err := c.useless(number); err != nil {
		return err
	}
	if err := c.out.owe(len(payload)); err != nil {
		return err
	}
	c.send(payload)
	return nil
}

// Disconnect sends SSH_MSG_DISCONNECT (RFC 4253 §11.1, SSH_DISCONNECT_BY_APPLICATION). The
// driver must then send Output and close the connection.
func (c *endpoint) Disconnect() { c.disconnect(disconnectApplication) }

func (c *endpoint) disconnect(code uint32) { c.disconnectFor(code, "") }

func (c *endpoint) disconnectFor(code uint32, text string) {
	c.Wipe()
	if c.greeting != nil || c.err != nil {
		return
	}
	p := appendUint32(message(msgDisconnect), code)
	p = appendString(p, text)
	c.send(appendString(p, ""))
}

// Wipe overwrites the secrets that the Client holds: messages queued during a key exchange,
// which may contain a password, and our ephemeral key. The Client must not be used afterwards.
// Disconnect and every error do the same, so that Wipe is needed only for a connection that
// is abandoned without either.
func (c *endpoint) Wipe() {
	c.out.held.wipe()
	if c.kex != nil && c.kex.key != nil {
		c.kex.key.wipe()
	}
}

// handle processes one message.
func (c *endpoint) handle(p []byte) (Event, error) {
	number := p[0]
	if c.kex != nil && c.kex.theirs != nil && !c.kexAllows(number) {
		return nil, unexpected(number, "during a key exchange", "RFC 4253 §7.1")
	}
	if c.kex != nil && c.kex.ignoreNext && number >= msgKexInitMethod && number < msgUserAuthRequest {
		c.kex.ignoreNext = false // the peer's wrong guess (RFC 4253 §7)
		return nil, nil
	}
	switch number {
	case msgDisconnect:
		return nil, parseDisconnect(p)
	case msgIgnore, msgDebug:
		return nil, c.useless(number)
	case msgUnimplemented:
		return c.takeUnimplemented(p)
	case msgKexInit:
		return c.takeKexInit(p)
	case c.peersMethod():
		return c.role.takeKex(p)
	case msgNewKeys:
		return c.takeNewKeys(p)
	}
	if !c.secured {
		return nil, unexpected(number, "before the first key exchange was over", "RFC 4253 §7")
	}
	switch number {
	case msgExtInfo:
		return nil, c.takeExtInfo(p)
	case msgPing:
		return nil, c.takePing(p)
	}
	if number == msgServiceRequest || number == msgServiceAccept || number >= msgUserAuthRequest && number <= msgUserAuthAnswer {
		return c.role.takeAuth(p)
	}
	if number >= msgGlobalRequest && number <= msgRequestFailure || number >= msgChannelOpen && number <= msgChannelFailure {
		return c.handleConnection(p)
	}
	return nil, c.refuseMessage(number)
}

// kexAllows reports whether the peer may send a message between its KEXINIT and
// its NEWKEYS.
func (c *endpoint) kexAllows(number byte) bool {
	switch number {
	case c.peersMethod(), msgNewKeys, msgDisconnect:
		return true
	case msgIgnore, msgDebug, msgUnimplemented:
		return c.secured || !c.strict
	}
	// RFC 4253 §7.1 forbids these, but AsyncSSH's server sends them while rekeying, and
	// OpenSSH's client accepts them.
	if c.secured && c.auth == nil && number >= msgGlobalRequest && number <= msgChannelFailure {
		return true
	}
	return c.kex.ignoreNext && number >= msgKexInitMethod && number < msgUserAuthRequest
}

// refuseMessage answers an unknown message with UNIMPLEMENTED (RFC 4253 §11.4).
func (c *endpoint) refuseMessage(number byte) error {
	return c.answer(number, appendUint32([]byte{msgUnimplemented}, c.in.seq-1))
}

func unexpected(number byte, when, source string) error {
	return fail(KindProtocol, source, "%s came %s", messageName(number), when)
}

func malformed(number byte, source string) error {
	return fail(KindProtocol, source, "%s cannot be read", messageName(number))
}

func parseDisconnect(p []byte) error {
	r := read(p[1:])
	code, text := r.uint32(), r.string()
	if r.bad { // some servers omit the language tag
		return malformed(msgDisconnect, "RFC 4253 §11.1")
	}
	return &Error{Kind: KindDisconnect, Err: &DisconnectError{Code: code, Text: clip(text, maxDisconnectText)}}
}

// takePing answers ping@openssh.com (OpenSSH's PROTOCOL §1.8).
func (c *endpoint) takePing(p []byte) error {
	r := read(p[1:])
	data := r.string()
	if !r.done() {
		return malformed(msgPing, "OpenSSH's PROTOCOL §1.8")
	}
	return c.answer(msgPing, appendString([]byte{msgPong}, data))
}

// takeExtInfo keeps server-sig-algs (RFC 8308 §3.1) and ignores the other extensions.
func (c *endpoint) takeExtInfo(p []byte) error {
	r := read(p[1:])
	n := r.uint32()
	if n > maxExtensions {
		return fail(KindAbuse, "RFC 8308 §2.3", "EXT_INFO announces %d extensions", n)
	}
	var algorithms []string
	for range n {
		name, value := r.string(), r.string()
		if string(name) == "server-sig-algs" && len(value) <= maxAlgorithmsText {
			algorithms, _, _ = splitNames(string(value), nil)
		}
	}
	if !r.done() {
		return malformed(msgExtInfo, "RFC 8308 §2.3")
	}
	if c.auth != nil && algorithms != nil {
		c.auth.signatureAlgorithms = algorithms
	}
	return c.useless(msgExtInfo)
}

// takeUnimplemented finds the message that the server did not accept. It matters for an early
// CHANNEL_OPEN: that channel does not exist. Before the server's first NEWKEYS anybody could
// forge the message, and the server cannot send it: it opens channels only after NEWKEYS.
func (c *endpoint) takeUnimplemented(p []byte) (Event, error) {
	r := read(p[1:])
	seq := r.uint32()
	if !r.done() {
		return nil, malformed(msgUnimplemented, "RFC 4253 §11.4")
	}
	if !c.secured {
		return nil, c.useless(msgUnimplemented)
	}
	if n, ok := c.mux.early.refused(seq); ok {
		c.mux.remove(n)
		return ChannelIgnored{n}, nil
	}
	return nil, c.useless(msgUnimplemented)
}
