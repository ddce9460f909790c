package wire

// An inbound cuts the server's bytes into packets and opens them. Packets that
// lie whole in the driver's memory are opened there; only what reaches over the
// end of it is copied.
//
//	early[from:] | rest
type inbound struct {
	early []byte // ours: what came before rest and was not taken
	from  int
	rest  []byte // the driver's memory, until settle

	opener opener
	size   int    // of the packet at the front; 0 while it is not known
	seq    uint32 // of the next packet (RFC 4253 §6.4)

	bytes   uint64 // since the last key exchange
	packets uint64
	total   uint64 // bytes taken since the connection began, the greeting included
}

// receive adds bytes. They are altered when packets are opened in place.
func (in *inbound) receive(p []byte) {
	in.join(len(in.rest))
	in.rest = p
}

// settle takes what is left into memory of our own, so that the driver may use
// its buffer again. Nothing left means no memory held.
func (in *inbound) settle() {
	in.join(len(in.rest))
	in.rest = nil
	if in.from == len(in.early) {
		in.early, in.from = nil, 0
	}
}

// join moves up to n bytes from rest behind early. The memory grows with what
// has arrived, never with what a length field announces.
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

// front gives n bytes in one piece without taking them, or nil while so many
// have not arrived.
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

// all gives everything that has arrived, in one piece.
func (in *inbound) all() []byte {
	if in.from == len(in.early) {
		return in.rest
	}
	in.join(len(in.rest))
	return in.early[in.from:]
}

// take drops n bytes that front has given. They keep their content until the
// next call.
func (in *inbound) take(n int) {
	in.total += uint64(n)
	if in.from < len(in.early) {
		in.from += n
		return
	}
	in.rest = in.rest[n:]
}

// waiting is how much has arrived and was not taken.
func (in *inbound) waiting() int { return len(in.early) - in.from + len(in.rest) }

// drop forgets all that has not been taken.
func (in *inbound) drop() { in.early, in.from, in.rest = nil, 0, nil }

// packet gives the next packet's payload, or nil while it has not all arrived.
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
		in.size = size
	}
	packet := in.front(in.size)
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
	in.take(in.size)
	in.bytes += uint64(in.size)
	in.packets++
	in.size = 0
	in.seq++
	return payload, nil
}
