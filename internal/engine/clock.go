package engine

import "time"

// clock looks at the limiter when time alone lets something start, and takes new
// widths.
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

// look starts what time alone lets start, and says how long it takes until there
// may be more; false means that nobody knows.
func (r *run) look() (wait time.Duration, ok bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.armed = r.opts.Clock.Now() // it looks: nobody has to rouse it
	r.changed()
	r.armed = time.Time{}
	now := r.opts.Clock.Now()
	at, ok := r.limiter.NextWake(now)
	if !ok || r.stopped || r.limiter.Waiting() == 0 {
		return 0, false
	}
	r.armed = at
	return at.Sub(now), true
}

// resize sets how many targets may be in flight from now on.
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
