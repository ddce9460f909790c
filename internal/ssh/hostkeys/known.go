package hostkeys

import (
	"fmt"

	"golang.org/x/crypto/ssh"

	"shoal/fleet"
)

// A Known is a line of known_hosts about a target.
type Known struct {
	Key ssh.PublicKey
	// Where is file and line, as file:line.
	Where string
	// Authority says that Key signs the certificates of the host
	// (@cert-authority); Revoked that it is not to be trusted (@revoked).
	Authority, Revoked bool
}

// String gives the key's type, fingerprint and place.
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

// Known lists what known_hosts has for a target, in the order of the files. Lines
// that revoke and cannot be read are left out: see [Store.Problems]. A target whose name cannot stand there is an error.
func (s *Store) Known(t fleet.Target) ([]Known, error) {
	n, err := s.names(t)
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
