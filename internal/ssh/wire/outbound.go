package wire

// An outbound seals messages into packets.
type outbound struct {
	buf    []byte // sealed, to be sent
	room   []byte // memory for buf; nil where each one takes its own
	sealer sealer
	seq    uint32 // of the next packet
	// owed is how much of buf answers what the server sent unasked, at most.
	owed int

	bytes   uint64 // since the last key exchange
	packets uint64

	// held are messages that wait for the end of a key exchange (RFC 4253
	// §7.1); their sizes add up to queued.
	holding bool
	held    [][]byte
	queued  int
}

// duringKex says whether a message may be sent between KEXINIT and NEWKEYS
// (RFC 4253 §7.1).
func duringKex(number byte) bool {
	return number >= msgDisconnect && number <= msgDebug || number >= msgKexInit && number < msgUserAuthRequest
}

// hold keeps a copy of a message for later.
func (o *outbound) hold(payload []byte) error {
	if o.queued += len(payload); o.queued > maxQueued {
		return fail(KindAbuse, "RFC 4253 §7.1", "a key exchange does not end while answers to the server pile up")
	}
	o.held = append(o.held, append([]byte(nil), payload...))
	return nil
}

// owe counts an answer: a server that asks and asks and never reads the answers
// would have us keep them all.
func (o *outbound) owe(n int) error {
	if o.owed += n; o.owed > maxQueued {
		return fail(KindAbuse, "", "the server does not read the answers to what it asks")
	}
	return nil
}

// sent drops n bytes of buf. A connection that waits for its command holds no
// buffer.
func (o *outbound) sent(n int) {
	o.buf = o.buf[n:]
	if len(o.buf) == 0 {
		o.buf, o.owed = o.room, 0
	}
}

// free gives the room up.
func (o *outbound) free() {
	o.room = nil
	if len(o.buf) == 0 {
		o.buf = nil
	}
}

// seal appends the packet that carries payload, and tells its sequence number.
func (o *outbound) seal(payload []byte) uint32 {
	before := len(o.buf)
	o.buf = o.sealer.seal(o.buf, payload, o.seq)
	o.bytes += uint64(len(o.buf) - before)
	o.packets++
	o.seq++
	return o.seq - 1
}
