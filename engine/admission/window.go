package admission

import (
	"math"
	"time"
)

const (
	// settled is the part of a window that is left at most when it was too wide,
	// but for the last step.
	settled = 0.8
	// eager is how many more a window takes for each success while nothing was
	// too much.
	eager = 2
	// cautious is how much slower a window widens next to what was too much.
	cautious = 20
	// negligible times say nothing about a server's load.
	negligible = 10 * time.Millisecond
)

// A window is how many connects to one server may go on at once. It triples with
// each of its own lengths until something is too much. Then it is cut to what was
// not, by a fifth at the least, and halves its distance to what was with each of
// its lengths. The last step it takes slowly: either that is too much again, and
// it takes it back, or the server takes more than it did. A connect that takes
// twice the shortest says that more of them at once would only wait longer.
type window struct {
	limit, most float64
	unproven    float64       // how far greetings alone may widen it
	ceiling     float64       // what was too much; 0 while nothing was
	floor       float64       // what went well before
	peak        int           // the most that were going on since the last cut
	shortest    time.Duration // of the connects that succeeded
	soonest     time.Duration // of the greetings
	ahead       int           // how many successes it has widened for, as greetings
	cut         time.Time     // when it was too wide last
	burst       int           // of those that went on then, how many were not too much
}

func newWindow(first, most int) window {
	return window{limit: float64(min(first, most)), most: float64(most), unproven: float64(first) * (1 + eager) * (1 + eager)}
}

func (w *window) size() int { return int(w.limit) }

// use is told how many connects are going on when one more has begun.
func (w *window) use(going int) { w.peak = max(w.peak, going) }

// widen is told of a connect that succeeded after took.
func (w *window) widen(took time.Duration) {
	if w.shortest == 0 || took < w.shortest {
		w.shortest = took
	}
	if took > max(2*w.shortest, negligible) || w.unused() {
		return
	}
	switch {
	case w.ceiling == 0 && w.ahead > 0:
		w.ahead-- // it has been
	case w.ceiling == 0:
		w.limit += eager
	case w.probing():
		w.limit += 1 / (cautious * w.limit)
		if w.limit >= w.ceiling+1 {
			w.ceiling = 0 // it is too much no longer
		}
	default:
		w.limit += max(1, (w.ceiling-1-w.limit)/2) / w.limit
	}
	w.limit = min(w.limit, w.most)
}

// greeted is told how long a server that has taken a connect took for that. One
// that has let nobody in yet may be there only to greet.
func (w *window) greeted(took time.Duration) {
	if w.soonest == 0 || took < w.soonest {
		w.soonest = took
	}
	proven := w.shortest > 0 || w.limit < w.unproven
	if proven && took >= far && took <= w.soonest+w.soonest/4 && w.growing() && !w.unused() {
		w.ahead++
		w.limit = min(w.limit+eager, w.most)
	}
}

// unused says that there is more room than was taken.
func (w *window) unused() bool {
	if w.ceiling == 0 {
		return w.size() >= (1+eager)*w.peak
	}
	return w.size() > w.peak
}

// growing says that nothing was too much yet.
func (w *window) growing() bool { return w.ceiling == 0 && w.limit < w.most }

// probing says that the next step may be too much again.
func (w *window) probing() bool { return w.ceiling > 0 && math.Abs(w.limit-w.ceiling) <= 1 }

// narrow is told that of so many connects one, begun then, was too much. All that
// began before a cut are one burst: those of it that are left show how many the
// server takes.
func (w *window) narrow(began time.Time, going int, now time.Time) {
	if going < 2 {
		return // one alone was not too many
	}
	if !began.Before(w.cut) {
		w.cut = now
		w.peak, w.ahead = 0, 0
		w.burst = going
		w.floor = w.limit / (1 + eager)
		if !w.probing() {
			w.limit *= settled
		}
	}
	w.burst--
	w.ceiling = float64(w.burst + 1)
	// Below 1 nothing could ever start there, and widen it again.
	w.limit = max(1, min(w.limit, max(1, w.floor, w.ceiling-1)))
}
