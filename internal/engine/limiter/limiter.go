// Package limiter implements adaptive concurrency limiting of connection
// starts: a congestion window per server and jump host (slow start, then additive
// increase and multiplicative decrease, as TCP has it), sshd's per-source
// penalties, a token bucket, and limits on what is in flight.
//
// A [Limiter] holds the jobs that wait. The caller takes those that may start and
// reports how they fared:
//
//	Enqueue ─▸ waits at its endpoint ─▸ Next ─▸ connecting ─▸ Connected ─▸ in flight ─▸ Release
//	   ▴        (server or jump host)           fast or slow                │
//	   └──────────────── EnqueueAt: after a delay ◂─────────────────────────┘
//
// Guarantees:
//
//   - a waiting job costs its [Job] and nothing else
//   - every bound of [Limits] holds, whatever outcomes are reported
//   - a server that turns connections away gets fewer at once, and pauses; no
//     other server waits for it
//   - connects that take far longer than the median leave Limits.Dials to the
//     others, up to a bound of their own
//
// The package starts no goroutine, reads no clock and takes no lock: every call
// is passed the time, and the caller serialises the calls.
package limiter

import (
	"container/heap"
	"math"
	"slices"
	"time"

	"shoal/fleet"
)

// Limits are the bounds of a Limiter.
type Limits struct {
	// Fanout bounds the jobs in flight, from Next to Release.
	Fanout int
	// Dials bounds the connects in progress that are not slow. At least 1.
	Dials int
	// MaxDials, if larger, has that bound follow latency: it grows up to this as long as connects
	// do not get slower, and those that wait for nothing but their server do not count.
	MaxDials int
	// Slow bounds the slow connects in progress. Beyond it they count against Dials. A
	// connect is slow after twice the median time.
	Slow int
	// InitialStarts and MaxStarts bound the connects in progress to one server:
	// its window begins with the first and grows to the second. At least 1.
	InitialStarts, MaxStarts int
	// ThroughJump is the initial window of a jump host. At least 1.
	ThroughJump int
	// Lookups bounds the connects that are resolving a name and are not slow. 0 means no bound.
	Lookups int
	// KeyExchanges delays starts while that many connects have not finished their
	// key exchange. 0 means no bound.
	KeyExchanges int
	// Rate bounds the starts per second. 0 means no bound.
	Rate float64
	// Jitter returns random numbers in [0, 1).
	Jitter func() float64
}

// Unbounded as MaxStarts is no bound.
const Unbounded = math.MaxInt32

// An Outcome says what a connect tells about the load of its server.
type Outcome uint8

// The outcomes.
const (
	Inconclusive Outcome = iota // nothing about load
	Succeeded                   // authenticated
	TurnedAway                  // the server said that it does not want this connection now
	Dropped                     // closed or unanswered before authentication, as if overloaded
	JumpFailed                  // a jump host failed, not the server
)

// shrink is the part of the jobs in flight that remains when this machine lacks
// a resource.
const shrink = 0.75

// A Limiter holds the jobs that wait and tracks the connects in progress. Its
// methods must not be called at the same time.
type Limiter struct {
	limits   Limits
	fanout   float64 // current bound on inFlight, at most limits.Fanout
	inFlight int
	started  uint64 // connects, ever

	endpoints map[string]*endpoint
	ready     readyQueue // endpoints where a job waits and may start
	timers    timers     // delayed jobs, and endpoints whose rest ends

	queued, delayed int     // waiting jobs
	abandoned       jobList // waited at an endpoint that was given up

	// dials bounds fast. It is a congestion window, which stays fixed unless there is a MaxDials.
	dials      window
	fast, slow jobList // connects in progress, the oldest first
	// quiet and atServer are connects in progress that only wait, if dials follows latency: for
	// a first word of the server, and for it to let us in.
	quiet, atServer jobList
	median          medianDial
	pace            pacer
	phases          [numPhaseLimits]phaseLimit
	asking          asking
	lastPoll        time.Time
	mayGrow         bool // a banner may grow the window of an endpoint where jobs wait
}

// New returns an empty Limiter.
func New(l Limits) *Limiter {
	return &Limiter{
		limits:    l,
		fanout:    float64(l.Fanout),
		endpoints: make(map[string]*endpoint),
		dials:     newWindow(l.Dials, max(l.Dials, l.MaxDials)),
		pace:      newPacer(l.Rate),
		phases:    newPhaseLimits(l),
		asking:    asking{window: newWindow(firstAsking, Unbounded)},
	}
}

// Enqueue adds j to the queue of its endpoint. It leaves by Next or by Drain.
func (l *Limiter) Enqueue(j *Job, now time.Time) {
	l.attach(j)
	l.queued++
	l.wait(j, j.server(), now)
}

// EnqueueAt enqueues j when the time has come.
func (l *Limiter) EnqueueAt(j *Job, at time.Time) {
	l.delayed++
	l.timers.add(timer{at: at, job: j})
}

// Next returns a job that waits no longer, or nil. Either it may start now, and
// its connect is in progress until Connected; or its endpoint was given up, which
// Job.Abandoned reports, and the Limiter has forgotten it.
func (l *Limiter) Next(now time.Time) *Job {
	l.fireTimers(now)
	if l.awaitsBanners() {
		l.poll(now)
	}
	for l.abandoned.n == 0 && l.ready.first != nil && l.mayStart(now) {
		e := l.ready.pop()
		if e.waiting.n == 0 || !e.open(now) {
			l.collect(e)
			continue
		}
		j := e.waiting.pop()
		if closed := j.closed(now); closed != nil {
			l.wait(j, closed, now) // holding no slot elsewhere, so that there is no deadlock
			l.markReady(e, now)
			continue
		}
		l.start(j, now)
		l.markReady(e, now)
		return j
	}
	if l.abandoned.n > 0 {
		return l.abandoned.pop()
	}
	return nil
}

func (l *Limiter) start(j *Job, now time.Time) {
	l.queued--
	l.inFlight++
	l.started++
	l.pace.take(now)
	l.mayGrow = true
	j.began, j.serial, j.bannerSeen = now, l.started, false
	for _, e := range j.path {
		e.connecting++
		e.window.onStart(e.connecting)
	}
	if j.Suspect && l.waiting() < l.limits.Slow {
		j.in = &l.slow
		l.slow.push(j)
		return
	}
	j.in = &l.fast
	l.fast.push(j)
	l.dials.onStart(l.fast.n)
	l.count(j, fleet.PhaseNone)
}

// Connected reports how the connect of j ended. j stays in flight until Release.
func (l *Limiter) Connected(j *Job, o Outcome, now time.Time) {
	signed := j.in == &l.atServer // it has told how fast this machine is
	l.leave(j)
	server, took := j.server(), now.Sub(j.began)
	switch o {
	case Succeeded:
		l.median.add(took)
		l.growFanout()
		if !signed {
			l.dials.onSuccess(took)
		}
		for _, e := range j.path {
			e.window.onSuccess(took)
			e.penalty.onSuccess(now)
		}
	case TurnedAway, Dropped:
		server.window.onDrop(j.began, server.connecting, now)
		if o == TurnedAway {
			server.penalty.onTurnedAway(j, l.started, server.connecting, now)
		}
	case JumpFailed:
		for _, e := range j.path[:len(j.path)-1] {
			e.window.onDrop(j.began, e.connecting, now)
		}
	}
	if server.penalty.onEnd(j, now, l.limits.Jitter()) {
		server.window.restart()
	}
	for _, e := range j.path {
		e.connecting--
		l.update(e, now)
	}
	l.detach(j)
	j.Timeline, j.Signed = nil, nil
}

// move has j wait in another list.
func (l *Limiter) move(j *Job, to *jobList) {
	l.leave(j)
	j.in = to
	to.push(j)
}

// leave removes j from its list of connects in progress.
func (l *Limiter) leave(j *Job) {
	j.in.remove(j)
	j.in = nil
	l.count(j, fleet.PhaseNone)
}

// Release reports that a job is no longer in flight.
func (l *Limiter) Release() { l.inFlight-- }

// InFlight returns the number of jobs in flight.
func (l *Limiter) InFlight() int { return l.inFlight }

// Waiting returns the number of jobs that have not left by Next or by Drain.
func (l *Limiter) Waiting() int { return l.queued + l.delayed + l.abandoned.n }

// Connecting returns the number of connects in progress, slow ones included.
func (l *Limiter) Connecting() int { return l.fast.n + l.waiting() + l.atServer.n }

// waiting returns how many connects in progress Limits.Slow bounds.
func (l *Limiter) waiting() int { return l.slow.n + l.quiet.n }

// Fanout returns how many jobs may be in flight now.
func (l *Limiter) Fanout() int { return int(l.fanout) }

// SetFanout sets how many jobs may be in flight, and how many slow connects. With
// 0 nothing starts; what is in flight stays.
func (l *Limiter) SetFanout(n, slow int) {
	l.limits.Fanout, l.limits.Slow = n, slow
	l.fanout = float64(n)
}

// ShrinkFanout reports that this machine lacked a resource which n of the jobs in
// flight hold. It leaves room for three quarters of them, at least 1, beside the
// others. The fanout grows again with each success.
func (l *Limiter) ShrinkFanout(n int) {
	if l.fanout >= 1 { // 0 was asked for
		l.fanout = min(l.fanout, float64(l.inFlight-n)+max(1, float64(n)*shrink))
	}
}

// growFanout adds 1 per window of successes, up to Limits.Fanout.
func (l *Limiter) growFanout() {
	if l.fanout >= 1 {
		l.fanout = min(float64(l.limits.Fanout), l.fanout+1/l.fanout)
	}
}

// nextStart returns when the bounds that are not an endpoint's allow a start: now,
// or later; false means not before something else happens.
func (l *Limiter) nextStart(now time.Time) (at time.Time, ok bool) {
	if l.inFlight >= l.Fanout() {
		return at, false
	}
	if now.Before(l.pace.next) {
		return l.pace.next, true
	}
	if l.fast.n >= l.dials.size() && l.followsLatency() {
		l.poll(now)
	}
	for l.fast.n >= l.dials.size() {
		if l.waiting() >= l.limits.Slow {
			return l.nextPoll(), l.followsLatency()
		}
		j := l.fast.first
		if at = j.began.Add(l.median.slowAfter()); now.Before(at) {
			if next := l.nextPoll(); l.followsLatency() && next.Before(at) {
				at = next
			}
			return at, true
		}
		l.move(j, &l.slow)
	}
	if l.phasesFull(now) || l.asking.full(now) {
		return now.Add(pollInterval), true
	}
	return now, true
}

// mayStart reports whether nextStart is now.
func (l *Limiter) mayStart(now time.Time) bool {
	at, ok := l.nextStart(now)
	return ok && !at.After(now)
}

// NextWake returns when Next, which has just returned nil, may return a job
// without another call in between; false means never.
func (l *Limiter) NextWake(now time.Time) (at time.Time, ok bool) {
	if l.ready.first != nil {
		at, ok = l.nextStart(now)
	}
	if l.awaitsBanners() {
		at, ok = l.nextPoll(), true // nothing is ready
	}
	if len(l.timers) > 0 && (!ok || l.timers[0].at.Before(at)) {
		at, ok = l.timers[0].at, true
	}
	return at, ok
}

// Remove removes the waiting jobs that match, except those that were abandoned, and
// returns them.
func (l *Limiter) Remove(match func(*Job) bool) []*Job {
	var all []*Job
	l.timers = slices.DeleteFunc(l.timers, func(t timer) bool {
		if t.job == nil || !match(t.job) {
			return false
		}
		l.delayed--
		all = append(all, t.job)
		return true
	})
	heap.Init(&l.timers)
	for _, e := range l.endpoints {
		for j := e.waiting.first; j != nil; {
			next := j.next
			if match(j) {
				e.waiting.remove(j)
				l.queued--
				l.detach(j)
				all = append(all, j)
			}
			j = next
		}
	}
	return all
}

// Drain removes every waiting job and returns them.
func (l *Limiter) Drain() []*Job {
	all := make([]*Job, 0, l.Waiting())
	for l.abandoned.n > 0 {
		all = append(all, l.abandoned.pop())
	}
	for _, t := range l.timers {
		if t.job != nil {
			all = append(all, t.job)
		}
	}
	for _, e := range l.endpoints {
		e.ready, e.nextReady, e.resting = false, nil, false
		for e.waiting.n > 0 {
			j := e.waiting.pop()
			l.detach(j)
			all = append(all, j)
		}
		l.collect(e)
	}
	l.timers, l.ready = nil, readyQueue{}
	l.queued, l.delayed = 0, 0
	return all
}
