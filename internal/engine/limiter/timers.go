package limiter

import (
	"container/heap"
	"math"
	"slices"
	"time"
)

// A timer enqueues a job or ends the rest of an endpoint.
type timer struct {
	at       time.Time
	job      *Job
	endpoint *endpoint
}

// timers is a heap, the earliest first.
type timers []timer

func (t *timers) add(one timer) { heap.Push(t, one) }

// Len, Less, Swap, Push and Pop implement heap.Interface.
func (t timers) Len() int           { return len(t) }
func (t timers) Less(i, j int) bool { return t[i].at.Before(t[j].at) }
func (t timers) Swap(i, j int)      { t[i], t[j] = t[j], t[i] }
func (t *timers) Push(x any)        { *t = append(*t, x.(timer)) }

func (t *timers) Pop() any {
	last := len(*t) - 1
	x := (*t)[last]
	(*t)[last] = timer{}
	*t = (*t)[:last]
	return x
}

// fireTimers does what is due.
func (l *Limiter) fireTimers(now time.Time) {
	for len(l.timers) > 0 && !now.Before(l.timers[0].at) {
		t := heap.Pop(&l.timers).(timer)
		if t.job != nil {
			l.delayed--
			l.Enqueue(t.job, now)
			continue
		}
		t.endpoint.resting = false
		l.update(t.endpoint, now)
	}
}

const (
	// minSlowAfter is more than a busy machine delays a connect for no reason.
	minSlowAfter = 100 * time.Millisecond
	// initialSlowAfter holds until there are minSamples.
	initialSlowAfter = 750 * time.Millisecond
	maxSamples       = 63
	minSamples       = 16
)

// medianDial is the median time of the last successful connects. It is computed
// when there are minSamples, and again after every maxSamples.
type medianDial struct {
	ring   [maxSamples]time.Duration
	n      int // samples, ever
	median time.Duration
}

func (m *medianDial) add(took time.Duration) {
	m.ring[m.n%maxSamples] = took
	m.n++
	if m.n == minSamples || m.n%maxSamples == 0 {
		known := m.ring[:min(m.n, maxSamples)]
		slices.Sort(known) // in place: their order does not matter
		m.median = known[len(known)/2]
	}
}

// slowAfter returns the time after which a connect is slow.
func (m *medianDial) slowAfter() time.Duration {
	if m.n < minSamples {
		return initialSlowAfter
	}
	return max(2*m.median, minSlowAfter)
}

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
