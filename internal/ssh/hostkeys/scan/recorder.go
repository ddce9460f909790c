package scan

import (
	"bytes"
	"context"
	"errors"
	"net"
	"slices"
	"sync"

	xssh "golang.org/x/crypto/ssh"

	"shoal/fleet"
	"shoal/internal/ssh"
)

// ErrRecorded is in the chain of the refusal that ends a scanned connection; it means success.
var ErrRecorded = errors.New("the host key was recorded; a scan goes no further")

var errUnasked = errors.New("the server shows a key of a type that was not asked for")

// KeyTypes returns the algorithms to offer for a complete scan, one element per connection: a
// server presents one key at a time.
func KeyTypes() [][]string {
	return [][]string{
		{xssh.KeyAlgoED25519},
		{xssh.KeyAlgoECDSA256, xssh.KeyAlgoECDSA384, xssh.KeyAlgoECDSA521},
		{xssh.KeyAlgoRSASHA512, xssh.KeyAlgoRSASHA256},
	}
}

// A Seen is a host and the keys that it presented, sorted by their marshalled form.
type Seen struct {
	Target ssh.Target
	Keys   []xssh.PublicKey
}

// A Recorder collects host keys, each key of a host once. The zero value is ready; it is safe
// for concurrent use.
type Recorder struct {
	mu   sync.Mutex
	seen map[int]*Seen // by Target.Index
}

// Ask returns an ssh.HostKeys that offers these algorithms, records the key that a server
// presents and refuses it. A dialer calls Check after the server has proved that it owns the
// key.
func (r *Recorder) Ask(algorithms []string) *Question {
	return &Question{recorder: r, algorithms: slices.Clone(algorithms)}
}

// Seen returns the hosts that presented a key, ordered by Target.Index.
func (r *Recorder) Seen() []Seen {
	r.mu.Lock()
	defer r.mu.Unlock()
	all := make([]Seen, 0, len(r.seen))
	for _, s := range r.seen {
		all = append(all, Seen{s.Target, slices.Clone(s.Keys)})
	}
	slices.SortFunc(all, func(a, b Seen) int { return a.Target.Index - b.Target.Index })
	return all
}

func (r *Recorder) record(t ssh.Target, key xssh.PublicKey) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.seen == nil {
		r.seen = make(map[int]*Seen)
	}
	s := r.seen[t.Index]
	if s == nil {
		s = &Seen{Target: t}
		r.seen[t.Index] = s
	}
	s.add(key)
}

func (s *Seen) add(key xssh.PublicKey) {
	at, found := slices.BinarySearchFunc(s.Keys, key, compareKeys)
	if !found {
		s.Keys = slices.Insert(s.Keys, at, key)
	}
}

func compareKeys(a, b xssh.PublicKey) int { return bytes.Compare(a.Marshal(), b.Marshal()) }

// A Question implements ssh.HostKeys for one connection of a scan.
type Question struct {
	recorder   *Recorder
	algorithms []string
}

// Algorithms returns the algorithms that were passed to Ask.
func (q *Question) Algorithms(ssh.Target) []string { return slices.Clone(q.algorithms) }

// Check records a plain key and refuses every key. If it recorded the key, the reason is
// fleet.ReasonHostkeyUnknown and ErrRecorded is in the chain.
func (q *Question) Check(t ssh.Target, _ net.Addr, key xssh.PublicKey) error {
	if key == nil {
		return refuse(t, fleet.ReasonHostkeyFailed, errors.New("the server showed no key"))
	}
	if !q.asked(key.Type()) {
		return refuse(t, fleet.ReasonHostkeyFailed, errUnasked)
	}
	q.recorder.record(t, key)
	return refuse(t, fleet.ReasonHostkeyUnknown, ErrRecorded)
}

func (q *Question) asked(keyType string) bool {
	switch keyType {
	case xssh.KeyAlgoRSA: // one type, several algorithms (RFC 8332 §3)
		return slices.Contains(q.algorithms, xssh.KeyAlgoRSASHA256) || slices.Contains(q.algorithms, xssh.KeyAlgoRSASHA512)
	default:
		return slices.Contains(q.algorithms, keyType)
	}
}

// Accepted always returns an error: a scan never authenticates.
func (q *Question) Accepted(_ context.Context, t ssh.Target, _ xssh.PublicKey) error {
	return refuse(t, fleet.ReasonHostkeyFailed, errors.New("a scan was let in, though it refuses every key"))
}

func refuse(t ssh.Target, reason fleet.Reason, err error) error {
	return &fleet.Error{
		Host:    t.Host.String(),
		Outcome: fleet.OutcomeNeverStarted,
		Phase:   fleet.PhaseHostkey,
		Reason:  reason,
		Err:     err,
	}
}
