package limiter

import (
	"time"

	"shoal/fleet"
)

const (
	// pollInterval is the least time between two polls of the connects' phases.
	pollInterval = 2 * time.Millisecond
	// pollCost bounds what polls cost: each connect adds that to the time between two.
	pollCost = 8 * time.Microsecond
	// quietAfter is how long a connect without a word of its server counts as one that costs this
	// machine something. Where connects get slower it is this machine that keeps it waiting.
	quietAfter = 50 * time.Millisecond
	// farNetwork is the time from which a banner lets the number of all connects grow: it waited
	// for the network, and not for this machine.
	farNetwork = 50 * time.Millisecond
)

// A phaseLimit withholds starts while too many connects are in a phase. Connects
// do not report their phases; they are polled when the limit seems to be reached.
type phaseLimit struct {
	last fleet.Phase // the phase; earlier ones count too
	max  int         // 0 means no bound
	n    int         // fast connects that were in it when they were looked at last
}

// The elements of Limiter.phases.
const (
	lookups = iota
	keyExchanges
	numPhaseLimits
)

func newPhaseLimits(l Limits) [numPhaseLimits]phaseLimit {
	return [numPhaseLimits]phaseLimit{
		lookups:      {last: fleet.PhaseResolve, max: l.Lookups},
		keyExchanges: {last: fleet.PhaseHostkey, max: l.KeyExchanges},
	}
}

func (p *phaseLimit) full() bool { return p.max > 0 && p.n >= p.max }

// phasesFull reports whether a phase limit allows no start.
func (l *Limiter) phasesFull(now time.Time) bool {
	if l.phases[lookups].full() || l.phases[keyExchanges].full() {
		l.poll(now)
	}
	return l.phases[lookups].full() || l.phases[keyExchanges].full()
}

// awaitsBanners reports whether a banner may let a job start: nothing else can.
func (l *Limiter) awaitsBanners() bool {
	return l.mayGrow && l.queued > 0 && l.ready.first == nil && l.inFlight < l.Fanout()
}

// poll counts the fast connects per phase, and grows windows for banners that have
// come.
func (l *Limiter) poll(now time.Time) {
	if now.Before(l.nextPoll()) {
		return
	}
	l.lastPoll, l.mayGrow = now, false
	l.pollQuiet()
	for j, next := l.fast.first, (*Job)(nil); j != nil; j = next {
		next = j.next
		phase, room := j.phase(), l.waiting() < l.limits.Slow
		switch age := now.Sub(j.began); {
		case phase == fleet.PhaseResolve && l.phases[lookups].max > 0: // it waits for a name server, which others ask too
			if l.phases[lookups].full() && age >= l.median.slowAfter() && room {
				l.move(j, &l.slow)
				continue
			}
		case !l.followsLatency():
		case j.Signed != nil && j.Signed.Load():
			l.leaveToServer(j, now)
			continue
		case phase <= fleet.PhaseBanner && age >= quietAfter && !l.dials.slower && room:
			l.move(j, &l.quiet)
			continue
		}
		l.count(j, phase)
		if !j.bannerSeen {
			l.pollBanner(j, phase, now)
		}
	}
}

// count says in which phase a connect is now. One that is not fast counts for no limit.
func (l *Limiter) count(j *Job, phase fleet.Phase) {
	for i := range l.phases {
		p, in := &l.phases[i], j.in == &l.fast && phase <= l.phases[i].last
		switch {
		case in && !j.counted[i]:
			p.n++
		case !in && j.counted[i]:
			p.n--
		}
		j.counted[i] = in
	}
}

// pollQuiet counts again the connects whose server has spoken.
func (l *Limiter) pollQuiet() {
	for j, next := l.quiet.first, (*Job)(nil); j != nil; j = next {
		if next = j.next; j.phase() > fleet.PhaseBanner {
			l.move(j, &l.fast)
		}
	}
}

// phase is the first one while the caller has not set a Timeline.
func (j *Job) phase() (p fleet.Phase) {
	if j.Timeline != nil {
		p = j.Timeline.Phase()
	}
	return p
}

// nextPoll returns when the phases may be polled again.
func (l *Limiter) nextPoll() time.Time {
	return l.lastPoll.Add(max(pollInterval, time.Duration(l.fast.n+l.quiet.n)*pollCost))
}

// followsLatency reports whether the bound on all connects is not fixed.
func (l *Limiter) followsLatency() bool { return l.limits.MaxDials > l.limits.Dials }

// leaveToServer takes a connect off those that cost this machine something: what remains is to
// wait until the server lets us in, which takes a second where it asks a directory.
func (l *Limiter) leaveToServer(j *Job, now time.Time) {
	l.move(j, &l.atServer)
	took := now.Sub(j.began)
	l.dials.onSuccess(took)
	if !j.bannerSeen {
		l.pollBanner(j, fleet.PhaseAuth, now)
	}
}

// pollBanner grows the windows of j as soon as the server's banner has come.
func (l *Limiter) pollBanner(j *Job, phase fleet.Phase, now time.Time) {
	j.bannerSeen = phase > fleet.PhaseBanner
	if took := now.Sub(j.began); j.bannerSeen && took >= farNetwork && !l.dials.slower {
		l.dials.onBanner(took)
	}
	for _, e := range j.path {
		if j.bannerSeen {
			e.window.onBanner(now.Sub(j.began))
			l.markReady(e, now)
		} else if e.waiting.n > 0 && e.window.canGrow() {
			l.mayGrow = true
		}
	}
}
