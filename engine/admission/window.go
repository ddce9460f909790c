package admission

import "time"

const (
	// settled is the part of a window that is left when it was too wide.
	settled = 0.8
	// eager is how many more a window takes for each success while nothing was
	// too much.
	eager = 2
	// cautious is how much slower a window widens where it was too wide before.
	cautious = 20
	// negligible times say nothing about a server's load.
	negligible = 10 * time.Millisecond
)

// A window is how many connects to one server may go on at once. Much as TCP's, it
// triples with each of its own lengths until something is too much, then it is
// cut and widens by one each time; it stays below what was too much last. A
// connect that takes twice the shortest says that more of them at once would
// only wait longer.
type window struct {
	limit, most float64
	ceiling     float64       // what was too much; 0 while nothing was
	peak        int           // the most that were going on since the last cut
	shortest    time.Duration // of the connects that succeeded
	cut         time.Time     // connects from before say nothing new
}

func newWindow(first, most int) window {
	return window{limit: float64(min(first, most)), most: float64(most)}
}

func (w *window) size() int { return int(w.limit) }

// use is told how many connects are going on when one more has begun.
func (w *window) use(going int) { w.peak = max(w.peak, going) }

// widen is told of a connect that succeeded after took.
func (w *window) widen(took time.Duration) {
	if w.shortest == 0 || took < w.shortest {
		w.shortest = took
	}
	if took > max(2*w.shortest, negligible) {
		return
	}
	switch {
	case w.ceiling == 0 && w.size() >= (1+eager)*w.peak, w.ceiling > 0 && w.size() > w.peak:
		return // what is there is not used
	case w.ceiling == 0:
		w.limit += eager
	case w.limit+1 < w.ceiling:
		w.limit += 1 / w.limit
	default:
		w.limit += 1 / (cautious * w.limit)
	}
	w.limit = min(w.limit, w.most)
}

// narrow is told that of so many connects one, begun then, was too much.
func (w *window) narrow(began time.Time, going int, now time.Time) {
	if going < 2 || began.Before(w.cut) {
		return // one alone was not too many
	}
	w.cut = now
	w.ceiling = float64(going)
	w.limit = max(1, min(w.limit, w.ceiling)*settled)
	w.peak = 0
}
