package limiter

import (
	"time"

	"shoal/fleet"
)

const (
	// firstAsking is the initial limit on commands, on connections that are open already, that
	// their servers have not accepted. It is far more than is under way when this machine sends
	// as fast as it can to servers nearby; 150 a second are answered within 15 s.
	firstAsking = 2048
	// minLate is the least time after which an answer is late.
	minLate = time.Second
)

// asking bounds the commands, on connections that are open already, that their servers have not
// accepted yet. Nothing else spaces them: without a bound all are sent at once, and where something
// that they share is slow, such as a jump host, the last ones are answered after their deadline.
// The bound is a congestion window, which grows until answers become slower.
//
// Jobs do not report that they were accepted; they are polled when the bound is reached. Those of
// which the answer takes far longer than others' do not count, so that servers that are gone do not
// delay the others.
type asking struct {
	window window
	jobs   jobList // the oldest first
	polled time.Time
	took   time.Duration // of the last answer; 0: there was none
}

// Asks reports that j runs on a connection that was open already. It replaces Connected. Answered
// must follow.
func (l *Limiter) Asks(j *Job, now time.Time) {
	timeline := j.Timeline
	l.Connected(j, Inconclusive, now)
	j.Timeline, j.asks = timeline, true
	l.asking.jobs.push(j)
	l.asking.window.onStart(l.asking.jobs.n)
}

// Answered reports that the command of j has ended. It does nothing unless Asks was called for it.
func (l *Limiter) Answered(j *Job, now time.Time) {
	if j.asks {
		l.asking.leave(j, now)
	}
}

func (a *asking) leave(j *Job, now time.Time) {
	if j.Timeline.Phase() >= fleet.PhaseRun {
		a.took = now.Sub(j.began)
		a.window.onSuccess(a.took)
	}
	a.jobs.remove(j)
	j.Timeline, j.asks = nil, false
}

// full reports whether no command may be sent on an open connection now.
func (a *asking) full(now time.Time) bool {
	if a.jobs.n < a.window.size() {
		return false
	}
	if now.Before(a.polled.Add(pollInterval)) {
		return true
	}
	a.polled = now
	late := max(minLate, 4*a.took)
	for j := a.jobs.first; j != nil; {
		next := j.next
		if j.Timeline.Phase() >= fleet.PhaseRun || now.Sub(j.began) > late {
			a.leave(j, now)
		}
		j = next
	}
	return a.jobs.n >= a.window.size()
}
