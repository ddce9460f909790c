package limiter

import (
	"testing"
	"time"
)

// A server that accepts a fixed number at the same time and always drops the
// others. mean is the window's mean size.
func serve(w *window, takes, rounds int, took time.Duration) (drops int, mean float64) {
	now := w.dropped.Add(time.Minute)
	for range rounds {
		n := w.size()
		mean += float64(n) / float64(rounds)
		w.onStart(n)
		for i := range n {
			if i < takes {
				w.onSuccess(took)
			} else {
				w.onDrop(now, n+takes-i, now.Add(took)) // those that were dropped are gone
				drops++
			}
		}
		now = now.Add(2 * took)
	}
	return drops, mean
}

func TestWindowFindsTheLimit(t *testing.T) {
	for _, c := range []struct {
		takes, drops int
		least        float64
	}{
		{9, 20, 8.5},
		{100, 25, 97},
		{150, 200, 145},
		{2, 20, 1.9},
	} {
		w := newWindow(4, 256)
		drops, _ := serve(&w, c.takes, 10, time.Second)
		later, mean := serve(&w, c.takes, 200, time.Second)
		if drops += later; drops > c.drops {
			t.Errorf("a server that takes %d dropped %d connections in 210 rounds, want at most %d", c.takes, drops, c.drops)
		}
		if mean < c.least || mean > float64(c.takes)+0.5 {
			t.Errorf("a server that takes %d is given %.1f at once, want %v or more", c.takes, mean, c.least)
		}
	}
}

func TestWindowTriplesToItsBound(t *testing.T) {
	w := newWindow(4, 100)
	for _, want := range []int{12, 36, 100, 100} {
		serve(&w, 1000, 1, time.Second)
		if w.size() != want {
			t.Errorf("size %d, want %d", w.size(), want)
		}
	}
	fixed := newWindow(3, 3)
	if serve(&fixed, 1000, 10, time.Second); fixed.size() != 3 {
		t.Errorf("a fixed window of 3 became %d", fixed.size())
	}
}

// A server that only gets slower is not given more connects; nor is one whose
// window is not used.
func TestWindowKeeps(t *testing.T) {
	w := newWindow(4, 100)
	w.onStart(4)
	w.onSuccess(time.Second)
	for range 100 {
		w.onSuccess(2*time.Second + 1)
	}
	if w.size() != 6 {
		t.Errorf("size %d after connects of more than twice the time, want 6", w.size())
	}
	for range 100 {
		w.onSuccess(2 * time.Second)
	}
	if w.size() != 12 {
		t.Errorf("size %d with at most 4 at once, want 12", w.size())
	}
}

// All drops of one burst cause one decrease, to the number of survivors.
func TestWindowIsCutOnce(t *testing.T) {
	w := newWindow(4, 100)
	serve(&w, 1000, 3, time.Second)
	now := time.Unix(100, 0)
	cut := func(going, drops int) {
		for range drops {
			w.onDrop(now.Add(-time.Second), going, now)
			going--
			now = now.Add(time.Millisecond)
		}
		now = now.Add(time.Minute)
	}
	for _, c := range []struct{ going, drops, want int }{{100, 1, 80}, {80, 30, 50}, {50, 48, 16}, {16, 1, 13}, {1, 1, 13}} {
		if cut(c.going, c.drops); w.size() != c.want {
			t.Errorf("size %d after %d of %d were dropped, want %d", w.size(), c.drops, c.going, c.want)
		}
	}
}

// A server that accepted almost nothing for a while, and has recovered.
func TestWindowComesBack(t *testing.T) {
	w := newWindow(4, 256)
	serve(&w, 60, 20, time.Second)
	serve(&w, 1, 4, time.Second)
	if w.size() > 3 {
		t.Errorf("size %d where one at once goes well", w.size())
	}
	if serve(&w, 60, 60, time.Second); w.size() < 50 {
		t.Errorf("size %d after 60 rounds in which 60 at once went well", w.size())
	}
}
