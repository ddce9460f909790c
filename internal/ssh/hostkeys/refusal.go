package hostkeys

import (
	"fmt"

	"golang.org/x/crypto/ssh"

	"shoal/fleet"
	"shoal/internal/hint"
)

func refuse(t fleet.Target, reason fleet.Reason, err error) *fleet.Error {
	return &fleet.Error{
		Host:    t.Host.String(),
		Outcome: fleet.OutcomeNeverStarted,
		Phase:   fleet.PhaseHostkey,
		Reason:  reason,
		Err:     err,
	}
}

// refusal returns the error for a verdict under the policy, or nil if the policy accepts it.
func (s *Store) refusal(t fleet.Target, n hostNames, k shown, v verdict) error {
	reason := fleet.ReasonHostkeyFailed
	switch v.status {
	case StatusKnown:
		return nil
	case StatusRevoked:
		if v.unread == nil {
			reason = fleet.ReasonHostkeyRevoked
		}
	case StatusWeak:
		reason = fleet.ReasonHostkeyWeak
	case StatusChanged:
		if s.opts.Policy == Insecure {
			return nil
		}
		reason = fleet.ReasonHostkeyChanged
	case StatusUnknown:
		if s.opts.Policy == Insecure || s.opts.Policy == AcceptNew {
			return nil
		}
		reason = fleet.ReasonHostkeyUnknown
	}
	return refuse(t, reason, against(n, k, v))
}

// against returns why a verdict refuses a key, or nil for StatusKnown.
func against(n hostNames, k shown, v verdict) error {
	switch v.status {
	case StatusKnown:
		return nil
	case StatusRevoked:
		if v.unread != nil {
			return mayBeRevoked(n.look, v.unread)
		}
		return revokedBy(n.look, k, v)
	case StatusWeak:
		return v.weak
	case StatusChanged:
		return changedFrom(n.look, k, v)
	default:
		return notKnown(n.look, k, v)
	}
}

// describe formats a key as ssh-keygen -l prints it.
func describe(key ssh.PublicKey) string {
	return key.Type() + " " + ssh.FingerprintSHA256(key)
}

// certNote says why the certificate was not accepted; "" if there was none.
func certNote(k shown, v verdict) string {
	if v.cert == nil {
		return ""
	}
	return fmt.Sprintf(" (its certificate, signed by %s, does not count: %v)", describe(k.cert.SignatureKey), v.cert)
}

func notKnown(name string, k shown, v verdict) error {
	return hint.Wrap(fmt.Errorf("no key is known for %q, and the server shows %s%s", name, describe(k.plain), certNote(k, v)),
		"compare this fingerprint with the host's own (there: ssh-keygen -lf on the .pub files in /etc/ssh), "+
			"then shoal keys approve -w HOSTS writes it down; --host-key accept-new learns the keys of new hosts unseen")
}

func changedFrom(name string, k shown, v verdict) error {
	return hint.Wrap(fmt.Errorf("the server shows %s for %q%s, but %s has %s: "+
		"either its key was replaced, or another machine answers in its place", describe(k.plain), name, certNote(k, v), v.line.where(), describe(v.line.key)),
		"ask whoever runs these hosts; if their keys were replaced: shoal keys approve -w HOSTS --replace HOSTS")
}

func changedInRun(name string, key, first ssh.PublicKey) error {
	return hint.Wrap(fmt.Errorf("the server shows %s for %q, but showed %s earlier in this run: "+
		"either several machines share the name, or one answers in the place of another", describe(key), name, describe(first)),
		"give each machine a name of its own, or put all their keys into known_hosts")
}

func changedMeanwhile(name string, key ssh.PublicKey, line *entry) error {
	return hint.Wrap(fmt.Errorf("the server shows %s for %q, but another process has learned %s meanwhile (%s)",
		describe(key), name, describe(line.key), line.where()),
		"ask whoever runs the host which key is its own, and delete the line of the other")
}

func revokedBy(name string, k shown, v verdict) error {
	return hint.Wrap(fmt.Errorf("the server shows %s for %q, and %s", describe(k.plain), name, v.by),
		"the key may be in the wrong hands; the host needs a new one")
}

func mayBeRevoked(name string, line *entry) error {
	if line.lost {
		return fmt.Errorf("%s: no key of %q is trusted: %w", line.where(), name, line.unread)
	}
	return hint.Wrap(fmt.Errorf("%s revokes a key of %q and cannot be read, so that none is trusted: %w", line.where(), name, line.unread),
		fmt.Sprintf("mend line %d of %q, or delete it", line.number, line.file))
}

func weak(key ssh.PublicKey, how string) error {
	return hint.Wrap(fmt.Errorf("the server's key %s %s", describe(key), how),
		"make the host a new key, on it: ssh-keygen -A after deleting the weak one")
}
