package admission

import "time"

// findWay sets the places that t has to pass.
func (d *Desk) findWay(t *Ticket) {
	l := d.limits
	t.door = d.place(address(t.Target), l.FirstStarts, l.MostStarts)
	if t.Target.Route == nil {
		return
	}
	for via := t.Target.Route.Via; via != nil; {
		t.jumps = append(t.jumps, d.place(jumpAddress(*via), l.ThroughJump, Unbounded))
		if via.Route == nil {
			return
		}
		via = via.Route.Via
	}
}

func (d *Desk) place(name string, first, most int) *place {
	p := d.places[name]
	if p == nil {
		p = &place{name: name, window: newWindow(first, most)}
		d.places[name] = p
	}
	p.tickets++
	return p
}

// loseWay undoes findWay, and does what follows for the places.
func (d *Desk) loseWay(t *Ticket, now time.Time) {
	t.places(func(p *place) bool {
		p.tickets--
		d.settle(p, now)
		return true
	})
	t.door, t.jumps = nil, nil
}

// wait lets t wait at p, one of its places.
func (d *Desk) wait(t *Ticket, p *place, now time.Time) {
	if p.givenUp {
		d.lose(t)
		return
	}
	p.waiting.push(t)
	d.list(p, now)
}

// list has p among the ready places when something may start there.
func (d *Desk) list(p *place, now time.Time) {
	if p.waiting.n > 0 && !p.listed && p.open(now) {
		p.listed = true
		d.ready.push(p)
	}
}

// settle does what follows from a change of p.
func (d *Desk) settle(p *place, now time.Time) {
	if p.givenUp {
		for p.waiting.n > 0 {
			d.lose(p.waiting.pop())
		}
		return
	}
	if now.Before(p.rests) && !p.resting {
		p.resting = true
		d.alarms.add(alarm{at: p.rests, place: p})
	}
	d.list(p, now)
	d.forget(p)
}

// lose ends the waiting of t for good.
func (d *Desk) lose(t *Ticket) {
	d.queued--
	t.state = lost
	d.lost.push(t)
	d.unplace(t)
}

// unplace takes t, which waits no more, from its places.
func (d *Desk) unplace(t *Ticket) {
	t.places(func(p *place) bool {
		p.tickets--
		d.forget(p)
		return true
	})
	t.door, t.jumps = nil, nil
}

// forget drops a place that has nothing to tell, so that memory follows what
// goes on.
func (d *Desk) forget(p *place) {
	if !p.listed && p.idle() {
		delete(d.places, p.name)
	}
}

// ring does what was put off until now.
func (d *Desk) ring(now time.Time) {
	for d.alarms.len() > 0 && !now.Before(d.alarms.first()) {
		a := d.alarms.pop()
		if a.ticket != nil {
			d.later--
			d.Enqueue(a.ticket, now)
			continue
		}
		a.place.resting = false
		d.settle(a.place, now)
	}
}
