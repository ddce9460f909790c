package admission

import (
	"time"

	"shoal/fleet"
)

// A Desk holds the targets that wait and knows of the connects that go on. It
// is for one caller at a time.
type Desk struct {
	limits Limits

	width  float64 // what is in force of limits.Width
	flying int     // in flight
	begun  uint64  // connects, ever

	places map[string]*place
	ready  fifo[*place] // where something waits and may start
	alarms alarms       // tickets to be queued and places to be looked at, later

	queued, later int  // waiting tickets
	fresh, slow   list // connects going on, the oldest first
	typical       typical
	bucket        bucket
	crowds        [2]crowd
	heard         time.Time     // when connects were asked for their greetings last
	hopeful       bool          // some may be greeted yet
	lost          fifo[*Ticket] // waited where nothing starts any more
}

// New gives an empty Desk.
func New(l Limits) *Desk {
	return &Desk{
		limits: l,
		width:  float64(l.Width),
		places: make(map[string]*place),
		bucket: bucket{rate: l.Rate},
		crowds: [2]crowd{
			{last: fleet.PhaseResolve, limit: l.Lookups},
			{last: fleet.PhaseHostkey, limit: l.KeyExchanges},
		},
	}
}

// Enqueue lets t wait for its turn. It leaves by Next or by Clear.
func (d *Desk) Enqueue(t *Ticket, now time.Time) {
	if t.door == nil {
		d.findWay(t)
	}
	t.state = queued
	d.queued++
	d.wait(t, t.door, now)
}

// Later lets t wait until its time has come, and then for its turn.
func (d *Desk) Later(t *Ticket, at time.Time) {
	t.state = later
	d.later++
	d.alarms.add(alarm{at: at, ticket: t})
}

// Next returns a ticket that waits no longer, or nil where there is none. It may
// start now, and its connect goes on until Over; or its server was given up,
// which Ticket.GivenUp reports, and the Desk has nothing more to do with it.
func (d *Desk) Next(now time.Time) *Ticket {
	d.ring(now)
	d.hear(now)
	for d.lost.len() == 0 && d.ready.len() > 0 && d.room(now) {
		p := d.ready.pop()
		p.listed = false
		if p.waiting.n == 0 || !p.open(now) {
			d.forget(p)
			continue
		}
		t := p.waiting.pop()
		full := t.full(now)
		if full == nil {
			d.begin(t, now)
			d.list(p, now)
			return t
		}
		d.wait(t, full, now) // without a place anywhere, so that nobody waits in a circle
		d.list(p, now)
	}
	if d.lost.len() > 0 {
		return d.lost.pop()
	}
	return nil
}

// full gives a place on the ticket's way that takes no more.
func (t *Ticket) full(now time.Time) (full *place) {
	t.places(func(p *place) bool {
		if !p.open(now) {
			full = p
		}
		return full == nil
	})
	return full
}

func (d *Desk) begin(t *Ticket, now time.Time) {
	d.queued--
	d.flying++
	d.bucket.take()
	t.began = now
	d.begun++
	t.serial = d.begun
	t.greeted = false
	d.hopeful = true
	t.places(func(p *place) bool {
		p.going++
		p.window.use(p.going)
		return true
	})
	if t.Suspect && d.slow.n < d.limits.Slow {
		t.state = slow
		d.slow.push(t)
	} else {
		t.state = fresh
		d.fresh.push(t)
		for i := range d.crowds {
			d.crowds[i].enter()
		}
	}
}

// Over tells how the connect of t went. t stays in flight, and is nowhere else.
func (d *Desk) Over(t *Ticket, v Verdict, now time.Time) {
	d.leave(t)
	took := now.Sub(t.began)
	switch v {
	case Succeeded:
		d.typical.add(took)
		d.widen()
		t.places(func(p *place) bool { p.succeeded(took, now); return true })
	case TurnedAway:
		t.door.turnedAway(t, d.begun, now)
	case Dropped:
		t.door.window.narrow(t.began, t.door.going, now)
	case JumpFailed:
		for _, p := range t.jumps {
			p.window.narrow(t.began, p.going, now)
		}
	}
	t.door.ended(t, now, d.limits.Jitter())
	t.places(func(p *place) bool { p.going--; return true })
	d.loseWay(t, now)
	t.Timeline = nil
}

// A Verdict is what a connect says of its server.
type Verdict uint8

// The verdicts.
const (
	Nothing    Verdict = iota // or nothing that bears on how many it takes at once
	Succeeded                 // it let us in
	TurnedAway                // it said that it does not want this connection now
	Dropped                   // it ended the connection, or never answered, early enough for having had too many
	JumpFailed                // not the server, but the way there
)

// Landed tells that a target in flight is no longer. Width and the bounds on
// what waits count on it.
func (d *Desk) Landed() { d.flying-- }

// Flying counts the targets in flight.
func (d *Desk) Flying() int { return d.flying }

// Waiting counts the tickets that have not left by Next or by Clear, for whatever
// they wait.
func (d *Desk) Waiting() int { return d.queued + d.later + d.lost.len() }

// Connecting counts the connects that go on, slow ones included.
func (d *Desk) Connecting() int { return d.fresh.n + d.slow.n }

// leave takes t from the connects that go on.
func (d *Desk) leave(t *Ticket) {
	if t.state == slow {
		d.slow.remove(t)
	} else {
		d.unfresh(t)
	}
	t.state = elsewhere
}

// unfresh takes t from the connects that count among Dials.
func (d *Desk) unfresh(t *Ticket) {
	d.fresh.remove(t)
	for i := range d.crowds {
		d.crowds[i].leave()
	}
}

// crowded says whether too many connects are in one of the phases.
func (d *Desk) crowded(now time.Time) bool {
	return d.crowds[0].full(&d.fresh, now) || d.crowds[1].full(&d.fresh, now)
}

// room says whether the bounds that are not a server's let one more start.
func (d *Desk) room(now time.Time) bool {
	if d.flying >= d.Width() || d.bucket.next(now).After(now) {
		return false
	}
	d.age(now)
	return d.fresh.n < d.limits.Dials && !d.crowded(now)
}

// age moves connects that have taken too long out of the way of others.
func (d *Desk) age(now time.Time) {
	for d.agingSoon() && !now.Before(d.fresh.first.began.Add(d.typical.patience())) {
		t := d.fresh.first
		d.unfresh(t)
		t.state = slow
		d.slow.push(t)
	}
}

// agingSoon says whether time alone makes room among the connects.
func (d *Desk) agingSoon() bool {
	return d.fresh.n >= d.limits.Dials && d.slow.n < d.limits.Slow
}

// Wake says when Next, which has just given nil, may give a ticket though
// nothing else happens; false means never.
func (d *Desk) Wake(now time.Time) (at time.Time, ok bool) {
	sooner := func(t time.Time) {
		if !ok || t.Before(at) {
			at, ok = t, true
		}
	}
	if d.alarms.len() > 0 {
		sooner(d.alarms.first())
	}
	if d.listening() {
		sooner(d.heard.Add(askPause))
	}
	if d.ready.len() == 0 || d.flying >= d.Width() {
		return at, ok
	}
	switch next := d.bucket.next(now); {
	case next.After(now):
		sooner(next)
	case d.fresh.n >= d.limits.Dials:
		if d.agingSoon() {
			sooner(d.fresh.first.began.Add(d.typical.patience()))
		}
	case d.crowded(now):
		sooner(now.Add(askPause))
	default:
		sooner(now)
	}
	return at, ok
}

// Clear returns every waiting ticket, and lets none wait there any more.
func (d *Desk) Clear() []*Ticket {
	all := make([]*Ticket, 0, d.Waiting())
	for d.lost.len() > 0 {
		all = append(all, d.lost.pop())
	}
	for _, p := range d.places {
		p.listed, p.resting = false, false
	}
	for _, p := range d.places {
		for p.waiting.n > 0 {
			t := p.waiting.pop()
			d.unplace(t)
			all = append(all, t)
		}
		d.forget(p)
	}
	for _, a := range d.alarms {
		if a.ticket != nil {
			all = append(all, a.ticket)
		}
	}
	d.alarms, d.ready = nil, fifo[*place]{}
	d.queued, d.later = 0, 0
	return all
}

// Slow counts the connects that are slow, for tests and for people.
func (d *Desk) Slow() int { return d.slow.n }

// Starts gives how many connects to a target's server may go on at once now.
func (d *Desk) Starts(t fleet.Target) int {
	if p := d.places[address(t)]; p != nil {
		return p.window.size()
	}
	return d.limits.FirstStarts
}
