package engine

import "time"

// maxIdle is the number of idle workers kept: a new goroutine has to grow its stack
// first.
const maxIdle = 64

// dispatch starts everything that may start now, each on its own worker. mu must be
// held.
func (r *run) dispatch() {
	for f := r.next(); f != nil; f = r.next() {
		if r.idle > 0 {
			r.idle--
			r.jobs <- f
			continue
		}
		r.all.Go(func() { r.work(f) })
	}
}

// maxStoring is how many intents and results may wait to be stored before nothing more is
// started. Each of them keeps a connection, or what it has left, in memory.
const maxStoring = 1024

// behind reports whether whoever stores intents and results is behind: starting more would only
// have more of them wait. mu must be held.
func (r *run) behind() bool { return r.storing >= maxStoring }

// store counts n intents more that wait to be stored.
func (r *run) store(n int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	was := r.behind()
	r.storing += n
	if was && !r.behind() {
		r.changed()
	}
}

// next returns an attempt that may start now, or nil. mu must be held.
func (r *run) next() *attempt {
	if r.stopped || r.limiter.Waiting() == 0 || r.behind() {
		return nil
	}
	now := r.opts.Clock.Now()
	t := r.limiter.Next(now)
	for ; t != nil && t.Abandoned(); t = r.limiter.Next(now) {
		r.conclude(t, givenUp(t))
	}
	if t == nil {
		r.rearmTimer(now)
		return nil
	}
	if r.limiter.Waiting() == r.opts.ahead()-1 {
		notify(r.room)
	}
	r.retry.attempts++
	return newAttempt(r, t)
}

// rearmTimer wakes the clock if the limiter's next wake-up is earlier than the
// clock's. mu must be held.
func (r *run) rearmTimer(now time.Time) {
	at, ok := r.limiter.NextWake(now)
	if ok && (r.armed.IsZero() || at.Before(r.armed)) {
		notify(r.rearm)
	}
}

// work attempts a target, and then others as long as there are any.
func (r *run) work(f *attempt) {
	defer func() {
		if f != nil {
			f.panicked("runtime.Goexit was called") // by the Dialer, before begin returned
		}
	}()
	for more := true; more; f, more = r.nextJob() {
		f.begin()
	}
}

// nextJob returns a worker's next attempt and waits for it if the worker is kept.
func (r *run) nextJob() (f *attempt, more bool) {
	f, keep := r.findJob()
	if !keep {
		return f, f != nil
	}
	select {
	case f = <-r.jobs:
		return f, true
	case <-r.ended:
		return nil, false
	}
}

// findJob returns a worker's next attempt, or whether the worker is to be kept
// idle.
func (r *run) findJob() (f *attempt, keep bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	f = r.next()
	switch {
	case f != nil:
		r.dispatch()
	case r.idle < maxIdle:
		r.idle++
		keep = true
	}
	r.progress()
	return f, keep
}
