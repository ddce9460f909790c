package limiter

import (
	"strings"
	"time"

	"shoal/fleet"
)

// An endpoint is a server that jobs connect to, or a jump host that they connect
// through. It exists while a job is attached to it, while it rests, and after it
// was given up.
type endpoint struct {
	name       string
	jobs       int // attached: waiting or connecting
	waiting    jobList
	connecting int
	window     window
	penalty    penalty

	resting   bool      // a timer for the end of its rest is set
	ready     bool      // in Limiter.ready
	nextReady *endpoint // in Limiter.ready
}

// open reports whether one more connect may start.
func (e *endpoint) open(now time.Time) bool {
	return e.connecting < e.window.size() && !now.Before(e.penalty.restUntil) && !e.penalty.givenUp
}

// address is the name of a target's server among endpoints.
func address(t fleet.Target) string { return strings.ToLower(t.Address()) }

// attach sets the path of j.
func (l *Limiter) attach(j *Job) {
	j.path = j.direct[:0]
	for r := j.Target.Route; r != nil && r.Via != nil; r = r.Via.Route {
		// Connects through a server and to it are counted apart.
		j.path = append(j.path, l.endpoint("through "+address(*r.Via), l.limits.ThroughJump, Unbounded))
	}
	j.path = append(j.path, l.endpoint(address(j.Target.Target), l.limits.InitialStarts, l.limits.MaxStarts))
}

func (l *Limiter) endpoint(name string, initial, most int) *endpoint {
	e := l.endpoints[name]
	if e == nil {
		e = &endpoint{name: name, window: newWindow(initial, most)}
		l.endpoints[name] = e
	}
	e.jobs++
	return e
}

// detach undoes attach.
func (l *Limiter) detach(j *Job) {
	for _, e := range j.path {
		e.jobs--
		l.collect(e)
	}
	j.path, j.direct[0] = nil, nil
}

// collect deletes an endpoint without state, so that memory follows the jobs.
func (l *Limiter) collect(e *endpoint) {
	if e.jobs == 0 && !e.ready && !e.resting && !e.penalty.givenUp {
		delete(l.endpoints, e.name)
	}
}

// wait adds j to the queue of e, an endpoint on its path.
func (l *Limiter) wait(j *Job, e *endpoint, now time.Time) {
	if e.penalty.givenUp {
		l.abandon(j)
		return
	}
	l.mayGrow = true
	e.waiting.push(j)
	l.markReady(e, now)
}

// abandon moves a job that was queued to those that Next returns as abandoned.
func (l *Limiter) abandon(j *Job) {
	l.queued--
	l.detach(j)
	j.abandoned = true
	l.abandoned.push(j)
}

// markReady adds e to the ready endpoints if a job may start there.
func (l *Limiter) markReady(e *endpoint, now time.Time) {
	if e.waiting.n > 0 && !e.ready && e.open(now) {
		l.ready.push(e)
	}
}

// update applies the state of e after a connect or a rest has ended.
func (l *Limiter) update(e *endpoint, now time.Time) {
	for e.penalty.givenUp && e.waiting.n > 0 {
		l.abandon(e.waiting.pop())
	}
	if now.Before(e.penalty.restUntil) && !e.resting {
		e.resting = true
		l.timers.add(timer{at: e.penalty.restUntil, endpoint: e})
	}
	l.markReady(e, now)
	l.collect(e)
}

// A readyQueue is a linked queue of endpoints.
type readyQueue struct{ first, last *endpoint }

func (q *readyQueue) push(e *endpoint) {
	e.ready = true
	if q.first == nil {
		q.first = e
	} else {
		q.last.nextReady = e
	}
	q.last = e
}

func (q *readyQueue) pop() *endpoint {
	e := q.first
	q.first, e.nextReady, e.ready = e.nextReady, nil, false
	return e
}

const (
	// penaltyRest is the first rest of a server that turns everything away:
	// sshd's penalties take effect from 15 s on (sshd_config(5),
	// PerSourcePenalties, min). Up to half as much is added at random.
	penaltyRest = 20 * time.Second
	// maxPenalties is the number of rests in a row before a server is given up.
	maxPenalties = 3
)

// A penalty detects that a server refuses this source (sshd's PerSourcePenalties)
// rather than the number of its connections (MaxStartups). sshd answers "Not
// allowed at this time" to both since 9.8, so the outcomes decide: when a connect
// that began after the last success is turned away, and none succeeds of those in
// progress at that moment, the number is not the cause. Connects that began later
// tell nothing: the server may be busy with ours.
type penalty struct {
	lastSuccess time.Time
	// undecided counts the connects that were in progress when one was turned away
	// and have not ended; lastSerial is the last of them. 0 means no suspicion.
	undecided  int
	lastSerial uint64
	count      int // rests since the last success
	restUntil  time.Time
	givenUp    bool
}

func (p *penalty) onSuccess(now time.Time) {
	p.lastSuccess = now
	p.undecided, p.count = 0, 0
}

// onTurnedAway takes the number of the last connect that has begun anywhere, and
// how many are in progress to this server, j included.
func (p *penalty) onTurnedAway(j *Job, last uint64, connecting int, now time.Time) {
	if p.undecided == 0 && !j.began.Before(p.lastSuccess) && !now.Before(p.restUntil) {
		p.lastSerial, p.undecided = last, connecting
	}
}

// onEnd is called for every connect that has ended, and reports whether a rest
// begins. Each is twice as long as the one before.
func (p *penalty) onEnd(j *Job, now time.Time, jitter float64) bool {
	if p.undecided == 0 || j.serial > p.lastSerial {
		return false
	}
	if p.undecided--; p.undecided > 0 {
		return false
	}
	if p.count == maxPenalties {
		p.givenUp = true
		return false
	}
	rest := penaltyRest << p.count
	p.count++
	p.restUntil = now.Add(rest + time.Duration(jitter*float64(rest)/2))
	return true
}
