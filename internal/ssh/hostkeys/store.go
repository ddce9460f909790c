package hostkeys

import (
	"errors"
	"fmt"
	"time"

	"golang.org/x/crypto/ssh"

	"shoal/fleet"
)

// Options say what to trust.
type Options struct {
	// Files are the known_hosts files, read in this order. The first is the
	// one that AcceptNew writes to. A file that does not exist is empty. None
	// at all means that nothing is known.
	Files []string
	// Revoked are files of keys that are refused whatever known_hosts says: KRLs
	// (ssh-keygen(1), KEY REVOCATION LISTS) or lists of public keys, one a line
	// (RevokedHostKeys in ssh_config(5)). A file that is missing or that has
	// anything wrong makes Open fail: what it revokes would be trusted.
	Revoked []string
	// Policy is what becomes of unknown hosts; the zero value is Strict.
	Policy Policy
	// RSABits is the least length of an RSA key, in bits, also of an authority's
	// (RequiredRSASize). 0 and what is less mean 2048.
	RSABits int
	// HashNames makes AcceptNew write names hashed (HashKnownHosts).
	HashNames bool
	// Alias gives the name under which a target is known in known_hosts and in
	// certificates (HostKeyAlias); "" means its host name and port. It is called
	// by several goroutines at once. nil means that no target has one.
	Alias func(fleet.Target) string
	// Now is the wall clock by which certificates are valid; nil means time.Now.
	Now func() time.Time
	// LockWait is how long a write may wait for another process that has the
	// file locked; 0 means 10 s.
	LockWait time.Duration
}

const defaultLockWait = 10 * time.Second

// Validate says what is wrong with the options.
func (o Options) Validate() error {
	if int(o.Policy) >= len(policyNames) {
		return fmt.Errorf("unknown host key policy %v", o.Policy)
	}
	if o.Policy == AcceptNew && len(o.Files) == 0 {
		return errors.New("the host key policy accept-new needs a known_hosts file to write to")
	}
	if o.LockWait < 0 {
		return fmt.Errorf("a negative wait for the lock: %v", o.LockWait)
	}
	return nil
}

func (o Options) withDefaults() Options {
	if o.Alias == nil {
		o.Alias = func(fleet.Target) string { return "" }
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.LockWait == 0 {
		o.LockWait = defaultLockWait
	}
	o.RSABits = max(o.RSABits, minRSABits)
	return o
}

// A Store holds known_hosts in memory. It is safe for concurrent use.
type Store struct {
	opts     Options
	known    []*index // of the files that have any line
	revoked  []*revocations
	problems []Problem
	found    cache
	plain    []string // the algorithms for a host of which nothing is known
	certs    []string // those that come before, for a host that has an authority
	learner  *learner // nil unless the policy is AcceptNew
}

// Open reads the files. Lines of known_hosts that cannot be used do not make it
// fail; see [Store.Problems]. A file that exists and cannot be read does, and one
// with a line that revokes and tells neither key nor names.
func Open(o Options) (*Store, error) { return openFrom(o, newFiles()) }

func openFrom(o Options, from *files) (*Store, error) {
	if err := o.Validate(); err != nil {
		return nil, err
	}
	s := &Store{opts: o.withDefaults()}
	s.plain, s.certs = offered()
	var first position
	for i, path := range o.Files {
		source, err := from.source(path)
		if err != nil {
			return nil, fmt.Errorf("opening known_hosts: %w", err)
		}
		if i == 0 {
			first = source.end
		}
		if source.index.size > 0 {
			s.known = append(s.known, source.index)
		}
		s.problems = append(s.problems, source.problems...)
	}
	for _, path := range o.Revoked {
		list, err := readRevocations(from.open, path)
		if err != nil {
			return nil, fmt.Errorf("reading revoked host keys: %w\n"+
				"hint: no host is trusted while this list cannot be read; mend %q or leave it out", err, path)
		}
		s.revoked = append(s.revoked, list)
	}
	if o.Policy == AcceptNew {
		s.learner = newLearner(newAppender(o.Files[0], s.opts, first))
	}
	return s, nil
}

// Problems lists the lines that could not be used when the files were read, in
// their order.
func (s *Store) Problems() []Problem { return s.problems }

// lookup lists the lines for a name, in the order of the files.
func (s *Store) lookup(name string) []*entry {
	if len(s.known) == 1 && s.known[0].onlyPlain() {
		return s.known[0].lookup(name)
	}
	found, ok := s.found.get(name)
	if !ok {
		for _, x := range s.known {
			found = append(found, x.lookup(name)...)
		}
		s.found.put(name, found)
	}
	return found
}

// names gives the names of a target.
func (s *Store) names(t fleet.Target) (hostNames, error) {
	return namesOf(t, s.opts.Alias(t))
}

// Accepted tells that the target with this key let us in. Under AcceptNew a
// key that known_hosts does not have is appended to the first file, as one
// whole line; it returns once the line is there. The other policies write
// nothing. Of a certificate whose authority is not known its plain key is
// learned.
//
// The error is a *fleet.Error: fleet.ReasonStoreFailed when the line could not
// be written, or that of a refusal when another process has learned something
// that contradicts it meanwhile, or when Check never accepted this key.
func (s *Store) Accepted(t fleet.Target, key ssh.PublicKey) error {
	if s.opts.Policy != AcceptNew {
		return nil
	}
	n, shown, err := s.read(t, key)
	if err != nil {
		return err
	}
	if v := s.verdict(n, shown); v.status != StatusUnknown {
		return s.refusal(t, n, shown, v)
	}
	return s.learner.learn(t, n.look, shown.plain)
}

// Released tells that a connection whose key Check has let in ended before Accepted,
// so that the key has proven nothing. It implements ssh.KeyReleaser.
func (s *Store) Released(t fleet.Target, key ssh.PublicKey) {
	if s.learner == nil {
		return
	}
	if n, shown, err := s.read(t, key); err == nil {
		s.learner.release(n.look, shown.plain)
	}
}
