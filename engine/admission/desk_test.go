package admission

import (
	"fmt"
	"testing"
	"time"

	"pgregory.net/rapid"

	"shoal/fleet"
)

var epoch = time.Unix(1_000_000, 0)

func wide() Limits {
	return Limits{
		Width: 1000, Dials: 1000, Slow: 1000, FirstStarts: 4, MostStarts: 256, ThroughJump: 8,
		Jitter: func() float64 { return 0.5 },
	}
}

func to(server string, index int) *Ticket {
	return &Ticket{Target: fleet.Target{Host: fleet.Host{Name: server}, Index: index}}
}

// startAll takes what may start now.
func startAll(d *Desk, now time.Time) []*Ticket {
	var all []*Ticket
	for t := d.Next(now); t != nil; t = d.Next(now) {
		all = append(all, t)
	}
	return all
}

func fill(d *Desk, n int, server func(i int) string) {
	for i := range n {
		d.Enqueue(to(server(i), i), epoch)
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
		{"width", func(l *Limits) { l.Width = 7 }, each, 7},
		{"dials", func(l *Limits) { l.Dials = 9 }, each, 9},
		{"starts", func(*Limits) {}, one, 4},
		{"lookups", func(l *Limits) { l.Lookups = 11 }, each, 11},
		{"key exchanges", func(l *Limits) { l.KeyExchanges = 13 }, each, 13},
		{"rate", func(l *Limits) { l.Rate = 5 }, each, 1},
		{"none", func(*Limits) {}, each, 100},
	} {
		l := wide()
		c.change(&l)
		d := New(l)
		fill(d, 100, c.server)
		if got := len(startAll(d, epoch)); got != c.want {
			t.Errorf("%s: %d started, want %d", c.name, got, c.want)
		}
		if d.Waiting() != 100-c.want || d.Flying() != c.want {
			t.Errorf("%s: %d wait, %d fly", c.name, d.Waiting(), d.Flying())
		}
	}
}

// Starts through a jump host are bounded beside those to the servers behind it,
// and in a chain by each.
func TestJumpHosts(t *testing.T) {
	far := fleet.Target{Host: fleet.Host{Name: "far"}}
	near := fleet.Target{Host: fleet.Host{Name: "near"}, Route: &fleet.Route{Via: &far}}
	l := wide()
	d := New(l)
	for i := range 20 {
		via := &near
		if i%2 == 1 {
			via = &far
		}
		tk := to(each(i), i)
		tk.Target.Route = &fleet.Route{Via: via}
		d.Enqueue(tk, epoch)
	}
	d.Enqueue(to("direct", 20), epoch)
	started := startAll(d, epoch)
	if len(started) != 9 {
		t.Errorf("%d started, want 8 through the far host and 1 beside it", len(started))
	}
	d.Over(started[1], JumpFailed, epoch.Add(time.Second))
	if again := startAll(d, epoch.Add(time.Second)); len(again) != 0 {
		t.Errorf("%d more started though the jump host had too many", len(again))
	}
	for i, s := range started {
		if i != 1 {
			d.Over(s, Succeeded, epoch.Add(2*time.Second))
		}
	}
	if again := startAll(d, epoch.Add(2*time.Second)); len(again) < 5 || len(again) > 8 {
		t.Errorf("%d started when those were through, want a window of 5 to 8", len(again))
	}
}

// A server that turns a whole window away rests for 20 s and more, longer each
// time, and is given up in the end; others go on.
func TestPenalty(t *testing.T) {
	d := New(wide())
	fill(d, 100, one)
	now := epoch
	var started []*Ticket
	for i, want := range []int{4, 1, 1, 1} {
		started = startAll(d, now)
		if len(started) != want {
			t.Fatalf("window %d: %d started, want %d", i, len(started), want)
		}
		now = now.Add(time.Second)
		for _, s := range started {
			d.Over(s, TurnedAway, now)
		}
		rest := 25 * time.Second << i // 20 s, and half of half of that
		if i < 3 {
			if n := len(startAll(d, now)); n != 0 {
				t.Errorf("rest %d: %d started", i, n)
			}
			if at, ok := d.Wake(now); !ok || at.Sub(now) != rest {
				t.Errorf("rest %d: %v, want %v", i, at.Sub(now), rest)
			}
			other := to("other", 100+i)
			d.Enqueue(other, now)
			if got := startAll(d, now); len(got) != 1 || got[0] != other {
				t.Errorf("rest %d: another server had to wait", i)
			}
			if got := startAll(d, now.Add(rest-1)); len(got) != 0 {
				t.Errorf("rest %d was not kept", i)
			}
		}
		now = now.Add(rest)
	}
	givenUp := func(want int) {
		t.Helper()
		if d.Waiting() != want {
			t.Errorf("%d wait, want %d that Next has to give", d.Waiting(), want)
		}
		all := startAll(d, now)
		for _, s := range all {
			if !s.GivenUp() {
				t.Errorf("target %d may start at a server that was given up", s.Target.Index)
			}
		}
		if len(all) != want || d.Waiting() != 0 {
			t.Errorf("%d given up, %d wait; want %d and 0", len(all), d.Waiting(), want)
		}
	}
	givenUp(93) // those that were not tried
	d.Enqueue(to("one", 200), now)
	givenUp(1)
	d.Enqueue(to("one", 201), now)
	if all := d.Clear(); len(all) != 1 || !all[0].GivenUp() || d.Waiting() != 0 {
		t.Errorf("Clear gave %d, %d wait; want the one whose server was given up", len(all), d.Waiting())
	}
}

// A connect that began after the cut and is turned away once its server rests
// leaves a window in which one may start.
func TestOneMayAlwaysStart(t *testing.T) {
	d := New(wide())
	fill(d, 100, one)
	now := epoch
	first := startAll(d, now)
	now = now.Add(time.Second)
	d.Over(first[0], TurnedAway, now)
	d.Over(first[1], Nothing, now)
	d.Over(first[2], Nothing, now)
	later := startAll(d, now)
	if len(first) != 4 || len(later) != 2 {
		t.Fatalf("%d and %d started, want 4 and 2", len(first), len(later))
	}
	d.Over(first[3], TurnedAway, now) // a rest
	d.Over(later[0], Dropped, now)
	d.Over(later[1], Dropped, now)
	now = now.Add(time.Minute)
	if n := len(startAll(d, now)); n != 1 {
		t.Errorf("%d start after the rest, want 1", n)
	}
}

// A server that is busy with ours turns others away, again and again, which is no
// penalty before it is known how ours end.
func TestBusyWithOursIsNoPenalty(t *testing.T) {
	for _, last := range []Verdict{Succeeded, TurnedAway} {
		limits := wide()
		limits.FirstStarts = 12
		d := New(limits)
		fill(d, 100, one)
		now := epoch
		first := startAll(d, now)
		turnAway := func(all []*Ticket) {
			for _, s := range all {
				d.Over(s, TurnedAway, now)
			}
		}
		now = now.Add(time.Second)
		turnAway(first[:11])
		again := 0
		for more := startAll(d, now); len(more) > 0; more = startAll(d, now) {
			again += len(more)
			now = now.Add(time.Second)
			turnAway(more)
		}
		if again < 2 {
			t.Errorf("%d others started while one of the first went on, want 2 or more", again)
		}
		d.Over(first[11], last, now)
		if started := startAll(d, now); (len(started) == 0) != (last == TurnedAway) {
			t.Errorf("%d start after all of the first were turned away: %v", len(started), last == TurnedAway)
		}
	}
}

// Drops among successes are no penalty.
func TestPlainDropsDoNotRest(t *testing.T) {
	d := New(wide())
	now := epoch
	for range 100 {
		fill(d, 20, one)
		started := startAll(d, now)
		if len(started) == 0 {
			t.Fatal("nothing starts")
		}
		now = now.Add(time.Second)
		for i, s := range started {
			v := Succeeded
			if i >= 9 {
				v = TurnedAway
			}
			d.Over(s, v, now)
			d.Landed()
		}
	}
}

// Connects that take long leave room for others, up to a bound of their own.
func TestSlowConnects(t *testing.T) {
	l := wide()
	l.Dials, l.Slow = 10, 15
	d := New(l)
	fill(d, 200, each)
	now := epoch
	for range 2 { // 20 good ones of 100 ms
		for _, s := range startAll(d, now) {
			d.Over(s, Succeeded, now.Add(100*time.Millisecond))
			d.Landed()
		}
		now = now.Add(100 * time.Millisecond)
	}
	for i, want := range []int{10, 10, 5, 0} {
		got := len(startAll(d, now))
		if got != want {
			t.Errorf("wave %d of black holes: %d started, want %d", i, got, want)
		}
		if at, ok := d.Wake(now); i < 2 && (!ok || at.Sub(now) != 200*time.Millisecond) {
			t.Errorf("wave %d: wakes after %v, want twice the median", i, at.Sub(now))
		}
		now = now.Add(200 * time.Millisecond)
	}
	if d.Slow() != 15 {
		t.Errorf("%d are slow, want 15", d.Slow())
	}
	suspect := to("again", 999)
	suspect.Suspect = true
	for d.fresh.n > 0 {
		d.Over(d.fresh.first, Nothing, now)
	}
	d.Over(d.slow.first, Nothing, now)
	d.Clear()
	d.Enqueue(suspect, now)
	if startAll(d, now); d.Slow() != 15 {
		t.Errorf("a suspect one did not begin among the slow")
	}
}

func TestRate(t *testing.T) {
	for _, rate := range []float64{0.5, 10, 300, 5000} {
		l := wide()
		l.Rate = rate
		d := New(l)
		fill(d, 900, each)
		now, n := epoch, 0
		for n < 900 {
			n += len(startAll(d, now))
			at, ok := d.Wake(now)
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

func TestCrowdAsksForPhases(t *testing.T) {
	l := wide()
	l.Lookups = 10
	d := New(l)
	fill(d, 100, each)
	started := startAll(d, epoch)
	for i, s := range started {
		s.Timeline = new(fleet.Timeline)
		if i < 4 {
			s.Timeline.Enter(fleet.PhaseDial)
		}
	}
	if at, ok := d.Wake(epoch.Add(time.Second)); !ok || len(startAll(d, epoch.Add(time.Second))) != 4 {
		t.Errorf("the four that know their address still count (wake %v)", at)
	}
}

func TestSqueeze(t *testing.T) {
	d := New(wide())
	fill(d, 2000, each)
	started := startAll(d, epoch)
	for range 600 {
		d.Over(started[0], Nothing, epoch)
		d.Landed()
		started = started[1:]
	}
	d.Squeeze()
	if d.Width() != 300 {
		t.Errorf("width %d with 400 in flight, want 300", d.Width())
	}
	for _, s := range started {
		d.Over(s, Succeeded, epoch)
	}
	if d.Width() != 301 {
		t.Errorf("width %d after 400 successes, want 301", d.Width())
	}
	d = New(wide())
	fill(d, 2000, each)
	for i, s := range startAll(d, epoch)[:801] {
		d.Over(s, map[bool]Verdict{true: Succeeded, false: Nothing}[i < 800], epoch)
	}
	if d.SqueezeConnects(); d.Width() != 800+150 {
		t.Errorf("width %d, want the 800 that run and three quarters of the 200 connects", d.Width())
	}
	d.SetWidth(0, 0)
	d.Squeeze()
	d.SqueezeConnects()
	if d.Width() != 0 {
		t.Errorf("width %d, want the 0 that was asked for", d.Width())
	}
}

// Whatever happens in whatever order: bounds hold, no ticket is lost or given
// twice, all come to an end, and nothing is kept afterwards.
func TestDeskModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		l := Limits{
			Width:        rapid.IntRange(1, 20).Draw(t, "width"),
			Dials:        rapid.IntRange(1, 10).Draw(t, "dials"),
			Slow:         rapid.IntRange(0, 10).Draw(t, "slow"),
			FirstStarts:  rapid.IntRange(1, 4).Draw(t, "first"),
			MostStarts:   rapid.IntRange(4, 8).Draw(t, "most"),
			ThroughJump:  rapid.IntRange(1, 4).Draw(t, "jump"),
			Lookups:      rapid.IntRange(0, 5).Draw(t, "lookups"),
			KeyExchanges: rapid.IntRange(0, 5).Draw(t, "exchanges"),
			Rate:         rapid.SampledFrom([]float64{0, 3, 1000}).Draw(t, "rate"),
			Jitter:       func() float64 { return 0.5 },
		}
		d := New(l)
		jumps := []*fleet.Target{nil, {Host: fleet.Host{Name: "j1"}}, {Host: fleet.Host{Name: "j2"}}}
		jumps = append(jumps, &fleet.Target{Host: fleet.Host{Name: "j1"}, Route: &fleet.Route{Via: jumps[2]}},
			&fleet.Target{Host: fleet.Host{Name: "j2"}, Route: &fleet.Route{Via: jumps[1]}})
		now := epoch
		var going, flying []*Ticket
		starts := map[string]int{}
		fed, done, waiting := 0, 0, 0
		over := func(i int, v Verdict) *Ticket {
			tk := going[i]
			going = append(going[:i], going[i+1:]...)
			starts[tk.Target.Host.Name]--
			d.Over(tk, v, now)
			return tk
		}
		start := func() bool {
			tk := d.Next(now)
			if tk == nil {
				return false
			}
			waiting--
			if tk.GivenUp() {
				done++
				return true
			}
			going = append(going, tk)
			starts[tk.Target.Host.Name]++
			if n := starts[tk.Target.Host.Name]; n > l.MostStarts {
				t.Fatalf("%d connects at once to %s", n, tk.Target.Host.Name)
			}
			if d.Flying() > l.Width || len(going) > l.Dials+l.Slow {
				t.Fatalf("%d in flight, %d connects", d.Flying(), len(going))
			}
			return true
		}
		t.Repeat(map[string]func(*rapid.T){
			"feed": func(t *rapid.T) {
				tk := to(rapid.SampledFrom([]string{"a", "b", "c"}).Draw(t, "server"), fed)
				if via := rapid.SampledFrom(jumps).Draw(t, "via"); via != nil {
					tk.Target.Route = &fleet.Route{Via: via}
				}
				fed++
				waiting++
				d.Enqueue(tk, now)
			},
			"start": func(*rapid.T) { start() },
			"over": func(t *rapid.T) {
				if len(going) == 0 {
					t.Skip()
				}
				v := Verdict(rapid.IntRange(0, int(JumpFailed)).Draw(t, "verdict"))
				tk := over(rapid.IntRange(0, len(going)-1).Draw(t, "which"), v)
				if rapid.Bool().Draw(t, "again") {
					d.Landed()
					waiting++
					tk.Suspect = rapid.Bool().Draw(t, "suspect")
					d.Later(tk, now.Add(time.Duration(rapid.IntRange(0, 5).Draw(t, "wait"))*time.Second))
					return
				}
				flying = append(flying, tk)
			},
			"land": func(t *rapid.T) {
				if len(flying) == 0 {
					t.Skip()
				}
				flying = flying[1:]
				d.Landed()
				done++
			},
			"squeeze": func(*rapid.T) { d.Squeeze() },
			"time": func(t *rapid.T) {
				now = now.Add(time.Duration(rapid.IntRange(1, 3000).Draw(t, "ms")) * time.Millisecond)
			},
			"": func(t *rapid.T) {
				if d.Flying() != len(going)+len(flying) || d.Waiting() != waiting || fed != done+waiting+d.Flying() {
					t.Fatalf("%d fed, %d done, %d of %d wait, %d of %d+%d fly",
						fed, done, d.Waiting(), waiting, d.Flying(), len(going), len(flying))
				}
				if d.Connecting() != len(going) {
					t.Fatalf("%d connects go on, want %d", d.Connecting(), len(going))
				}
				for name, p := range d.places {
					if p.window.size() < 1 {
						t.Fatalf("nothing may start at %s any more: %+v", name, p.window)
					}
				}
			},
		})
		last := Verdict(rapid.IntRange(0, int(JumpFailed)).Draw(t, "last verdict"))
		for steps := 0; done < fed; steps++ { // from now on everything ends so
			if steps > 10_000 {
				t.Fatalf("stuck: %d of %d done, %d wait, %d ready", done, fed, d.Waiting(), d.ready.len())
			}
			for start() {
			}
			for len(going) > 0 {
				flying = append(flying, over(0, last))
			}
			for ; len(flying) > 0; flying = flying[1:] {
				d.Landed()
				done++
			}
			at, ok := d.Wake(now)
			if ok && at.After(now) {
				now = at
			} else {
				now = now.Add(time.Millisecond)
			}
		}
		now = now.Add(time.Hour)
		d.Next(now)
		for name, p := range d.places {
			if !p.givenUp {
				t.Errorf("%s is kept: %+v", name, p)
			}
		}
	})
}
