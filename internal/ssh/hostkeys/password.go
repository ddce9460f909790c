package hostkeys

import (
	"context"
	"fmt"
	"os"

	"golang.org/x/crypto/ssh"

	"shoal/fleet"
	"shoal/internal/hint"
)

var errInsecure = hint.New("the password was not sent: the host key policy is insecure, so that anybody may have answered",
	"use accept-new, or add the host's key to known_hosts")

// AllowPassword returns nil if a password may be sent to a host with this key, which Check has
// accepted: known_hosts has the key or the authority of its certificate. Under AcceptNew the
// key of an unknown host is first written to known_hosts, as ssh does, so that no second key
// can receive the password later; if the file keeps nothing, such as /dev/null, the password is
// not allowed. Insecure never allows it.
//
// The error says why. If writing failed, its chain has a *fleet.Error with the reasons of
// Accepted.
func (s *Store) AllowPassword(ctx context.Context, t fleet.Target, key ssh.PublicKey) error {
	if s.opts.Policy == Insecure {
		return errInsecure
	}
	n, shown, err := s.read(t, key)
	if err != nil {
		return err
	}
	v := s.verdict(n, shown)
	switch {
	case v.status == StatusKnown:
		return nil
	case v.status != StatusUnknown || s.opts.Policy != AcceptNew:
		return fmt.Errorf("the password was not sent: %w", against(n, shown, v))
	}
	if err := s.Accepted(ctx, t, key); err != nil {
		return err
	}
	return kept(s.opts.Files[0])
}

// Proven reports whether AllowPassword allows a password to a host with this key, and would store no
// key for it.
func (s *Store) Proven(t fleet.Target, key ssh.PublicKey) bool {
	if s.opts.Policy == Insecure {
		return false
	}
	n, shown, err := s.read(t, key)
	if err != nil {
		return false
	}
	switch s.verdict(n, shown).status {
	case StatusKnown:
		return true
	case StatusUnknown:
		return s.learner != nil && s.learner.has(n.look, shown.plain) && kept(s.opts.Files[0]) == nil
	}
	return false
}

// kept returns nil if what is written to the file can be read again.
func kept(path string) error {
	info, err := os.Stat(path)
	if err == nil && !info.Mode().IsRegular() {
		err = fmt.Errorf("%q is not a regular file", path)
	}
	if err != nil {
		return hint.Wrap(fmt.Errorf("the password was not sent: the host's key is not known, and was not kept: %w", err),
			"name a known_hosts file that can keep it, or add the key to one that is read")
	}
	return nil
}
