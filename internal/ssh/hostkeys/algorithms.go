package hostkeys

import (
	"slices"
	"strings"

	"golang.org/x/crypto/ssh"

	"shoal/fleet"
)

// Algorithms returns the host-key algorithms to offer to a target. Algorithms of keys that
// known_hosts has for the target come first, so that a server with several keys presents a
// known one. Within each part the order is Ed25519, as in OpenSSH, then ECDSA, ML-DSA and RSA
// with SHA-2. Certificate algorithms precede all others if an authority is known for the target
// (order_hostkeyalgs in OpenSSH's sshconnect2.c); otherwise they are not offered. SHA-1 is
// never offered.
func (s *Store) Algorithms(t fleet.Target) []string {
	types, authority := s.knownTypes(t)
	algorithms := make([]string, 0, len(s.certs)+len(s.plain))
	if authority {
		algorithms = append(algorithms, s.certs...)
	}
	for _, known := range []bool{true, false} {
		for _, a := range s.plain {
			if slices.Contains(types, keyTypeOf(a)) == known {
				algorithms = append(algorithms, a)
			}
		}
	}
	return algorithms
}

// knownTypes returns the types of the keys that Check would accept for the target, and reports
// whether Check could accept a certificate.
func (s *Store) knownTypes(t fleet.Target) (types []string, authority bool) {
	n, err := namesOf(t)
	if err != nil {
		return nil, false // Check will refuse it
	}
	types, authority = typesIn(s.lookup(n.look))
	if len(types) == 0 && !authority && n.fallback != "" {
		types, authority = typesIn(s.lookup(n.fallback))
	}
	if len(types) == 0 && s.learner != nil {
		if key := s.learner.claimed(n.look); key != nil {
			types = []string{key.Type()}
		}
	}
	return types, authority
}

func typesIn(lines []*entry) (types []string, authority bool) {
	for _, e := range lines {
		switch e.mark {
		case markNone:
			types = append(types, e.key.Type())
		case markCA:
			authority = true
		}
	}
	return types, authority
}

// keyTypeOf returns the key type that an algorithm signs with: RSA has several algorithms for
// one type (RFC 8332 §3).
func keyTypeOf(algorithm string) string {
	switch algorithm {
	case ssh.KeyAlgoRSASHA256, ssh.KeyAlgoRSASHA512:
		return ssh.KeyAlgoRSA
	default:
		return algorithm
	}
}

// offered returns the algorithms that x/crypto/ssh considers secure, in our order: plain ones
// and certificate ones.
func offered() (plain, certs []string) {
	order := []string{
		ssh.KeyAlgoED25519,
		ssh.KeyAlgoECDSA256, ssh.KeyAlgoECDSA384, ssh.KeyAlgoECDSA521,
		ssh.KeyAlgoMLDSA44, ssh.KeyAlgoMLDSA65, ssh.KeyAlgoMLDSA87,
		ssh.KeyAlgoRSASHA512, ssh.KeyAlgoRSASHA256,
	}
	rank := func(a string) int {
		a, _, _ = strings.Cut(a, "-cert-v")
		if i := slices.Index(order, a); i >= 0 {
			return i
		}
		return len(order)
	}
	algorithms := ssh.SupportedAlgorithms().HostKeys
	slices.SortStableFunc(algorithms, func(a, b string) int { return rank(a) - rank(b) })
	for _, a := range algorithms {
		if isCertificate(a) {
			certs = append(certs, a)
		} else {
			plain = append(plain, a)
		}
	}
	return plain, certs
}
