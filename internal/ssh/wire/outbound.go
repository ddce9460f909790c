package wire

// An outbound builds and encrypts packets.
type outbound struct {
	buf    []byte // encrypted packets to be sent
	room   []byte // memory for buf; nil means that each buf is allocated anew
	sealer sealer
	seq    uint32 // of the next packet
	// owed is an upper bound of the bytes of buf that answer unsolicited messages.
	owed int

	bytes   uint64 // since the last key exchange
	packets uint64

	// held are messages queued until the end of a key exchange (RFC 4253 §7.1);
	// queued is the sum of their sizes in bytes.
	holding bool
	held    [][]byte
	queued  int
}

// duringKex reports whether a message may be sent between KEXINIT and NEWKEYS
// (RFC 4253 §7.1).
func duringKex(number byte) bool {
	return number >= msgDisconnect && number <= msgDebug || number >= msgKexInit && number < msgUserAuthRequest
}

// hold queues a copy of a message.
func (o *outbound) hold(payload []byte) error {
	if o.queued += len(payload); o.queued > maxQueued {
		return fail(KindAbuse, "RFC 4253 §7.1", "a key exchange does not end while answers to the server pile up")
	}
	o.held = append(o.held, append([]byte(nil), payload...))
	return nil
}

// owe counts n bytes of an answer and fails beyond maxQueued: a server that sends requests
// but never reads the answers could fill our memory with them.
func (o *outbound) owe(n int) error {
	if o.owed += n; o.owed > maxQueued {
		return fail(KindAbuse, "", "the server does not read the answers to what it asks")
	}
	return nil
}

// sent removes n bytes of buf. If none are left, buf becomes room, which is nil for a
// connection that waits for its command.
func (o *outbound) sent(n int) {
	o.buf = o.buf[n:]
	if len(o.buf) == 0 {
		o.buf, o.owed = o.room, 0
	}
}

// free releases room.
func (o *outbound) free() {
	o.room = nil
	if len(o.buf) == 0 {
		o.buf = nil
	}
}

// seal appends the packet that carries payload and returns its sequence number.
func (o *outbound) seal(payload []byte) uint32 {
	before := len(o.buf)
	o.buf = o.sealer.seal(o.buf, payload, o.seq)
	o.bytes += uint64(len(o.buf) - before)
	o.packets++
	o.seq++
	return o.seq - 1
}
