package hostkeys

import (
	"errors"
	"fmt"
	"net"

	"golang.org/x/crypto/ssh"

	"shoal/fleet"
)

// A Status is what is known of a key for a name, independently of the policy.
type Status uint8

// The statuses.
const (
	StatusUnknown Status = iota // nothing is known for the name
	StatusKnown                 // known_hosts has this key, or the authority of its certificate
	StatusChanged               // known_hosts has only other keys
	StatusRevoked               // the key, its certificate or the certificate's authority is revoked, or may be
	StatusWeak                  // too short to prove anything, see [Weak]
)

var statusNames = []string{"unknown", "known", "changed", "revoked", "weak"}

func (s Status) String() string {
	if int(s) >= len(statusNames) {
		return fmt.Sprintf("invalid(%d)", uint8(s))
	}
	return statusNames[s]
}

// A verdict is a status with the evidence for it.
type verdict struct {
	status Status
	line   *entry // for known and changed: the line that decided
	by     string // for revoked: what revokes which part of the key or certificate
	weak   error  // for weak: why
	unread *entry // for revoked: an unreadable line that may revoke the key
	cert   error  // why the presented certificate was not accepted; nil if there is none
}

// Check returns nil for a key that the policy accepts. Every error is a *fleet.Error and
// refuses the key; its reason is one of fleet.ReasonHostkeyUnknown, Changed, Revoked, Weak and
// Failed. The address is ignored: a key belongs to the name that the user wrote (CheckHostIP
// no).
func (s *Store) Check(t fleet.Target, _ net.Addr, key ssh.PublicKey) error {
	n, shown, err := s.read(t, key)
	if err != nil {
		return err
	}
	v := s.verdict(n, shown)
	if err := s.refusal(t, n, shown, v); err != nil || v.status != StatusUnknown || s.opts.Policy != AcceptNew {
		return err
	}
	if first := s.learner.claim(n.look, shown.plain); first != nil {
		return refuse(t, fleet.ReasonHostkeyChanged, changedInRun(n.look, shown.plain, first))
	}
	return nil
}

// A Judgement is the result of Judge.
type Judgement struct {
	Status Status
	Why    error // for people; nil for StatusKnown
}

// Judge reports what is known of a key, independently of the policy, and changes nothing. For a
// target without a usable name and for a malformed key it returns a refusal like those of
// Check.
func (s *Store) Judge(t fleet.Target, key ssh.PublicKey) (Judgement, error) {
	n, shown, err := s.read(t, key)
	if err != nil {
		return Judgement{}, err
	}
	v := s.verdict(n, shown)
	return Judgement{v.status, against(n, shown, v)}, nil
}

// Explain says for people why Check has accepted a key.
func (s *Store) Explain(t fleet.Target, key ssh.PublicKey) string {
	n, shown, err := s.read(t, key)
	if err != nil {
		return "unknown"
	}
	v := s.verdict(n, shown)
	switch {
	case v.status == StatusKnown && v.line.mark == markCA:
		return fmt.Sprintf("its certificate is of the authority in %q, line %d", v.line.file, v.line.number)
	case v.status == StatusKnown:
		return fmt.Sprintf("known, %q, line %d", v.line.file, v.line.number)
	case s.opts.Policy == Insecure:
		return v.status.String() + ", and not checked (--host-key insecure)"
	case v.status == StatusUnknown && len(s.opts.Files) > 0:
		return fmt.Sprintf("new, to be added to %q (accept-new)", s.opts.Files[0])
	}
	return v.status.String()
}

// verdict follows verify_host_key and check_host_key (OpenSSH, sshconnect.c): a revoked key is
// refused; a certificate is accepted if its authority is known for the name; otherwise the
// plain key in it is checked.
func (s *Store) verdict(n hostNames, k shown) verdict {
	if v := s.revocation(n, k); v.status == StatusRevoked {
		return v
	}
	if err := weakBelow(s.opts.RSABits, k.plain); err != nil {
		return verdict{status: StatusWeak, weak: err}
	}
	var why error
	if k.cert != nil {
		var v verdict
		if v, why = s.certified(n, k); why == nil {
			return v
		}
	}
	v := s.plainVerdict(n, k)
	v.cert = why
	return v
}

// revocation looks for a revocation of the key or the certificate's authority: for the name,
// for the name without its port, and in the lists.
func (s *Store) revocation(n hostNames, k shown) verdict {
	var unread verdict
	for _, name := range []string{n.look, n.fallback} {
		if name == "" {
			continue
		}
		for _, e := range s.lookup(name) {
			switch {
			case e.mark != markRevoked:
			case e.unread != nil:
				unread = verdict{status: StatusRevoked, unread: e}
			case e.blob == k.blob:
				return verdict{status: StatusRevoked, by: e.where() + " revokes this key"}
			case k.cert != nil && e.blob == k.authority:
				return verdict{status: StatusRevoked, by: e.where() + " revokes the authority of its certificate"}
			}
		}
	}
	for _, list := range s.revoked {
		if by := list.revokes(k); by != "" {
			return verdict{status: StatusRevoked, by: by}
		}
	}
	return unread
}

var errNoAuthority = errors.New("its authority is not known for this host")

// certified checks a certificate; the error says why it is not accepted.
func (s *Store) certified(n hostNames, k shown) (verdict, error) {
	line := authorityLine(s.lookup(n.look), k.authority)
	if line == nil && n.fallback != "" {
		line = authorityLine(s.lookup(n.fallback), k.authority)
	}
	if line == nil {
		return verdict{}, errNoAuthority
	}
	if err := checkCertificate(k.cert, n.principal, s.opts.Now(), &s.opts); err != nil {
		return verdict{}, err
	}
	return verdict{status: StatusKnown, line: line}, nil
}

func authorityLine(lines []*entry, blob string) *entry {
	for _, e := range lines {
		if e.mark == markCA && e.blob == blob {
			return e
		}
	}
	return nil
}

// plainVerdict follows check_key_in_hostkeys (OpenSSH, hostfile.c): it checks the name and, if
// that is unknown, the name without its port. There a mismatch means unknown, not changed.
func (s *Store) plainVerdict(n hostNames, k shown) verdict {
	v := decide(s.lookup(n.look), k)
	if n.fallback == "" || v.status != StatusUnknown {
		return v
	}
	if plain := decide(s.lookup(n.fallback), k); plain.status == StatusKnown {
		return plain
	}
	return v
}

func decide(lines []*entry, k shown) verdict {
	var v verdict
	for _, e := range lines {
		switch {
		case e.mark != markNone:
		case e.blob == k.blob:
			return verdict{status: StatusKnown, line: e}
		case v.line == nil || (v.line.key.Type() != k.plain.Type() && e.key.Type() == k.plain.Type()):
			// Prefer the line with a key of the same type for the message.
			v = verdict{status: StatusChanged, line: e}
		}
	}
	return v
}
