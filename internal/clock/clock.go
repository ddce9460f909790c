// Package clock tells the time that this process has had. It is less than has
// passed when the process was stopped (Ctrl-Z, SIGSTOP, a debugger, a machine
// that paused or slept, a processor with no time for us), so that no deadline
// kept by it passes because of that.
//
// Make a [Clock] with [New], keep every deadline as an instant of [Clock.Now],
// and turn it into one for timers and connections with [Clock.Real]. When one of
// these fires, look at the clock: it may say that there is time left. Nothing is
// told of a stop beforehand, and no signal is needed to notice it; one shorter
// than a second is not noticed, and of a longer one up to a quarter of a second
// is.
//
// A nil *Clock is the time as it passes.
package clock

import (
	"context"
	"sync"
	"time"
)

const (
	// tick is how often the clock looks at the time, whoever asks it.
	tick = 250 * time.Millisecond
	// stop is the least time between two looks that cannot but be one: 1 s. A
	// busy machine may be some hundred milliseconds late.
	stop = time.Second
)

// A Clock stands still while this process does. It is safe for concurrent use.
type Clock struct {
	mu    sync.Mutex
	seen  time.Time // the last look
	lost  time.Duration
	timer *time.Timer // of the next look; nil after Close
}

// New gives a clock that looks at the time until Close.
func New() *Clock {
	c := &Clock{seen: time.Now()}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.timer = time.AfterFunc(tick, c.tick)
	return c
}

// Close ends the looking: stops are not noticed any more.
func (c *Clock) Close() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.look()
	c.timer.Stop()
	c.timer = nil
}

func (c *Clock) tick() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.look()
	if c.timer != nil {
		c.timer.Reset(tick)
	}
}

// look notes how much time has passed since the last look, and how much of it we
// were not there. Called with mu held.
func (c *Clock) look() time.Time {
	now := time.Now()
	if gap := now.Sub(c.seen); gap > stop && c.timer != nil {
		c.lost += gap - tick
	}
	c.seen = now
	return now
}

// Suspended is how long this process has been stopped since New.
func (c *Clock) Suspended() time.Duration {
	if c == nil {
		return 0
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.look()
	return c.lost
}

// Now is the time that it would be without the stops. It is for comparison with
// other instants of this clock only.
func (c *Clock) Now() time.Time {
	if c == nil {
		return time.Now()
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.look().Add(-c.lost)
}

// Deadline is when this clock reaches t, unless there is another stop before. A zero
// t, no deadline, stays zero.
func (c *Clock) Deadline(t time.Time) time.Time {
	if c == nil || t.IsZero() {
		return t
	}
	return t.Add(c.Suspended())
}

// AfterFunc calls f on a goroutine of its own once this clock has gone on by d,
// unless cancel is called before.
func (c *Clock) AfterFunc(d time.Duration, f func()) (cancel func()) {
	var (
		mu    sync.Mutex
		timer *time.Timer
		over  bool
	)
	at := c.Now().Add(d)
	early := func() bool {
		mu.Lock()
		defer mu.Unlock()
		left := at.Sub(c.Now())
		if left > 0 && !over {
			timer.Reset(left)
		}
		return left > 0 || over
	}
	mu.Lock()
	defer mu.Unlock()
	timer = time.AfterFunc(d, func() {
		if !early() {
			f()
		}
	})
	return func() {
		mu.Lock()
		defer mu.Unlock()
		over = true
		timer.Stop()
	}
}

// WithTimeout is context.WithTimeoutCause by this clock, but that the context
// tells no deadline and its Err is context.Canceled.
func (c *Clock) WithTimeout(ctx context.Context, d time.Duration, cause error) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancelCause(ctx)
	stop := c.AfterFunc(d, func() { cancel(cause) })
	return ctx, func() {
		stop()
		cancel(context.Canceled)
	}
}
