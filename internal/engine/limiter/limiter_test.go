package limiter

import (
	"fmt"
	"testing"
	"time"

	"pgregory.net/rapid"

	"shoal/fleet"
	"shoal/internal/ssh"
)

var epoch = time.Unix(1_000_000, 0)

func wide() Limits {
	return Limits{
		Fanout: 1000, Dials: 1000, Slow: 1000, InitialStarts: 4, MaxStarts: 256, ThroughJump: 8,
		Jitter: func() float64 { return 0.5 },
	}
}

func to(server string, index int) *Job {
	return &Job{Target: ssh.Target{Target: fleet.Target{Host: fleet.Host{Name: server}, Index: index}}}
}

// startAll takes all jobs that may start now.
func startAll(lim *Limiter, now time.Time) []*Job {
	var all []*Job
	for t := lim.Next(now); t != nil; t = lim.Next(now) {
		all = append(all, t)
	}
	return all
}

func fill(lim *Limiter, n int, server func(i int) string) {
	for i := range n {
		lim.Enqueue(to(server(i), i), epoch)
	}
}

func one(int) string    { return "one" }
func each(i int) string { return fmt.Sprint("h", i) }

func TestBounds(t *testing.T) {
	for _, c := range []struct {
		name   string
		change func(*Limits)
		server func(int) string
		want   int
	}{
		{"fanout", func(l *Limits) { l.Fanout = 7 }, each, 7},
		{"dials", func(l *Limits) { l.Dials = 9 }, each, 9},
		{"starts", func(*Limits) {}, one, 4},
		{"lookups", func(l *Limits) { l.Lookups = 11 }, each, 11},
		{"key exchanges", func(l *Limits) { l.KeyExchanges = 13 }, each, 13},
		{"rate", func(l *Limits) { l.Rate = 5 }, each, 1},
		{"none", func(*Limits) {}, each, 100},
	} {
		l := wide()
		c.change(&l)
		lim := New(l)
		fill(lim, 100, c.server)
		if got := len(startAll(lim, epoch)); got != c.want {
			t.Errorf("%s: %d started, want %d", c.name, got, c.want)
		}
		if lim.Waiting() != 100-c.want || lim.InFlight() != c.want {
			t.Errorf("%s: %d wait, %d fly", c.name, lim.Waiting(), lim.InFlight())
		}
	}
}

// Starts through a jump host have a limit beside that of the servers behind it, and
// in a chain one per jump host.
func TestJumpHosts(t *testing.T) {
	far := fleet.Target{Host: fleet.Host{Name: "far"}}
	near := fleet.Target{Host: fleet.Host{Name: "near"}, Route: &fleet.Route{Via: &far}}
	l := wide()
	lim := New(l)
	for i := range 20 {
		via := &near
		if i%2 == 1 {
			via = &far
		}
		j := to(each(i), i)
		j.Target.Route = &fleet.Route{Via: via}
		lim.Enqueue(j, epoch)
	}
	lim.Enqueue(to("direct", 20), epoch)
	started := startAll(lim, epoch)
	if len(started) != 9 {
		t.Errorf("%d started, want 8 through the far host and 1 beside it", len(started))
	}
	lim.Connected(started[1], JumpFailed, epoch.Add(time.Second))
	if again := startAll(lim, epoch.Add(time.Second)); len(again) != 0 {
		t.Errorf("%d more started though the jump host had too many", len(again))
	}
	for i, s := range started {
		if i != 1 {
			lim.Connected(s, Succeeded, epoch.Add(2*time.Second))
		}
	}
	if again := startAll(lim, epoch.Add(2*time.Second)); len(again) < 5 || len(again) > 8 {
		t.Errorf("%d started when those were through, want a window of 5 to 8", len(again))
	}
}

// A server that turns a whole window away rests for 20 s and more, longer each
// time, and is given up in the end; other servers go on.
// faults.md: T08
func TestPenalty(t *testing.T) {
	lim := New(wide())
	fill(lim, 100, one)
	now := epoch
	var started []*Job
	for i, want := range []int{4, 1, 1, 1} {
		started = startAll(lim, now)
		if len(started) != want {
			t.Fatalf("window %d: %d started, want %d", i, len(started), want)
		}
		now = now.Add(time.Second)
		for _, s := range started {
			lim.Connected(s, TurnedAway, now)
		}
		rest := 25 * time.Second << i // 20 s, and half of half of that
		if i < 3 {
			if n := len(startAll(lim, now)); n != 0 {
				t.Errorf("rest %d: %d started", i, n)
			}
			if at, ok := lim.NextWake(now); !ok || at.Sub(now) != rest {
				t.Errorf("rest %d: %v, want %v", i, at.Sub(now), rest)
			}
			other := to("other", 100+i)
			lim.Enqueue(other, now)
			if got := startAll(lim, now); len(got) != 1 || got[0] != other {
				t.Errorf("rest %d: another server had to wait", i)
			}
			if got := startAll(lim, now.Add(rest-1)); len(got) != 0 {
				t.Errorf("rest %d was not kept", i)
			}
		}
		now = now.Add(rest)
	}
	givenUp := func(want int) {
		t.Helper()
		if lim.Waiting() != want {
			t.Errorf("%d wait, want %d that Next has to give", lim.Waiting(), want)
		}
		all := startAll(lim, now)
		for _, s := range all {
			if !s.Abandoned() {
				t.Errorf("target %d may start at a server that was given up", s.Target.Index)
			}
		}
		if len(all) != want || lim.Waiting() != 0 {
			t.Errorf("%d given up, %d wait; want %d and 0", len(all), lim.Waiting(), want)
		}
	}
	givenUp(93) // those that were not tried
	lim.Enqueue(to("one", 200), now)
	givenUp(1)
	lim.Enqueue(to("one", 201), now)
	if all := lim.Drain(); len(all) != 1 || !all[0].Abandoned() || lim.Waiting() != 0 {
		t.Errorf("Drain gave %d, %d wait; want the one whose server was given up", len(all), lim.Waiting())
	}
}

// A connect that began after the cut and is turned away once its server rests
// leaves a window in which one may start.
func TestOneMayAlwaysStart(t *testing.T) {
	lim := New(wide())
	fill(lim, 100, one)
	now := epoch
	first := startAll(lim, now)
	now = now.Add(time.Second)
	lim.Connected(first[0], TurnedAway, now)
	lim.Connected(first[1], Inconclusive, now)
	lim.Connected(first[2], Inconclusive, now)
	later := startAll(lim, now)
	if len(first) != 4 || len(later) != 2 {
		t.Fatalf("%d and %d started, want 4 and 2", len(first), len(later))
	}
	lim.Connected(first[3], TurnedAway, now) // a rest
	lim.Connected(later[0], Dropped, now)
	lim.Connected(later[1], Dropped, now)
	now = now.Add(time.Minute)
	if n := len(startAll(lim, now)); n != 1 {
		t.Errorf("%d start after the rest, want 1", n)
	}
}

// A server that is busy with our connects turns others away repeatedly, which is no
// penalty until our connects have ended.
func TestBusyWithOursIsNoPenalty(t *testing.T) {
	for _, last := range []Outcome{Succeeded, TurnedAway} {
		limits := wide()
		limits.InitialStarts = 12
		lim := New(limits)
		fill(lim, 100, one)
		now := epoch
		first := startAll(lim, now)
		turnAway := func(all []*Job) {
			for _, s := range all {
				lim.Connected(s, TurnedAway, now)
			}
		}
		now = now.Add(time.Second)
		turnAway(first[:11])
		again := 0
		for more := startAll(lim, now); len(more) > 0; more = startAll(lim, now) {
			again += len(more)
			now = now.Add(time.Second)
			turnAway(more)
		}
		if again < 2 {
			t.Errorf("%d others started while one of the first went on, want 2 or more", again)
		}
		lim.Connected(first[11], last, now)
		if started := startAll(lim, now); (len(started) == 0) != (last == TurnedAway) {
			t.Errorf("%d start after all of the first were turned away: %v", len(started), last == TurnedAway)
		}
	}
}

// Drops among successes are no penalty.
func TestPlainDropsDoNotRest(t *testing.T) {
	lim := New(wide())
	now := epoch
	for range 100 {
		fill(lim, 20, one)
		started := startAll(lim, now)
		if len(started) == 0 {
			t.Fatal("nothing starts")
		}
		now = now.Add(time.Second)
		for i, s := range started {
			v := Succeeded
			if i >= 9 {
				v = TurnedAway
			}
			lim.Connected(s, v, now)
			lim.Release()
		}
	}
}

// Slow connects leave room for others, up to their own limit.
// faults.md: R16
func TestSlowConnects(t *testing.T) {
	l := wide()
	l.Dials, l.Slow = 10, 15
	lim := New(l)
	fill(lim, 200, each)
	now := epoch
	for range 2 { // 20 good ones of 100 ms
		for _, s := range startAll(lim, now) {
			lim.Connected(s, Succeeded, now.Add(100*time.Millisecond))
			lim.Release()
		}
		now = now.Add(100 * time.Millisecond)
	}
	for i, want := range []int{10, 10, 5, 0} {
		got := len(startAll(lim, now))
		if got != want {
			t.Errorf("wave %d of black holes: %d started, want %d", i, got, want)
		}
		if at, ok := lim.NextWake(now); i < 2 && (!ok || at.Sub(now) != 200*time.Millisecond) {
			t.Errorf("wave %d: wakes after %v, want twice the median", i, at.Sub(now))
		}
		now = now.Add(200 * time.Millisecond)
	}
	if lim.slow.n != 15 {
		t.Errorf("%d are slow, want 15", lim.slow.n)
	}
	suspect := to("again", 999)
	suspect.Suspect = true
	for lim.fast.n > 0 {
		lim.Connected(lim.fast.first, Inconclusive, now)
	}
	lim.Connected(lim.slow.first, Inconclusive, now)
	lim.Drain()
	lim.Enqueue(suspect, now)
	if startAll(lim, now); lim.slow.n != 15 {
		t.Errorf("a suspect one did not begin among the slow")
	}
}

func TestRate(t *testing.T) {
	for _, rate := range []float64{0.5, 10, 300, 5000} {
		l := wide()
		l.Rate = rate
		lim := New(l)
		fill(lim, 900, each)
		now, n := epoch, 0
		for n < 900 {
			n += len(startAll(lim, now))
			at, ok := lim.NextWake(now)
			if n < 900 && (!ok || !at.After(now)) {
				t.Fatalf("rate %v: nothing to wait for after %d", rate, n)
			}
			if n < 900 {
				now = at
			}
		}
		least := time.Duration(899 / rate * float64(time.Second))
		if took := now.Sub(epoch); took < least-burst || took > least+least/100+time.Millisecond {
			t.Errorf("rate %v: 900 starts took %v, want %v", rate, took, least)
		}
	}
}

func TestPhaseLimitPolls(t *testing.T) {
	l := wide()
	l.Lookups = 10
	lim := New(l)
	fill(lim, 100, each)
	started := startAll(lim, epoch)
	for i, s := range started {
		s.Timeline = new(fleet.Timeline)
		if i < 4 {
			s.Timeline.Enter(fleet.PhaseDial)
		}
	}
	if at, ok := lim.NextWake(epoch.Add(time.Second)); !ok || len(startAll(lim, epoch.Add(time.Second))) != 4 {
		t.Errorf("the four that know their address still count (wake %v)", at)
	}
}

func TestShrinkFanout(t *testing.T) {
	lim := New(wide())
	fill(lim, 2000, each)
	started := startAll(lim, epoch)
	for range 600 {
		lim.Connected(started[0], Inconclusive, epoch)
		lim.Release()
		started = started[1:]
	}
	lim.ShrinkFanout(lim.InFlight())
	if lim.Fanout() != 300 {
		t.Errorf("fanout %d with 400 in flight, want 300", lim.Fanout())
	}
	for _, s := range started {
		lim.Connected(s, Succeeded, epoch)
	}
	if lim.Fanout() != 301 {
		t.Errorf("fanout %d after 400 successes, want 301", lim.Fanout())
	}
	lim = New(wide())
	fill(lim, 2000, each)
	for i, s := range startAll(lim, epoch)[:801] {
		lim.Connected(s, map[bool]Outcome{true: Succeeded, false: Inconclusive}[i < 800], epoch)
	}
	if lim.ShrinkFanout(lim.Connecting() + 1); lim.Fanout() != 800+150 {
		t.Errorf("fanout %d, want the 800 that run and three quarters of the 200 connects", lim.Fanout())
	}
	lim.SetFanout(0, 0)
	lim.ShrinkFanout(lim.InFlight())
	lim.ShrinkFanout(lim.Connecting() + 1)
	if lim.Fanout() != 0 {
		t.Errorf("fanout %d, want the 0 that was asked for", lim.Fanout())
	}
}

// Whatever happens in any order: limits hold, no job is lost or returned twice, all
// end, and nothing is kept afterwards.
func TestLimiterModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		l := Limits{
			Fanout:        rapid.IntRange(1, 20).Draw(t, "fanout"),
			Dials:         rapid.IntRange(1, 10).Draw(t, "dials"),
			Slow:          rapid.IntRange(0, 10).Draw(t, "slow"),
			InitialStarts: rapid.IntRange(1, 4).Draw(t, "first"),
			MaxStarts:     rapid.IntRange(4, 8).Draw(t, "most"),
			ThroughJump:   rapid.IntRange(1, 4).Draw(t, "jump"),
			Lookups:       rapid.IntRange(0, 5).Draw(t, "lookups"),
			KeyExchanges:  rapid.IntRange(0, 5).Draw(t, "exchanges"),
			Rate:          rapid.SampledFrom([]float64{0, 3, 1000}).Draw(t, "rate"),
			Jitter:        func() float64 { return 0.5 },
		}
		lim := New(l)
		jumps := []*fleet.Target{nil, {Host: fleet.Host{Name: "j1"}}, {Host: fleet.Host{Name: "j2"}}}
		jumps = append(jumps, &fleet.Target{Host: fleet.Host{Name: "j1"}, Route: &fleet.Route{Via: jumps[2]}},
			&fleet.Target{Host: fleet.Host{Name: "j2"}, Route: &fleet.Route{Via: jumps[1]}})
		now := epoch
		var going, flying []*Job
		starts := map[string]int{}
		fed, done, waiting := 0, 0, 0
		over := func(i int, v Outcome) *Job {
			j := going[i]
			going = append(going[:i], going[i+1:]...)
			starts[j.Target.Host.Name]--
			lim.Connected(j, v, now)
			return j
		}
		start := func() bool {
			j := lim.Next(now)
			if j == nil {
				return false
			}
			waiting--
			if j.Abandoned() {
				done++
				return true
			}
			going = append(going, j)
			starts[j.Target.Host.Name]++
			if n := starts[j.Target.Host.Name]; n > l.MaxStarts {
				t.Fatalf("%d connects at once to %s", n, j.Target.Host.Name)
			}
			if lim.InFlight() > l.Fanout || len(going) > l.Dials+l.Slow {
				t.Fatalf("%d in flight, %d connects", lim.InFlight(), len(going))
			}
			return true
		}
		t.Repeat(map[string]func(*rapid.T){
			"feed": func(t *rapid.T) {
				j := to(rapid.SampledFrom([]string{"a", "b", "c"}).Draw(t, "server"), fed)
				if via := rapid.SampledFrom(jumps).Draw(t, "via"); via != nil {
					j.Target.Route = &fleet.Route{Via: via}
				}
				fed++
				waiting++
				lim.Enqueue(j, now)
			},
			"start": func(*rapid.T) { start() },
			"over": func(t *rapid.T) {
				if len(going) == 0 {
					t.Skip()
				}
				v := Outcome(rapid.IntRange(0, int(JumpFailed)).Draw(t, "outcome"))
				j := over(rapid.IntRange(0, len(going)-1).Draw(t, "which"), v)
				if rapid.Bool().Draw(t, "again") {
					lim.Release()
					waiting++
					j.Suspect = rapid.Bool().Draw(t, "suspect")
					lim.EnqueueAt(j, now.Add(time.Duration(rapid.IntRange(0, 5).Draw(t, "wait"))*time.Second))
					return
				}
				flying = append(flying, j)
			},
			"land": func(t *rapid.T) {
				if len(flying) == 0 {
					t.Skip()
				}
				flying = flying[1:]
				lim.Release()
				done++
			},
			"shrink": func(*rapid.T) { lim.ShrinkFanout(lim.InFlight()) },
			"time": func(t *rapid.T) {
				now = now.Add(time.Duration(rapid.IntRange(1, 3000).Draw(t, "ms")) * time.Millisecond)
			},
			"": func(t *rapid.T) {
				if lim.InFlight() != len(going)+len(flying) || lim.Waiting() != waiting || fed != done+waiting+lim.InFlight() {
					t.Fatalf("%d fed, %d done, %d of %d wait, %d of %d+%d fly",
						fed, done, lim.Waiting(), waiting, lim.InFlight(), len(going), len(flying))
				}
				if lim.Connecting() != len(going) {
					t.Fatalf("%d connects go on, want %d", lim.Connecting(), len(going))
				}
				for name, p := range lim.endpoints {
					if p.window.size() < 1 {
						t.Fatalf("nothing may start at %s any more: %+v", name, p.window)
					}
				}
			},
		})
		last := Outcome(rapid.IntRange(0, int(JumpFailed)).Draw(t, "last outcome"))
		for steps := 0; done < fed; steps++ { // from now on everything ends so
			if steps > 10_000 {
				t.Fatalf("stuck: %d of %d done, %d wait, %d endpoints", done, fed, lim.Waiting(), len(lim.endpoints))
			}
			for start() {
			}
			for len(going) > 0 {
				flying = append(flying, over(0, last))
			}
			for ; len(flying) > 0; flying = flying[1:] {
				lim.Release()
				done++
			}
			at, ok := lim.NextWake(now)
			if ok && at.After(now) {
				now = at
			} else {
				now = now.Add(time.Millisecond)
			}
		}
		now = now.Add(time.Hour)
		lim.Next(now)
		for name, p := range lim.endpoints {
			if !p.penalty.givenUp {
				t.Errorf("%s is kept: %+v", name, p)
			}
		}
	})
}
