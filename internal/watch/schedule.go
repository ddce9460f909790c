package watch

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"math/rand/v2"
	"sync"
	"time"
)

// A Schedule says when ticks begin.
type Schedule struct {
	// Every is the time from the beginning of a tick to that of the next. It is required.
	Every time.Duration
	// Jitter delays each tick but the first by a random time of up to this, less than Every.
	Jitter time.Duration
	// Ticks is the number of ticks, missed ones not counted. 0 means no limit.
	Ticks int
	// For is how long after the first tick others begin. 0 means no limit.
	For time.Duration
	// Overlap is the number of ticks that may go on at once. 0 means 1: then a tick that is due
	// while another goes on begins late, or is missed if the next one is due too.
	Overlap int

	// wall returns the time of day, for tests; nil means time.Now.
	wall func() time.Time
}

// A Due is a tick that begins.
type Due struct {
	N      int           // from 1
	Late   time.Duration // after it was due
	Missed int           // ticks since the one before that never began: this process was late
	// Slept is how long the machine slept since the tick before, or by how much its clock was
	// set forward; negative if it was set back. 0 means less than minSlept.
	Slept time.Duration
}

// Validate returns an error for values that make no schedule.
func (s *Schedule) Validate() error {
	switch {
	case s.Every <= 0:
		return errors.New("the time between two ticks must be positive")
	case s.Jitter < 0 || s.Jitter >= s.Every:
		return fmt.Errorf("a jitter of %v: want less than the %v between two ticks", s.Jitter, s.Every)
	case s.Ticks < 0 || s.For < 0 || s.Overlap < 0:
		return errors.New("a limit of the schedule is negative; 0 means none")
	}
	return nil
}

const (
	// minSlept is the difference between the time of day and the time that has passed for this
	// process which counts.
	minSlept = 2 * time.Second
	// maxPause is how long the time of day is not looked at: a machine that wakes up starts a
	// tick which it has slept through at most so late.
	maxPause = 10 * time.Second
)

// Run calls tick for each tick, until the schedule ends, stop is closed or ctx ends, and returns
// when all calls have returned. With Overlap, calls may run at the same time. A tick that is due
// is not delayed by those that were missed: they never begin.
func (s *Schedule) Run(ctx context.Context, stop <-chan struct{}, tick func(Due)) {
	c := newElapsed(s.wall)
	var running sync.WaitGroup
	defer running.Wait()
	slots := make(chan struct{}, max(s.Overlap, 1)) // has an element for each tick that goes on
	ended := func() bool {
		select {
		case <-stop:
			return true
		default:
			return ctx.Err() != nil
		}
	}
	slot := int64(-1)
	for n := 1; s.Ticks == 0 || n <= s.Ticks; n++ {
		select {
		case slots <- struct{}{}:
		case <-stop:
			return
		case <-ctx.Done():
			return
		}
		next := max(slot+1, int64(c.now()/s.Every))
		due := time.Duration(next) * s.Every
		if s.Jitter > 0 && n > 1 {
			due += rand.N(s.Jitter)
		}
		if s.For > 0 && due >= s.For || !c.until(ctx, stop, due) || ended() {
			return
		}
		if s.For > 0 && c.now() >= s.For {
			return
		}
		// Time may have been slept through.
		for next < int64(c.now()/s.Every) {
			next++
			due += s.Every
		}
		d := Due{N: n, Late: max(0, c.now()-due), Missed: int(next - slot - 1), Slept: c.takeSlept()}
		slot = next
		running.Go(func() {
			defer func() { <-slots }()
			tick(d)
		})
	}
}

// elapsed is the time since a beginning, with the time that the machine slept.
type elapsed struct {
	wall     func() time.Time
	begun    time.Time
	lastWall time.Time
	last     time.Time
	slept    time.Duration // in all, forward only
	untold   time.Duration // since takeSlept
}

func newElapsed(wall func() time.Time) *elapsed {
	if wall == nil {
		wall = time.Now
	}
	now := time.Now()
	return &elapsed{wall: wall, begun: now, last: now, lastWall: wall().Round(0)}
}

// now returns the time since the beginning.
func (e *elapsed) now() time.Duration {
	now, wall := time.Now(), e.wall().Round(0)
	passed, shown := now.Sub(e.last), wall.Sub(e.lastWall)
	e.last, e.lastWall = now, wall
	if d := shown - passed; d >= minSlept || d <= -minSlept {
		e.untold += d
		e.slept += max(0, d)
	}
	return now.Sub(e.begun) + e.slept
}

func (e *elapsed) takeSlept() time.Duration {
	d := e.untold
	e.untold = 0
	return d
}

// until waits until so much time has passed, and reports whether it has.
func (e *elapsed) until(ctx context.Context, stop <-chan struct{}, at time.Duration) bool {
	for {
		left := at - e.now()
		if left <= 0 {
			return true
		}
		timer := time.NewTimer(min(left, maxPause))
		select {
		case <-timer.C:
		case <-stop:
			timer.Stop()
			return false
		case <-ctx.Done():
			timer.Stop()
			return false
		}
	}
}

// Offset returns how long after the beginning of a tick a host has its turn, if the hosts are
// spread over a time: the same for a host of this name in every tick, of every process.
func Offset(host string, spread time.Duration) time.Duration {
	if spread <= 0 {
		return 0
	}
	h := fnv.New64a()
	_, _ = h.Write([]byte(host))
	sum := h.Sum64()
	sum ^= sum >> 32 // the low bits of similar names are alike
	sum *= 0x9e3779b97f4a7c15
	return time.Duration((sum >> 1) % uint64(spread))
}
