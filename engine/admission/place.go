package admission

import "time"

const (
	// penaltyRest is how long a server is left alone that turns everything
	// away: sshd's penalties are in force from 15 s on (sshd_config(5),
	// PerSourcePenalties, min). As much again is spread over half of it.
	penaltyRest = 20 * time.Second
	// maxPenalties is how often in a row a server is left alone before it is
	// given up.
	maxPenalties = 3
)

// A place is a server that connects are made to, or a jump host that they go
// through. It is there while something waits or goes on there, or while it
// rests.
type place struct {
	name    string
	tickets int // that have it on their way
	waiting list
	going   int // connects going on
	window  window
	rests   time.Time // nothing starts before; zero means no rest
	resting bool      // rests stands in the Desk's alarms
	listed  bool      // stands among the Desk's ready places

	lastIn    time.Time // when a connect succeeded last
	turned    int       // connects begun and turned away since then
	turnedBy  uint64    // the last connect that had begun when the first of them was
	undecided int       // connects up to that one whose end is not known
	penalties int       // rests for this since the last that succeeded
	givenUp   bool
}

// open says whether one more connect may start.
func (p *place) open(now time.Time) bool {
	return p.going < p.window.size() && !now.Before(p.rests) && !p.givenUp
}

// idle says that nothing would be lost with p.
func (p *place) idle() bool { return p.tickets == 0 && !p.resting && !p.givenUp }

// succeeded is told of a connect that took so long.
func (p *place) succeeded(took time.Duration, now time.Time) {
	p.lastIn = now
	p.turned, p.penalties = 0, 0
	p.window.widen(took)
}

// turnedAway is told of a connect that the server itself refused.
func (p *place) turnedAway(t *Ticket, last uint64, now time.Time) {
	p.window.narrow(t.began, p.going, now)
	if t.began.Before(p.lastIn) || now.Before(p.rests) {
		return
	}
	if p.turned == 0 {
		p.turnedBy, p.undecided = last, p.going
	}
	p.turned++
}

// ended is told of every connect. When one was turned away that began after the
// last success, and of all that went on then none succeeded, it is not their
// number that the server minds: it is left alone, longer each time. sshd does not
// say which of the two it is (both are "Not allowed at this time" since 9.8).
// Those that began later say nothing: it may be ours that it is busy with.
func (p *place) ended(t *Ticket, now time.Time, jitter float64) {
	if p.turned == 0 || t.serial > p.turnedBy {
		return
	}
	if p.undecided--; p.undecided > 0 {
		return
	}
	p.turned = 0
	p.penalties++
	if p.penalties > maxPenalties {
		p.givenUp = true
		return
	}
	rest := penaltyRest << (p.penalties - 1)
	p.rests = now.Add(rest + time.Duration(jitter*float64(rest)/2))
	p.window.limit, p.window.ceiling, p.window.peak = 1, 0, 1
}
