package wire

// maxKexInit bounds a KEXINIT, in bytes: the payload that every implementation must be able
// to process (RFC 4253 §6.1). Real ones have 500 to 3,000.
const maxKexInit = 32768

// kexInitRoom is an upper bound of our KEXINIT's size with all default algorithms, in bytes.
const kexInitRoom = 768

// kexInitNames is the capacity for names, enough for the KEXINIT of most servers.
const kexInitNames = 56

// A kexInit is SSH_MSG_KEXINIT (RFC 4253 §7.1). Out means client to server, In server to
// client. The languages are sent empty and ignored when received.
type kexInit struct {
	cookie                [16]byte
	kex, hostKeys         []string
	ciphersOut, ciphersIn []string
	macsOut, macsIn       []string
	compOut, compIn       []string
	firstFollows          bool
}

// lists returns the name-lists in the order of the message.
func (k *kexInit) lists() [8]*[]string {
	return [8]*[]string{
		&k.kex, &k.hostKeys,
		&k.ciphersOut, &k.ciphersIn,
		&k.macsOut, &k.macsIn,
		&k.compOut, &k.compIn,
	}
}

// append appends the whole payload, the message number first.
func (k *kexInit) append(dst []byte) []byte {
	dst = append(dst, msgKexInit)
	dst = append(dst, k.cookie[:]...)
	for _, list := range k.lists() {
		dst = appendNames(dst, *list)
	}
	dst = appendNames(dst, nil)
	dst = appendNames(dst, nil)
	dst = appendBool(dst, k.firstFollows)
	return appendUint32(dst, 0)
}

// parseKexInit parses a whole payload from the peer, the message number first. The reserved number may have
// any value, because it is reserved for extensions.
func parseKexInit(payload []byte, peer string) (*kexInit, error) {
	if len(payload) > maxKexInit {
		return nil, fail(KindAbuse, "RFC 4253 §6.1", "the %s's KEXINIT has %d bytes, more than %d", peer, len(payload), maxKexInit)
	}
	var k kexInit
	r, text := read(payload), string(payload) // all names share the memory of text
	number := r.byte()
	copy(k.cookie[:], r.bytes(len(k.cookie)))
	all := make([]string, 0, kexInitNames)
	for _, list := range k.lists() {
		content, ok := r.string(), false
		end := len(text) - len(r.rest)
		*list, all, ok = splitNames(text[end-len(content):end], all)
		r.bad = r.bad || !ok
	}
	r.names() // languages, client to server
	r.names() // languages, server to client
	k.firstFollows = r.bool()
	r.uint32()
	if number != msgKexInit || !r.done() {
		return nil, fail(KindProtocol, "RFC 4253 §7.1", "the %s's KEXINIT cannot be read", peer)
	}
	return &k, nil
}
