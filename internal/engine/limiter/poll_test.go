package limiter

import (
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"shoal/fleet"
)

// greet lets the banners of all connects arrive.
func greet(all []*Job) {
	for _, t := range all {
		t.Timeline.Enter(fleet.PhaseKex)
	}
}

func startAllTimed(lim *Limiter, now time.Time) []*Job {
	all := startAll(lim, now)
	for _, t := range all {
		t.Timeline = new(fleet.Timeline)
		t.Timeline.Enter(fleet.PhaseBanner)
	}
	return all
}

// The banner of a server far away grows the window, once for each connect.
func TestBannersWiden(t *testing.T) {
	lim := New(wide())
	fill(lim, 1000, one)
	first := startAllTimed(lim, epoch)
	now := epoch.Add(40 * time.Millisecond)
	if got := startAllTimed(lim, now); len(got) != 0 {
		t.Fatalf("%d started though no banner had come", len(got))
	}
	if at, ok := lim.NextWake(now); !ok || at.Sub(now) != pollInterval {
		t.Errorf("waked in %v, %v; want %v", at.Sub(now), ok, pollInterval)
	}
	greet(first)
	if got := startAllTimed(lim, now.Add(time.Millisecond)); len(got) != 0 {
		t.Errorf("%d started: asked too often", len(got))
	}
	now = now.Add(pollInterval)
	second := startAllTimed(lim, now)
	if len(first) != 4 || len(second) != 8 {
		t.Fatalf("%d, then %d started, want 4, then 8", len(first), len(second))
	}
	now = now.Add(40 * time.Millisecond)
	greet(second)
	third := startAllTimed(lim, now)
	if len(third) != 16 {
		t.Errorf("%d started after 8 more banners, want 16", len(third))
	}
	for _, s := range first {
		lim.Connected(s, Succeeded, now)
	}
	if got := startAllTimed(lim, now); len(got) != 4 || lim.endpoints[address(first[0].Target.Target)].window.size() != 28 {
		t.Errorf("%d started, window %d; want 4 in the place of those that are through, and 28", len(got), lim.endpoints[address(first[0].Target.Target)].window.size())
	}
}

// Banners that do not grow the window: those of a near server, those
// later than others, and those after a drop.
func TestBannersThatDoNotWiden(t *testing.T) {
	for name, c := range map[string]struct {
		waits []time.Duration
		turn  bool
		want  int
	}{
		"near":     {[]time.Duration{farBanner - 1}, false, 0},
		"later":    {[]time.Duration{farBanner, farBanner + farBanner/4 + 1}, false, 2},
		"no later": {[]time.Duration{farBanner, farBanner + farBanner/4}, false, 4},
		"turned":   {[]time.Duration{farBanner}, true, 0},
	} {
		lim := New(wide())
		fill(lim, 100, one)
		all := startAllTimed(lim, epoch)
		if c.turn {
			lim.Connected(all[3], TurnedAway, epoch.Add(time.Millisecond))
		}
		got := 0
		for i, wait := range c.waits {
			greet(all[i : i+1])
			got += len(startAllTimed(lim, epoch.Add(wait)))
		}
		if got != c.want {
			t.Errorf("%s: %d started, want %d", name, got, c.want)
		}
	}
}

// A server that sends banners and authenticates nobody holds a bounded number.
func TestBannersAloneWidenSoFar(t *testing.T) {
	lim := New(wide())
	fill(lim, 1000, one)
	held := 0
	for now := epoch; now.Before(epoch.Add(10 * time.Second)); now = now.Add(farBanner) {
		started := startAllTimed(lim, now)
		held += len(started)
		greet(started)
	}
	if held != 4*3*3 {
		t.Errorf("%d are held, want %d", held, 4*3*3)
	}
}

// Phases are not polled where no window can grow.
func TestNoBannerIsAwaited(t *testing.T) {
	limits := wide()
	limits.MaxStarts = 4
	lim := New(limits)
	fill(lim, 100, one)
	startAllTimed(lim, epoch)
	startAllTimed(lim, epoch.Add(time.Second))
	if at, ok := lim.NextWake(epoch.Add(time.Second)); ok {
		t.Errorf("waked at %v though the window cannot widen", at)
	}
	lim = New(wide())
	fill(lim, 4, one)
	startAllTimed(lim, epoch)
	if at, ok := lim.NextWake(epoch); ok {
		t.Errorf("waked at %v though nothing waits", at)
	}
}

// Banners count also for jobs that were enqueued when nothing was expected of any.
func TestBannersAreAwaitedAgain(t *testing.T) {
	lim := New(wide())
	fill(lim, 4, one)
	fill(lim, 5, func(int) string { return "full" })
	started := startAllTimed(lim, epoch)
	lim.Connected(started[len(started)-1], Dropped, epoch)
	now := epoch.Add(40 * time.Millisecond)
	if got := startAllTimed(lim, now); len(started) != 8 || len(got) != 0 {
		t.Fatalf("%d, then %d started, want 8, then 0", len(started), len(got))
	}
	if at, ok := lim.NextWake(now); ok {
		t.Errorf("wakes at %v though no window can grow where a job waits", at)
	}
	fill(lim, 20, one)
	for _, j := range started {
		if j.Target.Host.Name == "one" {
			greet([]*Job{j})
		}
	}
	if got := startAllTimed(lim, now.Add(pollInterval)); len(got) != 8 {
		t.Errorf("%d started after 4 banners, want 8", len(got))
	}
}

// Without a fixed bound, connects that wait for nothing but the network or their server leave room
// for others; those that keep this machine busy do not.
func TestDialsFollowLatency(t *testing.T) {
	const all = 100
	limits := Limits{Fanout: all, Dials: 4, MaxDials: all, Slow: all, InitialStarts: 1, MaxStarts: 1, ThroughJump: 1, Jitter: func() float64 { return 0 }}
	begin := func(l Limits) (*Limiter, []*Job) {
		lim := New(l)
		for i := range all {
			lim.Enqueue(to(fmt.Sprint("h", i), i), epoch)
		}
		return lim, watched(startAll(lim, epoch))
	}
	later := epoch.Add(quietAfter)
	for name, c := range map[string]struct {
		limits Limits
		wait   func(*Job)
		slower bool
		want   int // that may start at later
	}{
		"silent":            {limits, func(*Job) {}, false, 4},
		"silent, and slow":  {limits, func(*Job) {}, true, 0},
		"in key exchange":   {limits, func(j *Job) { j.Timeline.Enter(fleet.PhaseKex) }, false, 0},
		"signed":            {limits, func(j *Job) { j.Timeline.Enter(fleet.PhaseAuth); j.Signed.Store(true) }, false, 4},
		"waiting for agent": {limits, func(j *Job) { j.Timeline.Enter(fleet.PhaseAuth) }, false, 0},
	} {
		t.Run(name, func(t *testing.T) {
			lim, jobs := begin(c.limits)
			if len(jobs) != 4 {
				t.Fatalf("%d start at once, want 4", len(jobs))
			}
			for _, j := range jobs {
				c.wait(j)
			}
			lim.dials.slower = c.slower
			soon := watched(startAll(lim, epoch.Add(quietAfter/5)))
			if got := len(soon) + len(startAll(lim, later)); got < c.want || c.want == 0 && got > 0 {
				t.Errorf("%d start, want %d", got, c.want)
			}
			if at, ok := lim.NextWake(later); !ok || !at.After(later) {
				t.Errorf("woken at %v, %v: not behind %v", at, ok, later)
			}
		})
	}

	limits.MaxDials = 0
	lim, jobs := begin(limits)
	for _, j := range jobs {
		j.Timeline.Enter(fleet.PhaseAuth)
		j.Signed.Store(true)
	}
	if got := len(startAll(lim, later)); got > 0 {
		t.Errorf("%d start beyond a fixed bound", got)
	}
}

// A name server gets no more questions for being far away; one that does not answer at all holds up
// the others no longer than a slow connect does.
func TestLookupsAwaitTheNameServer(t *testing.T) {
	const all = 100
	lim := New(Limits{
		Fanout: all, Dials: 20, MaxDials: all, Slow: all, InitialStarts: 1, MaxStarts: 1, ThroughJump: 1, Lookups: 4,
		Jitter: func() float64 { return 0 },
	})
	fill(lim, all, each)
	jobs := watched(startAll(lim, epoch))
	for _, j := range jobs {
		j.Timeline.Enter(fleet.PhaseResolve)
	}
	if len(jobs) != 4 {
		t.Fatalf("%d start at once, want 4", len(jobs))
	}
	for _, after := range []time.Duration{quietAfter, 4 * quietAfter, initialSlowAfter - 1} {
		if got := startAll(lim, epoch.Add(after)); len(got) > 0 {
			t.Errorf("%d start after %v, while 4 names are looked up", len(got), after)
		}
	}
	if got := watched(startAll(lim, epoch.Add(initialSlowAfter+pollInterval))); len(got) != 1 {
		t.Errorf("%d start in the place of a slow look-up, want 1", len(got))
	}
}

// A connect that is past its key exchange, and ends, makes no room for another.
func TestKeyExchangesAreCounted(t *testing.T) {
	l := wide()
	l.KeyExchanges = 1
	lim := New(l)
	fill(lim, 10, each)
	now := epoch
	start := func() (all []*Job) {
		now = now.Add(pollInterval)
		for _, j := range watched(startAll(lim, now)) {
			j.Timeline.Enter(fleet.PhaseKex)
			all = append(all, j)
		}
		return all
	}
	first := start()
	first[0].Timeline.Enter(fleet.PhaseAuth)
	second := start()
	lim.Connected(first[0], Succeeded, now)
	if third := start(); len(first) != 1 || len(second) != 1 || len(third) != 0 {
		t.Errorf("%d, %d and %d start, want 1, 1 and, while the second exchanges keys, none", len(first), len(second), len(third))
	}
}

// watched gives jobs what tells of their phases.
func watched(jobs []*Job) []*Job {
	for _, j := range jobs {
		j.Timeline, j.Signed = new(fleet.Timeline), new(atomic.Bool)
	}
	return jobs
}
