package engine

import "time"

// clock dispatches when time alone allows a start, and applies changes of the
// fanout.
func (r *run) clock() {
	timer := time.NewTimer(0)
	defer timer.Stop()
	widths := r.opts.Width
	for {
		select {
		case <-r.ended:
			return
		case <-r.rearm:
		case <-timer.C:
		case n, ok := <-widths:
			if !ok {
				widths = nil
			}
			if ok {
				r.resize(n)
			}
		}
		if wait, ok := r.look(); ok {
			timer.Reset(wait)
		}
	}
}

// look dispatches and returns the time until more may start; false means that time
// alone starts nothing.
func (r *run) look() (wait time.Duration, ok bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.armed = r.opts.Clock.Now() // rearmTimer need not wake the clock now
	r.changed()
	r.armed = time.Time{}
	now := r.opts.Clock.Now()
	at, ok := r.limiter.NextWake(now)
	if !ok || r.stopped || r.limiter.Waiting() == 0 || r.behind() {
		return 0, false
	}
	r.armed = at
	return at.Sub(now), true
}

// resize sets the fanout.
func (r *run) resize(width int) {
	if width < 0 || r.opts.Barrier && width < r.opts.Targets {
		return
	}
	r.mu.Lock()
	r.limiter.SetFanout(width, r.opts.slow(width))
	flying := r.limiter.InFlight()
	r.mu.Unlock()
	r.opts.Resized(width, flying)
}
