package trust

import (
	"slices"

	"golang.org/x/crypto/ssh"

	"shoal/fleet"
)

// Algorithms lists the host-key algorithms to offer to a target: first those of
// the keys that known_hosts has for it, so that a server with several keys
// shows one that is known, then the others. Within each part Ed25519 comes
// first, as in OpenSSH, then ECDSA, ML-DSA and RSA with SHA-2. There are no
// certificates and nothing with SHA-1.
func (s *Store) Algorithms(t fleet.Target) []string {
	types := s.knownTypes(t)
	algorithms := make([]string, 0, len(s.offered))
	for _, known := range []bool{true, false} {
		for _, a := range s.offered {
			if slices.Contains(types, keyTypeOf(a)) == known {
				algorithms = append(algorithms, a)
			}
		}
	}
	return algorithms
}

// knownTypes lists the types of the keys with which Check would let the target
// in.
func (s *Store) knownTypes(t fleet.Target) []string {
	n, err := namesOf(t)
	if err != nil {
		return nil // Check will refuse it
	}
	types := typesIn(s.lookup(n.look))
	if len(types) == 0 && n.fallback != "" {
		types = typesIn(s.lookup(n.fallback))
	}
	if len(types) == 0 && s.learner != nil {
		if key := s.learner.claimed(n.look); key != nil {
			types = []string{key.Type()}
		}
	}
	return types
}

func typesIn(lines []*entry) []string {
	var types []string
	for _, e := range lines {
		if e.mark == markNone {
			types = append(types, e.key.Type())
		}
	}
	return types
}

// keyTypeOf gives the type of the keys that an algorithm signs with: RSA has
// several algorithms for one type (RFC 8332 §3).
func keyTypeOf(algorithm string) string {
	switch algorithm {
	case ssh.KeyAlgoRSASHA256, ssh.KeyAlgoRSASHA512:
		return ssh.KeyAlgoRSA
	default:
		return algorithm
	}
}

// plainAlgorithms is what x/crypto/ssh holds for secure, without certificates,
// in our order.
func plainAlgorithms() []string {
	order := []string{
		ssh.KeyAlgoED25519,
		ssh.KeyAlgoECDSA256, ssh.KeyAlgoECDSA384, ssh.KeyAlgoECDSA521,
		ssh.KeyAlgoMLDSA44, ssh.KeyAlgoMLDSA65, ssh.KeyAlgoMLDSA87,
		ssh.KeyAlgoRSASHA512, ssh.KeyAlgoRSASHA256,
	}
	rank := func(a string) int {
		if i := slices.Index(order, a); i >= 0 {
			return i
		}
		return len(order)
	}
	algorithms := slices.DeleteFunc(ssh.SupportedAlgorithms().HostKeys, isCertificate)
	slices.SortStableFunc(algorithms, func(a, b string) int { return rank(a) - rank(b) })
	return algorithms
}
