package admission

import (
	"testing"
	"time"

	"shoal/fleet"
)

// greet has all that were started be taken by their server.
func greet(all []*Ticket) {
	for _, t := range all {
		t.Timeline.Enter(fleet.PhaseKex)
	}
}

func startAllTimed(d *Desk, now time.Time) []*Ticket {
	all := startAll(d, now)
	for _, t := range all {
		t.Timeline = new(fleet.Timeline)
		t.Timeline.Enter(fleet.PhaseBanner)
	}
	return all
}

// A window widens when a server far away has greeted, once for each connect.
func TestGreetingsWiden(t *testing.T) {
	d := New(wide())
	fill(d, 1000, one)
	first := startAllTimed(d, epoch)
	now := epoch.Add(40 * time.Millisecond)
	if got := startAllTimed(d, now); len(got) != 0 {
		t.Fatalf("%d started though none was greeted", len(got))
	}
	if at, ok := d.Wake(now); !ok || at.Sub(now) != askPause {
		t.Errorf("waked in %v, %v; want %v", at.Sub(now), ok, askPause)
	}
	greet(first)
	if got := startAllTimed(d, now.Add(time.Millisecond)); len(got) != 0 {
		t.Errorf("%d started: asked too often", len(got))
	}
	now = now.Add(askPause)
	second := startAllTimed(d, now)
	if len(first) != 4 || len(second) != 8 {
		t.Fatalf("%d, then %d started, want 4, then 8", len(first), len(second))
	}
	now = now.Add(40 * time.Millisecond)
	greet(second)
	third := startAllTimed(d, now)
	if len(third) != 16 {
		t.Errorf("%d started after 8 more greetings, want 16", len(third))
	}
	for _, s := range first {
		d.Over(s, Succeeded, now)
	}
	if got := startAllTimed(d, now); len(got) != 4 || d.Starts(first[0].Target) != 28 {
		t.Errorf("%d started, window %d; want 4 in the place of those that are through, and 28", len(got), d.Starts(first[0].Target))
	}
}

// What says nothing of how many a server takes: greetings of one that is near,
// that come later than others, or when something was too much before.
func TestGreetingsThatDoNotWiden(t *testing.T) {
	for name, c := range map[string]struct {
		waits []time.Duration
		turn  bool
		want  int
	}{
		"near":     {[]time.Duration{far - 1}, false, 0},
		"later":    {[]time.Duration{far, far + far/4 + 1}, false, 2},
		"no later": {[]time.Duration{far, far + far/4}, false, 4},
		"turned":   {[]time.Duration{far}, true, 0},
	} {
		d := New(wide())
		fill(d, 100, one)
		all := startAllTimed(d, epoch)
		if c.turn {
			d.Over(all[3], TurnedAway, epoch.Add(time.Millisecond))
		}
		got := 0
		for i, wait := range c.waits {
			greet(all[i : i+1])
			got += len(startAllTimed(d, epoch.Add(wait)))
		}
		if got != c.want {
			t.Errorf("%s: %d started, want %d", name, got, c.want)
		}
	}
}

// A server that greets and lets nobody in holds only so many.
func TestGreetingsAloneWidenSoFar(t *testing.T) {
	d := New(wide())
	fill(d, 1000, one)
	held := 0
	for now := epoch; now.Before(epoch.Add(10 * time.Second)); now = now.Add(far) {
		started := startAllTimed(d, now)
		held += len(started)
		greet(started)
	}
	if held != 4*3*3 {
		t.Errorf("%d are held, want %d", held, 4*3*3)
	}
}

// Nobody is asked where nothing could come of it.
func TestNoGreetingIsAwaited(t *testing.T) {
	limits := wide()
	limits.MostStarts = 4
	d := New(limits)
	fill(d, 100, one)
	startAllTimed(d, epoch)
	startAllTimed(d, epoch.Add(time.Second))
	if at, ok := d.Wake(epoch.Add(time.Second)); ok {
		t.Errorf("waked at %v though the window cannot widen", at)
	}
	d = New(wide())
	fill(d, 4, one)
	startAllTimed(d, epoch)
	if at, ok := d.Wake(epoch); ok {
		t.Errorf("waked at %v though nothing waits", at)
	}
}
