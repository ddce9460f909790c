package limiter

import (
	"math"
	"time"
)

const (
	// slowStartGain is what a success adds to cwnd in slow start, which therefore
	// triples cwnd each round. TCP's is 1; a round here is a whole SSH handshake.
	slowStartGain = 2
	// backoff is the multiplicative decrease.
	backoff = 0.8
	// probeRounds is how many rounds it takes to probe one connect more than what
	// was too much.
	probeRounds = 20
	// noise is the connect time below which a server's load cannot be seen.
	noise = 10 * time.Millisecond
	// farBanner is the time from which a banner is news: nearer servers
	// authenticate about as soon.
	farBanner = 8 * time.Millisecond
)

// A window is a congestion window: how many connects may be in progress at once.
//
//	slow start    ssthresh unknown     cwnd triples each round
//	increase      cwnd < ssthresh      cwnd halves its distance to ssthresh (BIC)
//	probing       cwnd ≈ ssthresh      1/20 per round; two more than ssthresh
//	                                   without a drop, and slow start begins again
//
// A drop sets ssthresh to the number of connects that survived, and cwnd to at
// most that and 0.8 of itself. A connect that takes twice the shortest time does
// not grow cwnd: the server would only queue more.
type window struct {
	cwnd, max float64
	ssthresh  float64 // 0 means unknown
	initial   float64
	peak      int // most connects in progress since the last drop

	minConnect, minBanner time.Duration // shortest times seen; 0 means none
	credits               int           // successes for which a banner has grown cwnd
	slower                bool          // the last connect took longer than one without load

	// All connects that began before a drop are one burst and back off once.
	dropped   time.Time
	survivors int     // of the burst
	floor     float64 // lowest cwnd after the burst: the one before the last round
}

func newWindow(initial, most int) window {
	w := window{initial: float64(initial), max: float64(most)}
	w.cwnd = min(w.initial, w.max)
	return w
}

func (w *window) size() int { return int(w.cwnd) }

func (w *window) slowStart() bool { return w.ssthresh == 0 }

// probing reports whether the next step may be too much again.
func (w *window) probing() bool { return !w.slowStart() && math.Abs(w.cwnd-w.ssthresh-1) <= 1 }

// unused reports whether cwnd does not limit the connects, so that successes tell
// nothing about it (RFC 7661).
func (w *window) unused() bool {
	if w.slowStart() {
		return w.size() >= (1+slowStartGain)*w.peak
	}
	return w.size() > w.peak
}

// onStart is called with the number of connects in progress after each start.
func (w *window) onStart(connecting int) { w.peak = max(w.peak, connecting) }

// onSuccess is called when a connect has succeeded.
func (w *window) onSuccess(took time.Duration) {
	if w.minConnect == 0 || took < w.minConnect {
		w.minConnect = took
	}
	w.slower = took > max(2*w.minConnect, noise)
	if w.cwnd >= w.max || w.slower || w.unused() {
		return
	}
	switch {
	case w.slowStart() && w.credits > 0:
		w.credits--
	case w.slowStart():
		w.cwnd += slowStartGain
	case w.probing():
		w.cwnd += 1 / (probeRounds * w.cwnd)
		if w.cwnd >= w.ssthresh+2 {
			w.ssthresh = 0
		}
	default:
		w.cwnd += max(1, (w.ssthresh-w.cwnd)/2) / w.cwnd
	}
	w.cwnd = min(w.cwnd, w.max)
}

// onBanner is called when a server has sent its banner. In slow start to a server
// far away, cwnd grows then: one that has too many connections closes them instead
// of sending a banner, and waiting for authentication would double the time. A
// server that only sends banners grows it for two rounds.
func (w *window) onBanner(took time.Duration) {
	if w.minBanner == 0 || took < w.minBanner {
		w.minBanner = took
	}
	if !w.canGrow() || w.unused() || took < farBanner || took > w.minBanner+w.minBanner/4 {
		return
	}
	if w.minConnect > 0 || w.cwnd < w.initial*(1+slowStartGain)*(1+slowStartGain) {
		w.credits++
		w.cwnd = min(w.cwnd+slowStartGain, w.max)
	}
}

// canGrow reports whether a banner may grow cwnd.
func (w *window) canGrow() bool { return w.slowStart() && w.cwnd < w.max }

// onDrop is called when the server has dropped a connect that began at began, with
// connecting connects in progress, this one included.
func (w *window) onDrop(began time.Time, connecting int, now time.Time) {
	if connecting < 2 {
		return // one alone was not too many
	}
	if !began.Before(w.dropped) {
		w.dropped, w.survivors = now, connecting
		w.peak, w.credits = 0, 0
		w.floor = w.cwnd / (1 + slowStartGain)
		if !w.probing() {
			w.cwnd *= backoff
		}
	}
	w.survivors--
	w.ssthresh = float64(max(w.survivors, 1))
	w.cwnd = max(1, min(w.cwnd, max(w.floor, w.ssthresh)))
}

// restart begins slow start again with one connect.
func (w *window) restart() { w.cwnd, w.ssthresh, w.peak = 1, 0, 1 }
