package trust

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
	// Policy is what becomes of unknown hosts; the zero value is Strict.
	Policy Policy
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

// A Store holds known_hosts in memory. It is safe for concurrent use.
type Store struct {
	policy   Policy
	known    *index
	problems []Problem
	found    cache
	offered  []string // the algorithms for a host of which nothing is known
	learner  *learner // nil unless the policy is AcceptNew
}

// Open reads the files. Lines that cannot be used do not make it fail; see
// [Store.Problems]. A file that exists and cannot be read does.
func Open(o Options) (*Store, error) {
	if err := o.Validate(); err != nil {
		return nil, err
	}
	s := &Store{policy: o.Policy, known: newIndex(), offered: plainAlgorithms()}
	var first position
	for i, path := range o.Files {
		at, problems, err := s.known.readFile(path)
		if err != nil {
			return nil, fmt.Errorf("opening known_hosts: %w", err)
		}
		if i == 0 {
			first = at
		}
		s.problems = append(s.problems, problems...)
	}
	if o.Policy == AcceptNew {
		wait := o.LockWait
		if wait == 0 {
			wait = defaultLockWait
		}
		s.learner = newLearner(&appender{path: o.Files[0], wait: wait, read: first, tail: newIndex()})
	}
	return s, nil
}

// Problems lists the lines that could not be used when the files were read, in
// their order.
func (s *Store) Problems() []Problem { return s.problems }

// lookup lists the lines for a name.
func (s *Store) lookup(name string) []*entry {
	if s.known.onlyPlain() {
		return s.known.lookup(name)
	}
	found, ok := s.found.get(name)
	if !ok {
		found = s.known.lookup(name)
		s.found.put(name, found)
	}
	return found
}

// Accepted tells that the target with this key let us in. Under AcceptNew a
// key that known_hosts does not have is appended to the first file, as one
// whole line; it returns once the line is there. The other policies write
// nothing.
//
// The error is a *fleet.Error: fleet.ReasonStoreFailed when the line could not
// be written, or that of a refusal when another process has learned something
// that contradicts it meanwhile, or when Check never accepted this key.
func (s *Store) Accepted(t fleet.Target, key ssh.PublicKey) error {
	if s.policy != AcceptNew {
		return nil
	}
	n, err := namesOf(t)
	if err != nil {
		return refuse(t, fleet.ReasonHostkeyFailed, err)
	}
	if v := s.verdict(n, key); v.status != unknown {
		return s.refusal(t, n, key, v)
	}
	return s.learner.learn(t, n.look, key)
}
