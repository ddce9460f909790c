package trust

import (
	"crypto/rsa"
	"errors"
	"net"

	"golang.org/x/crypto/ssh"

	"shoal/fleet"
)

// minRSABits is the least that an RSA key must have.
const minRSABits = 2048

// A status is what known_hosts says of a name and a key.
type status uint8

const (
	unknown status = iota // no line has a key for the name
	matches               // a line has this key
	changed               // lines have other keys only
	revoked               // a line revokes this key
)

// A verdict is a status with the line that decided; nil for unknown.
type verdict struct {
	status status
	line   *entry
}

// Check gives nil for a key that the policy trusts. Every error is a
// *fleet.Error and refuses the key; its reason is one of
// fleet.ReasonHostkeyUnknown, Changed, Revoked, Weak and Failed. remote is not
// looked at: a key belongs to the name that the user wrote.
func (s *Store) Check(t fleet.Target, _ net.Addr, key ssh.PublicKey) error {
	if key == nil {
		return refuse(t, fleet.ReasonHostkeyFailed, errors.New("the server showed no key"))
	}
	n, err := namesOf(t)
	if err != nil {
		return refuse(t, fleet.ReasonHostkeyFailed, err)
	}
	if isCertificate(key.Type()) {
		return refuse(t, fleet.ReasonHostkeyFailed, errCertificate)
	}
	v := s.verdict(n, key)
	if err := s.refusal(t, n, key, v); err != nil || v.status != unknown || s.policy != AcceptNew {
		return err
	}
	if first := s.learner.claim(n.look, key); first != nil {
		return refuse(t, fleet.ReasonHostkeyChanged, changedInRun(n.look, key, first))
	}
	return nil
}

// verdict follows check_key_in_hostkeys (OpenSSH, hostfile.c), for the name
// and, where that is unknown, for the name without its port.
func (s *Store) verdict(n hostNames, key ssh.PublicKey) verdict {
	blob := string(key.Marshal())
	v := decide(s.lookup(n.look), key.Type(), blob)
	if n.fallback == "" || v.status == revoked {
		return v
	}
	// OpenSSH asks for the plain name only where look is unknown, and takes no
	// from it only as "still unknown"; a revocation we take from both.
	plain := decide(s.lookup(n.fallback), key.Type(), blob)
	if plain.status == revoked || (v.status == unknown && plain.status == matches) {
		return plain
	}
	return v
}

func decide(lines []*entry, keyType, blob string) verdict {
	var v verdict
	for _, e := range lines {
		switch {
		case e.mark == markRevoked && e.blob == blob:
			return verdict{revoked, e}
		case e.mark != markNone || v.status == matches:
		case e.blob == blob:
			v = verdict{matches, e}
		case v.line == nil || (v.line.key.Type() != keyType && e.key.Type() == keyType):
			// The line with a key of the same type tells the most.
			v = verdict{changed, e}
		}
	}
	return v
}

// refusal gives the error for a verdict under the policy; nil means that it
// does not stand in the way.
func (s *Store) refusal(t fleet.Target, n hostNames, key ssh.PublicKey, v verdict) error {
	if v.status == revoked {
		return refuse(t, fleet.ReasonHostkeyRevoked, revokedBy(n.look, key, v.line))
	}
	if err := Weak(key); err != nil {
		return refuse(t, fleet.ReasonHostkeyWeak, err)
	}
	switch {
	case s.policy == Insecure || v.status == matches:
		return nil
	case v.status == changed:
		return refuse(t, fleet.ReasonHostkeyChanged, changedFrom(n.look, key, v.line))
	case v.status == unknown && s.policy == AcceptNew:
		return nil
	default:
		return refuse(t, fleet.ReasonHostkeyUnknown, notKnown(n.look, key))
	}
}

// Weak says why a key proves nothing, whoever vouches for it: a DSA key, or an
// RSA key below 2048 bits. nil means that it is not weak. Every policy refuses
// such a key, and so does a dialer on its own.
func Weak(key ssh.PublicKey) error {
	switch key.Type() {
	case "ssh-dss":
		return weak(key, "is a DSA key of 1024 bits")
	case ssh.KeyAlgoRSA:
		bits, ok := rsaBits(key)
		if !ok {
			return weak(key, "does not tell its length")
		}
		if bits < minRSABits {
			return weakRSA(key, bits)
		}
	}
	return nil
}

func rsaBits(key ssh.PublicKey) (int, bool) {
	k, ok := key.(ssh.CryptoPublicKey)
	if !ok {
		return 0, false
	}
	pub, ok := k.CryptoPublicKey().(*rsa.PublicKey)
	if !ok {
		return 0, false
	}
	return pub.N.BitLen(), true
}
