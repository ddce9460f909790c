package hostkeys

import (
	"errors"
	"fmt"

	"golang.org/x/crypto/ssh"

	"shoal/fleet"
)

// shown is what a server presents: a key or a certificate.
type shown struct {
	plain     ssh.PublicKey // the server's own key
	blob      string        // plain.Marshal()
	cert      *ssh.Certificate
	authority string // the marshalled key that signed cert; "" if there is none
}

var (
	errNoKey     = errors.New("the server showed no key")
	errMalformed = errors.New("the server shows a certificate that is not whole")
	errNested    = errors.New("the server shows a certificate inside a certificate")
)

// newShown separates a certificate into its parts. Nested certificates are refused before
// marshalling, which would cost a step per level.
func newShown(key ssh.PublicKey) (shown, error) {
	if key == nil {
		return shown{}, errNoKey
	}
	s := shown{plain: key}
	if cert, ok := key.(*ssh.Certificate); ok {
		switch {
		case cert == nil || cert.Key == nil || cert.SignatureKey == nil || cert.Signature == nil:
			return shown{}, errMalformed
		case isCertificate(cert.Key.Type()) || isCertificate(cert.SignatureKey.Type()):
			return shown{}, errNested
		}
		s.plain, s.cert, s.authority = cert.Key, cert, string(cert.SignatureKey.Marshal())
	} else if isCertificate(key.Type()) {
		return shown{}, errMalformed // the type says certificate, but the value is none
	}
	s.blob = string(s.plain.Marshal())
	if inner, ok := blobType([]byte(s.blob)); !ok || inner != s.plain.Type() {
		return shown{}, fmt.Errorf("the server shows a key of type %s that is not whole", quote(s.plain.Type()))
	}
	return s, nil
}

// whole returns the key or certificate that was passed to newShown.
func (k shown) whole() ssh.PublicKey {
	if k.cert != nil {
		return k.cert
	}
	return k.plain
}

// read returns the target's names and the parsed key, with which every check begins. Its errors
// are refusals.
func (s *Store) read(t fleet.Target, key ssh.PublicKey) (hostNames, shown, error) {
	n, err := namesOf(t)
	if err != nil {
		return hostNames{}, shown{}, refuse(t, fleet.ReasonHostkeyFailed, err)
	}
	k, err := newShown(key)
	if err != nil {
		return hostNames{}, shown{}, refuse(t, fleet.ReasonHostkeyFailed, err)
	}
	return n, k, nil
}
