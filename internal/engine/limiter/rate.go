package limiter

import (
	"math"
	"time"
)

// burst is how far starts may catch up with their schedule, because timers are not
// exact.
const burst = 10 * time.Millisecond

// A pacer bounds the starts per second, as a token bucket kept as the time of the
// next token (GCRA). With an interval of 0 it does not.
type pacer struct {
	interval time.Duration
	next     time.Time // a start may be made from then on
}

// newPacer returns a pacer of rate starts per second; 0 means no bound.
func newPacer(rate float64) pacer {
	if rate <= 0 {
		return pacer{}
	}
	return pacer{interval: time.Duration(min(math.Ceil(float64(time.Second)/rate), math.MaxInt64/2))}
}

// take counts a start.
func (p *pacer) take(now time.Time) {
	if p.interval == 0 {
		return
	}
	switch earliest := now.Add(-burst); {
	case p.next.IsZero():
		p.next = now
	case p.next.Before(earliest):
		p.next = earliest
	}
	p.next = p.next.Add(p.interval)
}
