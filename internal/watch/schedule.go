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
	// Every is the time from the beginning of a tick to that of the next. It or Cron is required.
	Every time.Duration
	// Cron has the times of the ticks instead, in the local time zone.
	Cron *Cron
	// Jitter delays each tick but the first by a random time of up to this, less than Every.
	Jitter time.Duration
	// Ticks is the number of ticks, missed ones not counted. 0 means no limit.
	Ticks int
	// For is how long after the first tick, or after Run was called if there is a Cron, others begin. 0 means no limit.
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
	case s.Every < 0 || (s.Every == 0) == (s.Cron == nil):
		return errors.New("the time between two ticks must be positive, or those of a Cron")
	case s.Jitter < 0 || s.Jitter >= s.Interval():
		return fmt.Errorf("a jitter of %v: want less than the %v between two ticks", s.Jitter, s.Interval())
	case s.Ticks < 0 || s.For < 0 || s.Overlap < 0:
		return errors.New("a limit of the schedule is negative; 0 means none")
	}
	return nil
}

// String returns what was asked for: "30s", or the five fields of a Cron.
func (s *Schedule) String() string {
	if s.Cron != nil {
		return s.Cron.expr
	}
	return s.Every.String()
}

// Interval returns the time between two ticks, with a Cron the shortest.
func (s *Schedule) Interval() time.Duration {
	if s.Cron != nil {
		return s.Cron.shortest(time.Now())
	}
	return s.Every
}

// Next returns when the tick after one is due that began so late.
func (s *Schedule) Next(began time.Time, late time.Duration) time.Time {
	if s.Cron != nil {
		return s.Cron.next(began)
	}
	return began.Add(s.Every - late)
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
	dues := s.dues(c)
	for n := 1; s.Ticks == 0 || n <= s.Ticks; n++ {
		select {
		case slots <- struct{}{}:
		case <-stop:
			return
		case <-ctx.Done():
			return
		}
		due, known := dues.next()
		if !known {
			return
		}
		var delay time.Duration
		if s.Jitter > 0 && (n > 1 || s.Cron != nil) {
			delay = rand.N(s.Jitter)
		}
		if s.For > 0 && due+delay >= s.For || !c.until(ctx, stop, due+delay) || ended() {
			return
		}
		if s.For > 0 && c.now() >= s.For {
			return
		}
		due, missed := dues.begin()
		d := Due{N: n, Late: max(0, c.now()-due-delay), Missed: missed, Slept: c.takeSlept()}
		running.Go(func() {
			defer func() { <-slots }()
			tick(d)
		})
	}
}

// dues are the times at which ticks are due.
type dues interface {
	// next returns when the next tick is due, not long before now. ok is false if none follows.
	next() (at time.Duration, ok bool)
	// begin begins that tick, or a later one if time was slept through, and returns when it was due
	// and how many since the one before never began.
	begin() (due time.Duration, missed int)
}

func (s *Schedule) dues(c *elapsed) dues {
	if s.Cron != nil {
		return &daily{cron: s.Cron, elapsed: c, last: c.wall().Round(0)}
	}
	return &regular{every: s.Every, elapsed: c, slot: -1}
}

// regular are times with the same time between two.
type regular struct {
	every    time.Duration
	elapsed  *elapsed
	slot, at int64 // the numbers of the last tick, and of the next one
}

func (r *regular) next() (time.Duration, bool) {
	r.at = max(r.slot+1, r.number())
	return time.Duration(r.at) * r.every, true
}

func (r *regular) number() int64 { return int64(r.elapsed.now() / r.every) }

func (r *regular) begin() (due time.Duration, missed int) {
	r.at = max(r.at, r.number())
	missed, r.slot = int(r.at-r.slot-1), r.at
	return time.Duration(r.at) * r.every, missed
}

// daily are times of day. Times that the change to summer time leaves out are left out.
type daily struct {
	cron     *Cron
	elapsed  *elapsed
	last, at time.Time // of the last tick, or the beginning, and of the next one
	passed   int       // between the two
}

func (d *daily) next() (time.Duration, bool) {
	d.at, d.passed = d.cron.next(d.last), 0
	d.skip()
	return d.due(), !d.at.IsZero()
}

// skip goes on to the last time that is not after now, if there is one.
func (d *daily) skip() {
	if d.at.IsZero() {
		return
	}
	now := d.elapsed.wall()
	// Bounded, because a clock may be set to another century.
	for next := d.cron.next(d.at); !next.IsZero() && !next.After(now) && d.passed < 100_000; next = d.cron.next(next) {
		d.at = next
		d.passed++
	}
}

func (d *daily) due() time.Duration { return d.elapsed.now() + d.at.Sub(d.elapsed.wall().Round(0)) }

func (d *daily) begin() (due time.Duration, missed int) {
	d.skip()
	due, missed = d.due(), d.passed
	d.last = d.at
	return due, missed
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
