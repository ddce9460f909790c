package limiter

import (
	"time"

	"shoal/fleet"
)

// pollInterval is the least time between two polls of the connects' phases.
const pollInterval = 2 * time.Millisecond

// A phaseLimit withholds starts while too many connects are in a phase. Connects
// do not report their phases; they are polled when the limit seems to be reached.
type phaseLimit struct {
	last fleet.Phase // the phase; earlier ones count too
	max  int         // 0 means no bound
	n    int         // at most this many fast connects are in it
}

func newPhaseLimits(l Limits) [2]phaseLimit {
	return [2]phaseLimit{
		{last: fleet.PhaseResolve, max: l.Lookups},
		{last: fleet.PhaseHostkey, max: l.KeyExchanges},
	}
}

func (p *phaseLimit) full() bool { return p.max > 0 && p.n >= p.max }

// phasesFull reports whether a phase limit allows no start.
func (l *Limiter) phasesFull(now time.Time) bool {
	if l.phases[0].full() || l.phases[1].full() {
		l.poll(now)
	}
	return l.phases[0].full() || l.phases[1].full()
}

// awaitsBanners reports whether a banner may let a job start: nothing else can.
func (l *Limiter) awaitsBanners() bool {
	return l.mayGrow && l.queued > 0 && l.ready.first == nil && l.inFlight < l.Fanout()
}

// poll counts the fast connects per phase, and grows windows for banners that have
// come.
func (l *Limiter) poll(now time.Time) {
	if now.Before(l.lastPoll.Add(pollInterval)) {
		return
	}
	l.lastPoll, l.mayGrow = now, false
	for i := range l.phases {
		l.phases[i].n = 0
	}
	for j := l.fast.first; j != nil; j = j.next {
		var phase fleet.Phase // the first one, while the caller has not set a Timeline
		if j.Timeline != nil {
			phase = j.Timeline.Phase()
		}
		for i := range l.phases {
			if phase <= l.phases[i].last {
				l.phases[i].n++
			}
		}
		if !j.bannerSeen {
			l.pollBanner(j, phase, now)
		}
	}
}

// pollBanner grows the windows of j as soon as the server's banner has come.
func (l *Limiter) pollBanner(j *Job, phase fleet.Phase, now time.Time) {
	j.bannerSeen = phase > fleet.PhaseBanner
	for _, e := range j.path {
		if j.bannerSeen {
			e.window.onBanner(now.Sub(j.began))
			l.markReady(e, now)
		} else if e.waiting.n > 0 && e.window.canGrow() {
			l.mayGrow = true
		}
	}
}
