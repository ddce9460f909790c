package admission

import (
	"strings"
	"time"

	"shoal/fleet"
)

// A Ticket is a target that has no result yet.
type Ticket struct {
	Target fleet.Target
	// Attempts is how many have begun.
	Attempts int
	// Earlier are those that have ended.
	Earlier []fleet.Try
	// Intended says that an attempt has written down that the command is about to
	// be sent.
	Intended bool
	// PassedOver counts the times that this machine had not what a connect
	// takes.
	PassedOver int
	// Suspect says that the last connect ended by a deadline: the next one
	// counts as slow from its beginning.
	Suspect bool
	// Timeline tells the phase of the connect that goes on. It is set by whoever
	// makes the connect, before Next is called again.
	Timeline *fleet.Timeline

	state      state
	began      time.Time // of the connect that goes on
	serial     uint64    // of it among all that ever began
	greeted    bool      // its window knows that the server has taken it
	door       *place    // the server
	jumps      []*place  // on the way there
	next, prev *Ticket   // in a place's queue, or among the connects
}

// A state is where a Ticket is.
type state uint8

const (
	elsewhere state = iota // in nobody's hands, in flight, or done
	queued                 // at a place
	later                  // for its time to come
	fresh                  // being connected
	slow                   // being connected, for longer than most
	lost                   // nowhere: its server was given up
)

// GivenUp reports whether t waits for nothing, because its server has turned
// everything away.
func (t *Ticket) GivenUp() bool { return t.state == lost }

// places calls f for every place on the ticket's way until it gives false.
func (t *Ticket) places(f func(*place) bool) {
	for _, p := range t.jumps {
		if !f(p) {
			return
		}
	}
	f(t.door)
}

// address is the name of a target's server among places.
func address(t fleet.Target) string { return strings.ToLower(t.Address()) }

// jumpAddress is another name: what goes through a server and what goes to it
// are counted apart.
func jumpAddress(t fleet.Target) string { return "through " + address(t) }

// A list is a queue of tickets through their own links.
type list struct {
	first, last *Ticket
	n           int
}

func (l *list) push(t *Ticket) {
	t.prev, t.next = l.last, nil
	if l.last == nil {
		l.first = t
	} else {
		l.last.next = t
	}
	l.last = t
	l.n++
}

func (l *list) remove(t *Ticket) {
	if t.prev == nil {
		l.first = t.next
	} else {
		t.prev.next = t.next
	}
	if t.next == nil {
		l.last = t.prev
	} else {
		t.next.prev = t.prev
	}
	t.prev, t.next = nil, nil
	l.n--
}

func (l *list) pop() *Ticket {
	t := l.first
	l.remove(t)
	return t
}
