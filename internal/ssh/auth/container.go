package auth

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"

	"golang.org/x/crypto/ssh"

	"shoal/internal/hint"
)

// maxRounds bounds the cost of deriving a key from a passphrase: a file may request 2^32
// rounds. ssh-keygen's default is 16 or 24 (-a), and each takes 4 to 7 ms of CPU, so that the
// maximum takes less than five seconds.
const maxRounds = 512

// containerMagic begins the binary format in an "OPENSSH PRIVATE KEY" block
// (OpenSSH, PROTOCOL.key).
const containerMagic = "openssh-key-v1\x00"

// A container is the unencrypted part of OpenSSH's private key format.
type container struct {
	kdf    string
	rounds uint32 // of bcrypt; 0 if there is no passphrase
	public []byte
}

// parseContainer parses only the needed fields and derives no key.
func parseContainer(b []byte) (container, error) {
	rest, ok := bytes.CutPrefix(b, []byte(containerMagic))
	if !ok {
		return container{}, errors.New("not in OpenSSH's private key format")
	}
	var fields [3][]byte // cipher, kdf, kdf options
	for i := range fields {
		if fields[i], rest, ok = cutString(rest); !ok {
			return container{}, errCutShort
		}
	}
	if len(rest) < 4 {
		return container{}, errCutShort
	}
	if n := binary.BigEndian.Uint32(rest); n != 1 {
		return container{}, fmt.Errorf("%d keys in one file, want 1", n)
	}
	c := container{kdf: string(fields[1])}
	public, _, ok := cutString(rest[4:])
	if !ok {
		return container{}, errCutShort
	}
	c.public = bytes.Clone(public) // the rest of b is secret and will be overwritten
	if c.kdf != "bcrypt" {
		return c, nil // no KDF, or one that the parser refuses
	}
	if _, rest, ok = cutString(fields[2]); !ok || len(rest) != 4 { // skips the salt
		return container{}, errCutShort
	}
	c.rounds = binary.BigEndian.Uint32(rest)
	return c, nil
}

// check refuses a container that would take too long to open.
func (c container) check() error {
	if c.rounds > maxRounds {
		return hint.Wrap(fmt.Errorf("its passphrase takes %d rounds of bcrypt, more than %d", c.rounds, maxRounds),
			"add it to the agent with ssh-add, or rewrite it with ssh-keygen -p -a 100")
	}
	return nil
}

// publicKey returns the public key, or nil if it cannot be used.
func (c container) publicKey() ssh.PublicKey {
	key, err := parsePublic(c.public)
	if err != nil {
		return nil
	}
	return key
}

var errCutShort = errors.New("the private key is cut short")

// cutString reads an SSH string (RFC 4251 §5).
func cutString(b []byte) (s, rest []byte, ok bool) {
	if len(b) < 4 {
		return nil, nil, false
	}
	n := binary.BigEndian.Uint32(b)
	if b = b[4:]; uint64(n) > uint64(len(b)) {
		return nil, nil, false
	}
	return b[:n], b[n:], true
}
