package watch

import (
	"cmp"
	"crypto/sha256"
	"slices"
	"time"

	"shoal/fleet"
	"shoal/internal/groups"
)

// Options configure a Comparer.
type Options struct {
	// Groups say which answers are equal. Its Memory limits the texts that are kept to show how
	// answers changed.
	Groups groups.Options
	// Confirm is the number of ticks in a row after which what a host does counts as confirmed.
	// 0 means 1.
	Confirm int
}

// A Kind is what happened at a host.
type Kind uint8

// The kinds.
const (
	// None: nothing that counts.
	None Kind = iota
	// First: its first answer, or none, with nothing to compare it with.
	First
	// Changed: another answer than the one before, which may be long ago.
	Changed
	// Stopped: it gives no answer any more.
	Stopped
	// Back: it answers again, as it did before it stopped.
	Back
)

func (k Kind) String() string {
	return [...]string{"none", "first", "changed", "stopped", "back"}[k]
}

// An Event is what happened at a host.
type Event struct {
	Kind   Kind
	Host   groups.Member
	Name   string  // of the host alone
	Before *Answer // the last answer; nil: there is none
	Now    *Answer // nil: it gives none; End says why
	End    fleet.End
	// Since is when Before was given last.
	Since time.Time
}

// An Answer is what a host answered, as far as it counts. It must not be changed.
type Answer struct {
	End     fleet.End
	Outputs [fleet.NumStreams][]byte
	// Kept is false if there was no room for the outputs.
	Kept bool

	sum, whole [sha256.Size]byte // equal for equal answers: as masks have it, and in every byte
	users      int
}

// A Comparer has the last answers of hosts and says what changed. It is not safe for concurrent
// use. Its memory depends on the hosts and on their different answers, not on the number of
// ticks.
type Comparer struct {
	opts    Options
	read    *groups.Collector
	hosts   map[int]*host
	answers map[[sha256.Size]byte]*Answer // by whole
	room    int                           // bytes
}

// A host is what is known of one.
type host struct {
	seen, confirmed view
	pending         view
	streak          int
	recorded        [sha256.Size]byte
}

// A view is what a host does: it gives this answer, or none. The zero view is not known.
type view struct {
	answer *Answer   // the last one; nil: none yet
	at     time.Time // when it was given last
	silent bool
}

// New returns a Comparer that knows no host.
func New(o Options) *Comparer {
	o.Confirm = max(o.Confirm, 1)
	return &Comparer{
		opts: o, read: groups.New(o.Groups), hosts: make(map[int]*host), answers: make(map[[sha256.Size]byte]*Answer),
		room: cmp.Or(o.Groups.Memory, 64<<20),
	}
}

// Baseline sets the answer with which the first one of a host is compared: that of an earlier
// watch, given at that time.
func (c *Comparer) Baseline(r *fleet.Result, at time.Time) {
	if !r.Answered() {
		return
	}
	h := c.host(r.Target.Index)
	a, _ := c.answer(r)
	c.set(&h.seen, view{answer: a, at: at})
	c.set(&h.confirmed, view{answer: a, at: at})
}

func (c *Comparer) host(index int) *host {
	h := c.hosts[index]
	if h == nil {
		h = new(host)
		c.hosts[index] = h
	}
	return h
}

// Add compares a result of a tick with what the host did before. record reports whether it is
// other than the last one that was added; confirmed is what has held for Options.Confirm ticks,
// against what had before. A result of a command that was cancelled says nothing.
func (c *Comparer) Add(r *fleet.Result, at time.Time) (seen, confirmed Event, record bool) {
	if r.Outcome == fleet.OutcomeCancelled {
		return Event{}, Event{}, false
	}
	h := c.host(r.Target.Index)
	a, sum := c.answer(r)
	now := view{a, at, a == nil}
	record = h.recorded != sum
	h.recorded = sum

	event := func(was *view) Event {
		return Event{
			Kind: kindOf(was, now), Host: groups.Member{Index: r.Target.Index, Host: r.Target.Host.String()},
			Name: r.Target.Host.Name, Before: was.answer, Now: a, End: r.End, Since: was.at,
		}
	}
	seen = event(&h.seen)
	if !h.pending.same(now) {
		h.streak = 0
	}
	if h.streak++; h.streak >= c.opts.Confirm {
		confirmed = event(&h.confirmed)
		c.adopt(&h.confirmed, now)
		h.streak = c.opts.Confirm // it does not grow
	} else if now.same(h.confirmed) {
		h.confirmed.at = at
	}
	c.set(&h.pending, now)
	c.adopt(&h.seen, now)
	c.forget(a)
	return seen, confirmed, record
}

// kindOf returns what happened between two views.
func kindOf(was *view, now view) Kind {
	switch {
	case *was == view{}:
		return First
	case now.silent && was.silent:
		return None
	case now.silent:
		return Stopped
	case was.answer == nil:
		return First
	case was.answer.sum != now.answer.sum:
		return Changed
	case was.silent:
		return Back
	}
	return None
}

func (v view) same(w view) bool {
	switch {
	case v.silent != w.silent || (v.answer == nil) != (w.answer == nil):
		return false
	case v.answer == nil:
		return true
	}
	return v.answer.sum == w.answer.sum
}

// adopt makes now the view, with the last answer where it has none.
func (c *Comparer) adopt(v *view, now view) {
	if now.answer == nil {
		v.silent = true
		return
	}
	c.set(v, now)
}

// set replaces a view and frees an answer that nobody has any more.
func (c *Comparer) set(v *view, now view) {
	old := v.answer
	if now.answer != nil {
		now.answer.users++
	}
	*v = now
	if old != nil {
		old.users--
		c.forget(old)
	}
}

func (c *Comparer) forget(a *Answer) {
	if a == nil || a.users > 0 {
		return
	}
	delete(c.answers, a.whole)
	c.room += a.size()
}

func (a *Answer) size() (n int) {
	for _, out := range a.Outputs {
		n += len(out)
	}
	return n
}

// answer returns what a result says, which is nil if that is no answer, and what
// stands for the result as masks have it. Equal answers are one.
func (c *Comparer) answer(r *fleet.Result) (*Answer, [sha256.Size]byte) {
	outputs, sum := c.read.Read(r)
	if !r.Answered() {
		return nil, sum
	}
	h := sha256.New()
	h.Write(sum[:])
	for _, out := range outputs {
		part := sha256.Sum256(out.Bytes)
		h.Write(part[:])
	}
	var whole [sha256.Size]byte
	h.Sum(whole[:0])
	if a := c.answers[whole]; a != nil {
		return a, sum
	}
	a := &Answer{End: r.End, sum: sum, whole: whole, Kept: true}
	a.End.Err = nil
	size := 0
	for _, out := range outputs {
		size += len(out.Bytes)
	}
	if a.Kept = size <= c.room; a.Kept {
		for s, out := range outputs {
			a.Outputs[s] = slices.Clone(out.Bytes)
		}
		c.room -= size
	}
	c.answers[whole] = a
	return a, sum
}

// A State is what a Comparer knows of all hosts.
type State struct {
	// Oldest is the time of the last answer of the host whose last answer is the oldest; zero if
	// no host has answered.
	Oldest time.Time
	// Never is the number of hosts that have never answered, and Silent that of those which
	// gave no answer last; these are counted too.
	Never, Silent int
	// Answers is the number of different answers.
	Answers int
}

// State returns what is known of all hosts.
func (c *Comparer) State() State {
	var s State
	different := make(map[[sha256.Size]byte]struct{})
	for _, h := range c.hosts {
		switch {
		case h.seen.answer == nil:
			s.Never++
		case s.Oldest.IsZero() || h.seen.at.Before(s.Oldest):
			s.Oldest = h.seen.at
		}
		if h.seen.silent || h.seen.answer == nil {
			s.Silent++
			continue
		}
		different[h.seen.answer.sum] = struct{}{}
	}
	s.Answers = len(different)
	return s
}
