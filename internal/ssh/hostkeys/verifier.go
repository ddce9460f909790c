package hostkeys

import (
	"context"
	"fmt"
	"net"
	"sync"

	xssh "golang.org/x/crypto/ssh"

	"shoal/fleet"
	"shoal/internal/hint"
	"shoal/internal/ssh"
)

// A Policy determines how hosts that are not in known_hosts are treated.
type Policy = ssh.HostKeyPolicy

// The policies.
const (
	Strict    = ssh.HostKeysStrict
	AcceptNew = ssh.HostKeysAcceptNew
	Insecure  = ssh.HostKeysInsecure
)

// A Verifier checks each target's host key by the files and policy of its endpoint
// (ssh.Settings.Known). Targets with equal ones share a Store. Stores share files: each file is
// read once, when the first target needs it; lines of large ones are read again when their names
// are asked for, until Close. A Verifier is safe for concurrent use and
// implements ssh.HostKeys. A target without an endpoint is refused.
type Verifier struct {
	files  *files
	opened sync.Map // of func() (*Store, error) by *ssh.Settings

	mu     sync.Mutex
	stores map[string]func() (*Store, error)
}

// NewVerifier returns a Verifier that has read no file yet.
func NewVerifier() *Verifier {
	return &Verifier{files: newFiles(), stores: make(map[string]func() (*Store, error))}
}

// Read reads known_hosts files beforehand. The error is that of [Open].
func (v *Verifier) Read(paths ...string) error {
	_, err := openFrom(Options{Files: paths}, v.files)
	return err
}

// Close closes the files that are open. The Verifier must not be used any more. Files of one that
// is not closed are closed when it is collected as garbage.
func (v *Verifier) Close() error { return v.files.close() }

// OptionsOf returns the options of the store that a target's settings ask for.
func OptionsOf(s ssh.HostKeySpec) Options {
	return Options{
		Files: s.Files, Revoked: s.Revoked, Policy: s.Policy, RSABits: s.RSABits, HashNames: s.HashNames, CASignatures: s.CASignatures,
	}
}

// Store returns the store of a target. The error is that of [Open], or ssh.ErrUnplanned.
func (v *Verifier) Store(t ssh.Target) (*Store, error) {
	if t.Endpoint == nil || t.Endpoint.Settings == nil {
		return nil, fmt.Errorf("choosing the known_hosts files: %w", ssh.ErrUnplanned)
	}
	if open, ok := v.opened.Load(t.Endpoint.Settings); ok {
		return open.(func() (*Store, error))()
	}
	open := v.opener(OptionsOf(t.Endpoint.Settings.Known))
	v.opened.Store(t.Endpoint.Settings, open)
	return open()
}

func (v *Verifier) opener(o Options) func() (*Store, error) {
	key := fmt.Sprintf("%q %q %d %t %d %q %t", o.Files, o.Revoked, o.Policy, o.HashNames, o.RSABits, o.CASignatures, o.CASignatures == nil)
	v.mu.Lock()
	defer v.mu.Unlock()
	open, ok := v.stores[key]
	if !ok {
		open = sync.OnceValues(func() (*Store, error) { return openFrom(o, v.files) })
		v.stores[key] = open
	}
	return open
}

// Problems returns the lines that could not be used in the files read so far, ordered by file
// name.
func (v *Verifier) Problems() []Problem { return v.files.problems() }

// Algorithms is [Store.Algorithms] of the target's store. It returns nil if there is no store;
// Check refuses then.
func (v *Verifier) Algorithms(t ssh.Target) []string {
	s, err := v.Store(t)
	if err != nil {
		return nil
	}
	return s.Algorithms(t.Target)
}

// Check is [Store.Check] of the target's store. If there is no store it refuses every key with
// fleet.ReasonHostkeyFailed.
func (v *Verifier) Check(t ssh.Target, remote net.Addr, key xssh.PublicKey) error {
	s, err := v.Store(t)
	if err != nil {
		return refuse(t.Target, fleet.ReasonHostkeyFailed, err)
	}
	return s.Check(t.Target, remote, key)
}

// Accepted is [Store.Accepted] of the target's store.
func (v *Verifier) Accepted(ctx context.Context, t ssh.Target, key xssh.PublicKey) error {
	s, err := v.Store(t)
	if err != nil {
		return refuse(t.Target, fleet.ReasonHostkeyFailed, err)
	}
	return s.Accepted(ctx, t.Target, key)
}

// Released is [Store.Released] of the target's store.
func (v *Verifier) Released(t ssh.Target, key xssh.PublicKey) {
	if s, err := v.Store(t); err == nil {
		s.Released(t.Target, key)
	}
}

// AllowPassword is [Store.AllowPassword] of the target's store.
func (v *Verifier) AllowPassword(ctx context.Context, t ssh.Target, key xssh.PublicKey) error {
	s, err := v.Store(t)
	if err != nil {
		return refuse(t.Target, fleet.ReasonHostkeyFailed, err)
	}
	return s.AllowPassword(ctx, t.Target, key)
}

// Proven is [Store.Proven] of the target's store.
func (v *Verifier) Proven(t ssh.Target, key xssh.PublicKey) bool {
	s, err := v.Store(t)
	return err == nil && s.Proven(t.Target, key)
}

// AllowAgent implements ssh.AgentGuard.
func (v *Verifier) AllowAgent(t ssh.Target, key xssh.PublicKey) error {
	j, err := v.Judge(t, key)
	if err == nil && j.Status != StatusKnown {
		err = hint.Wrap(ssh.ErrLearned, "compare the key, and have shoal learn it by a run without --forward-agent first")
	}
	return err
}

// Explain is [Store.Explain] of the target's store.
func (v *Verifier) Explain(t ssh.Target, key xssh.PublicKey) string {
	s, err := v.Store(t)
	if err != nil {
		return "unknown"
	}
	return s.Explain(t.Target, key)
}

// Judge is [Store.Judge] of the target's store.
func (v *Verifier) Judge(t ssh.Target, key xssh.PublicKey) (Judgement, error) {
	s, err := v.Store(t)
	if err != nil {
		return Judgement{}, refuse(t.Target, fleet.ReasonHostkeyFailed, err)
	}
	return s.Judge(t.Target, key)
}
