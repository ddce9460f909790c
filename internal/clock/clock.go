// Package clock implements a clock that excludes the time during which this process
// was stopped (Ctrl-Z, SIGSTOP, a debugger, a machine that was paused or asleep, no
// processor time), so that deadlines do not expire because of it.
//
// Make a [Clock] with [New], keep every deadline as an instant of [Clock.Now], and
// convert it with [Clock.Deadline] for timers and connections. When one of these
// fires, check the clock again: there may be time left. Stops are detected
// afterwards, without signals. Stops of less than 1 s are not noticed; of longer
// ones up to 250 ms are counted as running time.
//
// A nil *Clock is the ordinary time.
package clock

import (
	"context"
	"sync"
	"time"
)

const (
	// tick is how often the clock checks the time by itself.
	tick = 250 * time.Millisecond
	// stop is the gap between two checks that counts as a stop. A busy machine may
	// delay a check by some hundred milliseconds.
	stop = time.Second
)

// A Clock stands still while this process is stopped. It is safe for concurrent
// use.
type Clock struct {
	mu    sync.Mutex
	seen  time.Time // when look was last called
	lost  time.Duration
	timer *time.Timer // for the next look; nil after Close
}

// New returns a clock that checks the time until Close.
func New() *Clock {
	c := &Clock{seen: time.Now()}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.timer = time.AfterFunc(tick, c.tick)
	return c
}

// Close ends the checks: later stops are not noticed.
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

// look adds a stop since the last call to lost and returns the time. mu must be
// held.
func (c *Clock) look() time.Time {
	now := time.Now()
	if gap := now.Sub(c.seen); gap > stop && c.timer != nil {
		c.lost += gap - tick
	}
	c.seen = now
	return now
}

// Suspended returns how long this process has been stopped since New.
func (c *Clock) Suspended() time.Duration {
	if c == nil {
		return 0
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.look()
	return c.lost
}

// Now returns the time without the stops, for comparison with other instants of
// this clock only.
func (c *Clock) Now() time.Time {
	if c == nil {
		return time.Now()
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.look().Add(-c.lost)
}

// Deadline returns the real time at which this clock reaches t if there are no more
// stops. A zero t, no deadline, stays zero.
func (c *Clock) Deadline(t time.Time) time.Time {
	if c == nil || t.IsZero() {
		return t
	}
	return t.Add(c.Suspended())
}

// AfterFunc calls f on its own goroutine when this clock has advanced by d, unless
// cancel is called before.
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

// WithTimeout is context.WithTimeoutCause by this clock, except that the context
// reports no deadline and its Err is context.Canceled.
func (c *Clock) WithTimeout(ctx context.Context, d time.Duration, cause error) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancelCause(ctx)
	stop := c.AfterFunc(d, func() { cancel(cause) })
	return ctx, func() {
		stop()
		cancel(context.Canceled)
	}
}
