package hostkeys

import (
	"fmt"

	"golang.org/x/crypto/ssh"

	"shoal/fleet"
)

// A Known is a known_hosts line about a target.
type Known struct {
	Key ssh.PublicKey
	// Where is the line's place, as file:line.
	Where string
	// Authority means that Key signs the host's certificates (@cert-authority); Revoked means
	// that Key must not be trusted (@revoked).
	Authority, Revoked bool
}

// String returns the key's type, fingerprint and place.
func (k Known) String() string {
	mark := ""
	switch {
	case k.Authority:
		mark = "authority "
	case k.Revoked:
		mark = "revoked "
	}
	return fmt.Sprintf("%s%s %s (%s)", mark, k.Key.Type(), ssh.FingerprintSHA256(k.Key), k.Where)
}

// Known returns the known_hosts lines of a target, in the order of the files. It omits
// revocation lines that cannot be read: see [Store.Problems]. It returns an error if the
// target's name cannot occur in known_hosts.
func (s *Store) Known(t fleet.Target) ([]Known, error) {
	n, err := namesOf(t)
	if err != nil {
		return nil, err
	}
	lines := s.lookup(n.look)
	if len(lines) == 0 && n.fallback != "" {
		lines = s.lookup(n.fallback)
	}
	known := make([]Known, 0, len(lines))
	for _, e := range lines {
		if e.unread == nil {
			known = append(known, Known{Key: e.key, Where: e.where(), Authority: e.mark == markCA, Revoked: e.mark == markRevoked})
		}
	}
	return known, nil
}
