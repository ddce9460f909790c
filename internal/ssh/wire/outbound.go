package wire

// An outbound builds and encrypts packets.
type outbound struct {
	buf    []byte // encrypted packets
	sealer sealer
	seq    uint32 // of the next packet
	start  int32  // buf[start:] is still to be sent
	// owed is an upper bound of the bytes of buf that answer unsolicited messages.
	owed  int32
	reuse bool // keep the memory of buf once it is sent

	bytes   uint64 // since the last key exchange
	packets uint64

	held *backlog // nil unless a key exchange goes on
}

// A backlog is the messages queued until the end of a key exchange (RFC 4253 §7.1).
type backlog struct {
	messages [][]byte
	size     int // of all, in bytes
}

// wipe overwrites and drops the messages.
func (b *backlog) wipe() {
	if b == nil {
		return
	}
	for _, p := range b.messages {
		clear(p)
	}
	*b = backlog{}
}

// duringKex reports whether a message may be sent between KEXINIT and NEWKEYS
// (RFC 4253 §7.1).
func duringKex(number byte) bool {
	return number >= msgDisconnect && number <= msgDebug || number >= msgKexInit && number < msgUserAuthRequest
}

// add queues a copy of a message.
func (b *backlog) add(payload []byte) error {
	if b.size += len(payload); b.size > maxQueued {
		return fail(KindAbuse, "RFC 4253 §7.1", "a key exchange does not end while answers to the server pile up")
	}
	b.messages = append(b.messages, append([]byte(nil), payload...))
	return nil
}

// owe counts n bytes of an answer and fails beyond maxQueued: a peer that sends requests
// but never reads the answers could fill our memory with them.
func (o *outbound) owe(n int) error {
	if o.owed += int32(n); o.owed > maxQueued {
		return fail(KindAbuse, "", "the other side does not read the answers to what it asks")
	}
	return nil
}

// pending returns the packets that are still to be sent.
func (o *outbound) pending() []byte { return o.buf[o.start:] }

// sent removes n pending bytes. If none are left, the memory is released unless it is
// reused.
func (o *outbound) sent(n int) {
	left := o.pending()[n:]
	if o.start = int32(len(o.buf) - len(left)); len(left) > 0 {
		return
	}
	o.buf, o.start, o.owed = o.buf[:0], 0, 0
	if !o.reuse {
		o.buf = nil
	}
}

// swap returns the pending packets, and goes on in other memory.
func (o *outbound) swap(memory []byte) []byte {
	p := o.pending()
	o.buf, o.start, o.owed = memory[:0], 0, 0
	return p
}

// free has the memory released from now on.
func (o *outbound) free() {
	o.reuse = false
	o.sent(0)
}

// seal appends the packet that carries payload and rest, and returns its sequence number.
func (o *outbound) seal(payload, rest []byte) uint32 {
	if o.start > 0 { // do not keep what was sent
		o.buf, o.start = append(o.buf[:0], o.pending()...), 0
	}
	before := len(o.buf)
	o.buf = o.sealer.seal(o.buf, payload, rest, o.seq)
	o.bytes += uint64(len(o.buf) - before)
	o.packets++
	o.seq++
	return o.seq - 1
}
