package wire

// An inbound splits the server's bytes into packets and decrypts them. Packets that are
// complete in the driver's buffer are decrypted there; only what extends beyond its end is
// copied.
//
//	early[from:] | rest
type inbound struct {
	early []byte // our memory: unread bytes received before rest
	from  int
	rest  []byte // the driver's memory, until settle

	opener opener
	size   uint32 // of the first packet; 0 while it is unknown
	seq    uint32 // of the next packet (RFC 4253 §6.4)

	bytes   uint64 // since the last key exchange
	packets uint64
	total   uint64 // bytes consumed since the connection began, including the greeting
}

// receive adds bytes. They are modified when packets are decrypted in place.
func (in *inbound) receive(p []byte) {
	in.join(len(in.rest))
	in.rest = p
}

// settle copies the unread bytes into our own memory, so that the driver may reuse its
// buffer. If none are left, no memory is held.
func (in *inbound) settle() {
	in.join(len(in.rest))
	in.rest = nil
	if in.from == len(in.early) {
		in.early, in.from = nil, 0
	}
}

// join appends up to n bytes of rest to early. The memory grows with the bytes received,
// never with what a length field announces.
func (in *inbound) join(n int) {
	if n = min(n, len(in.rest)); n <= 0 {
		return
	}
	if in.from > 0 {
		in.early = in.early[:copy(in.early, in.early[in.from:])]
		in.from = 0
	}
	in.early = append(in.early, in.rest[:n]...)
	in.rest = in.rest[n:]
}

// front returns the next n bytes in one piece without consuming them, or nil while fewer
// have arrived.
func (in *inbound) front(n int) []byte {
	have := len(in.early) - in.from
	if have == 0 {
		if len(in.rest) < n {
			return nil
		}
		return in.rest[:n:n]
	}
	if have < n {
		in.join(n - have)
	}
	if p := in.early[in.from:]; len(p) >= n {
		return p[:n:n]
	}
	return nil
}

// all returns all unread bytes in one piece.
func (in *inbound) all() []byte {
	if in.from == len(in.early) {
		return in.rest
	}
	in.join(len(in.rest))
	return in.early[in.from:]
}

// take consumes n bytes that front has returned. They keep their content until the
// next call.
func (in *inbound) take(n int) {
	in.total += uint64(n)
	if in.from < len(in.early) {
		in.from += n
		return
	}
	in.rest = in.rest[n:]
}

// waiting returns the number of unread bytes.
func (in *inbound) waiting() int { return len(in.early) - in.from + len(in.rest) }

// drop discards all unread bytes.
func (in *inbound) drop() { in.early, in.from, in.rest = nil, 0, nil }

// packet returns the next packet's payload, or nil while it is incomplete.
func (in *inbound) packet() ([]byte, error) {
	if in.size == 0 {
		head := in.front(in.opener.head())
		if head == nil {
			return nil, nil
		}
		size, err := in.opener.size(head, in.seq)
		if err != nil {
			return nil, err
		}
		in.size = uint32(size) // at most MaxPacket
	}
	packet := in.front(int(in.size))
	if packet == nil {
		return nil, nil
	}
	payload, err := in.opener.open(packet, in.seq)
	if err != nil {
		return nil, err
	}
	if len(payload) == 0 {
		return nil, fail(KindProtocol, "RFC 4253 §6", "a packet without a message came")
	}
	in.take(len(packet))
	in.bytes += uint64(in.size)
	in.packets++
	in.size = 0
	in.seq++
	return payload, nil
}
