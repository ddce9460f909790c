package hostkeys

import (
	"context"
	"errors"
	"fmt"
	"time"

	"golang.org/x/crypto/ssh"

	"shoal/fleet"
	"shoal/internal/hint"
)

// Options configure a [Store].
type Options struct {
	// Files are the known_hosts files, in order. AcceptNew writes to the first. A file that
	// does not exist is empty. If there are none, no host is known.
	Files []string
	// Revoked are files of keys to refuse whatever known_hosts says: KRLs (ssh-keygen(1), KEY
	// REVOCATION LISTS) or lists of public keys, one per line (RevokedHostKeys in
	// ssh_config(5)). A missing or malformed file makes Open fail, because its revoked keys
	// would be trusted otherwise.
	Revoked []string
	// Policy determines how unknown hosts are treated; the zero value is Strict.
	Policy Policy
	// RSABits is the minimum length of RSA keys, also of authorities, in bits
	// (RequiredRSASize). Values below 2048, including 0, mean 2048.
	RSABits int
	// CASignatures are the algorithms with which authorities may have signed a certificate
	// (CASignatureAlgorithms); nil means all that are safe.
	CASignatures []string
	// HashNames makes AcceptNew write names hashed (HashKnownHosts).
	HashNames bool
	// Now is the wall clock for the validity of certificates; nil means time.Now.
	Now func() time.Time
	// LockWait bounds the wait for another process that has locked the file and does not
	// write to it; 0 means 10 s. While others write, the wait is up to twelve times as long.
	LockWait time.Duration
}

const defaultLockWait = 10 * time.Second

// Validate returns an error if the options are invalid.
func (o Options) Validate() error {
	if o.Policy > Insecure {
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
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.LockWait == 0 {
		o.LockWait = defaultLockWait
	}
	o.RSABits = max(o.RSABits, minRSABits)
	return o
}

// A Store knows where in known_hosts each name is. It is safe for concurrent use.
type Store struct {
	opts     Options
	files    *files
	known    []*index // only of files that have lines
	revoked  []*revocations
	problems []Problem
	found    cache
	plain    []string // the algorithms for an unknown host
	certs    []string // put before plain for a host that has an authority
	learner  *learner // nil unless the policy is AcceptNew
}

// Open reads the files. Bad lines of known_hosts do not make it fail; see [Store.Problems]. It
// fails if a file exists and cannot be read, or has a revocation line with neither key nor
// names readable. Large files stay open until [Store.Close].
func Open(o Options) (*Store, error) {
	from := newFiles()
	s, err := openFrom(o, from)
	if err != nil {
		_ = from.close() // nothing was written
		return nil, err
	}
	return s, nil
}

// Close closes the files of a store that Open returned. It must not be used any more.
func (s *Store) Close() error { return s.files.close() }

func openFrom(o Options, from *files) (*Store, error) {
	if err := o.Validate(); err != nil {
		return nil, err
	}
	s := &Store{opts: o.withDefaults(), files: from}
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
			return nil, hint.Wrap(fmt.Errorf("reading revoked host keys: %w", err),
				fmt.Sprintf("no host is trusted while this list cannot be read; mend %q or leave it out", path))
		}
		s.revoked = append(s.revoked, list)
	}
	if o.Policy == AcceptNew {
		s.learner = newLearner(newAppender(o.Files[0], s.opts, first))
	}
	return s, nil
}

// Problems returns the lines that could not be used when the files were read, in their order.
func (s *Store) Problems() []Problem { return s.problems }

// lookup returns the lines for a name, in the order of the files.
func (s *Store) lookup(name string) []*entry {
	found, ok := s.found.get(name)
	if !ok {
		for _, x := range s.known {
			found = append(found, x.lookup(name)...)
		}
		s.found.put(name, found)
	}
	return found
}

// Accepted records that the target with this key has authenticated us. Under AcceptNew it
// appends an unknown key to the first file as one whole line, and returns once the line is
// written. Other policies write nothing. For a certificate with an unknown authority the plain
// key is learned.
//
// The error is a *fleet.Error: fleet.ReasonStoreFailed if the line could not be written before ctx ended; a
// refusal if another process has meanwhile learned a contradicting key, or if Check never
// accepted this key.
func (s *Store) Accepted(ctx context.Context, t fleet.Target, key ssh.PublicKey) error {
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
	return s.learner.learn(ctx, t, n.look, shown.plain)
}

// Released records that a connection whose key Check accepted ended before Accepted, so that
// the key is unproven. It implements ssh.KeyReleaser.
func (s *Store) Released(t fleet.Target, key ssh.PublicKey) {
	if s.learner == nil {
		return
	}
	if n, shown, err := s.read(t, key); err == nil {
		s.learner.release(n.look, shown.plain)
	}
}
