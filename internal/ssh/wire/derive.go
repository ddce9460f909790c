package wire

import "hash"

// beginExchangeHash hashes what is known after both KEXINITs (RFC 4253 §8, RFC 5656 §4): the
// version lines without CR and LF, and the KEXINITs as whole payloads. They need not be kept
// for endExchangeHash.
func beginExchangeHash(newHash func() hash.Hash, clientVersion, serverVersion string, clientInit, serverInit []byte) hash.Hash {
	h := newHash()
	b := make([]byte, 0, 4+len(clientVersion)+4+len(serverVersion))
	h.Write(appendString(appendString(b, clientVersion), serverVersion))
	hashString(h, b, clientInit)
	hashString(h, b, serverInit)
	return h
}

// endExchangeHash returns the exchange hash H. hostKey is the key's blob, secret the result
// of keyAgreement.agree.
func endExchangeHash(h hash.Hash, hostKey, clientPublic, serverPublic, secret []byte) []byte {
	b := make([]byte, 0, h.Size())
	for _, s := range [][]byte{hostKey, clientPublic, serverPublic} {
		hashString(h, b, s)
	}
	h.Write(secret)
	return h.Sum(b)
}

// hashString hashes s as an SSH string (RFC 4251 §5). free is scratch memory for the length.
func hashString(h hash.Hash, free, s []byte) {
	h.Write(appendUint32(free[:0], uint32(len(s))))
	h.Write(s)
}

// deriveKey returns the first n bytes of key material for a letter (RFC 4253 §7.2):
// HASH(K || H || letter || session id), extended by HASH(K || H || the bytes so far).
// It resets hash first.
func deriveKey(hash hash.Hash, secret, h []byte, letter byte, sessionID []byte, n int) []byte {
	hash.Reset()
	hash.Write(secret)
	hash.Write(h)
	material := append(make([]byte, 0, n+hash.Size()), letter)
	hash.Write(material)
	hash.Write(sessionID)
	material = hash.Sum(material[:0])
	for len(material) < n {
		hash.Reset()
		hash.Write(secret)
		hash.Write(h)
		hash.Write(material)
		material = hash.Sum(material)
	}
	return material[:n:n]
}

// A keyMaterial is the result of one key exchange, from which all keys are derived.
type keyMaterial struct {
	hash      hash.Hash
	secret    []byte // as keyAgreement.agree returns it
	h         []byte // the exchange hash
	sessionID []byte // the exchange hash of the first exchange
}

func (m keyMaterial) derive(letter byte, n int) []byte {
	return deriveKey(m.hash, m.secret, m.h, letter, m.sessionID, n)
}

// letters are the letters that derive the keys of one direction (RFC 4253 §7.2).
type letters struct{ iv, key, mac byte }

func toServer() letters { return letters{iv: 'A', key: 'C', mac: 'E'} }
func toClient() letters { return letters{iv: 'B', key: 'D', mac: 'F'} }
