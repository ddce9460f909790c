package hostkeys

import (
	"fmt"
	"net"
	"slices"
	"sync"

	"golang.org/x/crypto/ssh"

	"shoal/fleet"
)

// A Router verifies each target against its own files and policy, as ssh_config sets them per
// host (UserKnownHostsFile, GlobalKnownHostsFile, RevokedHostKeys, StrictHostKeyChecking,
// HashKnownHosts, RequiredRSASize, CASignatureAlgorithms). Targets with the same settings share a Store. Stores share
// files: each file is read once, when the first target needs it. A Router is safe for
// concurrent use and implements ssh.HostKeys as Store does.
type Router struct {
	base   Options
	choose func(fleet.Target, *Options) error
	files  *files

	mu     sync.Mutex
	stores map[string]func() (*Store, error)
}

// NewRouter returns a router. choose changes a copy of base into the options of one target;
// changes to Alias, Now and LockWait have no effect. choose is called for each question about a
// target and must be safe for concurrent use. If it fails, or if opening the files fails, the
// target is refused.
func NewRouter(base Options, choose func(fleet.Target, *Options) error) *Router {
	return &Router{
		base:   base,
		choose: choose,
		files:  newFiles(),
		stores: make(map[string]func() (*Store, error)),
	}
}

// Store returns the store of a target. The error is that of choose or of [Open].
func (r *Router) Store(t fleet.Target) (*Store, error) {
	o := r.base
	o.Files, o.Revoked = slices.Clone(o.Files), slices.Clone(o.Revoked)
	if err := r.choose(t, &o); err != nil {
		return nil, fmt.Errorf("choosing the known_hosts files: %w", err)
	}
	o.Alias, o.Now, o.LockWait = r.base.Alias, r.base.Now, r.base.LockWait
	o.Files, o.Revoked = slices.Clone(o.Files), slices.Clone(o.Revoked)
	return r.opener(o)()
}

func (r *Router) opener(o Options) func() (*Store, error) {
	key := fmt.Sprintf("%q %q %d %t %d %q %t", o.Files, o.Revoked, o.Policy, o.HashNames, o.RSABits, o.CASignatures, o.CASignatures == nil)
	r.mu.Lock()
	defer r.mu.Unlock()
	open, ok := r.stores[key]
	if !ok {
		open = sync.OnceValues(func() (*Store, error) { return openFrom(o, r.files) })
		r.stores[key] = open
	}
	return open
}

// Problems returns the lines that could not be used in the files read so far, ordered by file
// name.
func (r *Router) Problems() []Problem { return r.files.problems() }

// Algorithms is [Store.Algorithms] of the target's store. It returns nil if there is no store;
// Check refuses then.
func (r *Router) Algorithms(t fleet.Target) []string {
	s, err := r.Store(t)
	if err != nil {
		return nil
	}
	return s.Algorithms(t)
}

// Check is [Store.Check] of the target's store. If there is no store it refuses every key with
// fleet.ReasonHostkeyFailed.
func (r *Router) Check(t fleet.Target, remote net.Addr, key ssh.PublicKey) error {
	s, err := r.Store(t)
	if err != nil {
		return refuse(t, fleet.ReasonHostkeyFailed, err)
	}
	return s.Check(t, remote, key)
}

// Accepted is [Store.Accepted] of the target's store.
func (r *Router) Accepted(t fleet.Target, key ssh.PublicKey) error {
	s, err := r.Store(t)
	if err != nil {
		return refuse(t, fleet.ReasonHostkeyFailed, err)
	}
	return s.Accepted(t, key)
}

// Released is [Store.Released] of the target's store.
func (r *Router) Released(t fleet.Target, key ssh.PublicKey) {
	if s, err := r.Store(t); err == nil {
		s.Released(t, key)
	}
}

// AllowPassword is [Store.AllowPassword] of the target's store.
func (r *Router) AllowPassword(t fleet.Target, key ssh.PublicKey) error {
	s, err := r.Store(t)
	if err != nil {
		return refuse(t, fleet.ReasonHostkeyFailed, err)
	}
	return s.AllowPassword(t, key)
}

// Judge is [Store.Judge] of the target's store.
func (r *Router) Judge(t fleet.Target, key ssh.PublicKey) (Judgement, error) {
	s, err := r.Store(t)
	if err != nil {
		return Judgement{}, refuse(t, fleet.ReasonHostkeyFailed, err)
	}
	return s.Judge(t, key)
}
