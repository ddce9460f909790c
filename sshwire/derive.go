package sshwire

import "hash"

// exchangeHash gives H (RFC 4253 §8, RFC 5656 §4): the version lines come without
// CR and LF, the KEXINITs as whole payloads, the host key as its blob, and secret
// as keyAgreement.agree gives it.
func exchangeHash(newHash func() hash.Hash, clientVersion, serverVersion string,
	clientInit, serverInit, hostKey, clientPublic, serverPublic, secret []byte,
) []byte {
	n := len(clientVersion) + len(serverVersion) + len(clientInit) + len(serverInit) +
		len(hostKey) + len(clientPublic) + len(serverPublic) + 7*4 + len(secret)
	b := make([]byte, 0, n)
	b = appendString(b, clientVersion)
	b = appendString(b, serverVersion)
	for _, s := range [][]byte{clientInit, serverInit, hostKey, clientPublic, serverPublic} {
		b = appendString(b, s)
	}
	h := newHash()
	h.Write(append(b, secret...))
	return h.Sum(nil)
}

// deriveKey gives the first n bytes of key material for a letter (RFC 4253 §7.2):
// HASH(K || H || letter || session id), prolonged by HASH(K || H || what there is).
func deriveKey(newHash func() hash.Hash, secret, h []byte, letter byte, sessionID []byte, n int) []byte {
	hash := newHash()
	hash.Write(secret)
	hash.Write(h)
	hash.Write([]byte{letter})
	hash.Write(sessionID)
	material := hash.Sum(make([]byte, 0, n+hash.Size()))
	for len(material) < n {
		hash.Reset()
		hash.Write(secret)
		hash.Write(h)
		hash.Write(material)
		material = hash.Sum(material)
	}
	return material[:n:n]
}

// A keyMaterial is what one key exchange came to; all keys come from it.
type keyMaterial struct {
	newHash   func() hash.Hash
	secret    []byte // as keyAgreement.agree gives it
	h         []byte // the exchange hash
	sessionID []byte // the exchange hash of the first exchange
}

func (m keyMaterial) derive(letter byte, n int) []byte {
	return deriveKey(m.newHash, m.secret, m.h, letter, m.sessionID, n)
}

// letters are those of one direction's keys (RFC 4253 §7.2).
type letters struct{ iv, key, mac byte }

func toServer() letters { return letters{iv: 'A', key: 'C', mac: 'E'} }
func toClient() letters { return letters{iv: 'B', key: 'D', mac: 'F'} }
