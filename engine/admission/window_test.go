package admission

import (
	"testing"
	"time"
)

// A server that takes so many at once and drops what is beyond, every time.
func serve(w *window, takes, rounds int, took time.Duration) (drops, most int) {
	now := time.Unix(0, 0)
	for range rounds {
		n := w.size()
		most = max(most, n)
		w.use(n)
		for i := range n {
			if i < takes {
				w.widen(took)
			} else {
				w.narrow(now, n, now.Add(took))
				drops++
			}
		}
		now = now.Add(2 * took)
	}
	return drops, most
}

func TestWindowFindsTheLimit(t *testing.T) {
	for _, c := range []struct {
		takes, rounds, drops, least int
	}{
		{9, 200, 20, 8},
		{100, 200, 200, 90},
		{150, 200, 200, 130},
		{2, 200, 30, 1},
	} {
		w := newWindow(4, 256)
		drops, _ := serve(&w, c.takes, c.rounds, time.Second)
		if drops > c.drops {
			t.Errorf("a server that takes %d dropped %d connections in %d rounds, want at most %d", c.takes, drops, c.rounds, c.drops)
		}
		if w.size() < c.least || w.size() > c.takes+1 {
			t.Errorf("a server that takes %d is given %d at once, want %d or more", c.takes, w.size(), c.least)
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

// A server that only gets slower is not given more; nor is one whose window is
// not used.
func TestWindowKeeps(t *testing.T) {
	w := newWindow(4, 100)
	w.use(4)
	w.widen(time.Second)
	for range 100 {
		w.widen(2*time.Second + 1)
	}
	if w.size() != 6 {
		t.Errorf("size %d after connects of more than twice the time, want 6", w.size())
	}
	for range 100 {
		w.widen(2 * time.Second)
	}
	if w.size() != 12 {
		t.Errorf("size %d with at most 4 at once, want 12", w.size())
	}
}

// All drops of one burst are one cut.
func TestWindowIsCutOnce(t *testing.T) {
	w := newWindow(100, 100)
	now := time.Unix(100, 0)
	for i := range 50 {
		w.narrow(now.Add(-time.Second), 100-i, now.Add(time.Duration(i)))
	}
	if w.size() != 80 {
		t.Errorf("size %d after a burst of drops, want 80", w.size())
	}
	w.narrow(now.Add(time.Second), 80, now.Add(2*time.Second))
	if w.size() != 64 {
		t.Errorf("size %d after another, want 64", w.size())
	}
}
