package clock

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// stopped simulates a stop of this process for the given time.
func stopped(c *Clock, d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.look()
	c.seen = c.seen.Add(-d)
	c.look()
}

// faults.md: R15
func TestClock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := New()
		defer c.Close()
		begin, at := time.Now(), c.Now()
		pass := func(d time.Duration, want, lost time.Duration) {
			t.Helper()
			if got := c.Now().Sub(at); got != want || c.Suspended() != lost {
				t.Errorf("after %v: %v have passed and %v were lost, want %v and %v", d, got, c.Suspended(), want, lost)
			}
		}
		pass(0, 0, 0)
		time.Sleep(time.Hour)
		pass(time.Hour, time.Hour, 0)
		stopped(c, stop) // as long as a busy machine may take
		pass(time.Hour, time.Hour, 0)
		stopped(c, time.Minute)
		lost := time.Minute - tick
		pass(time.Hour, time.Hour-lost, lost)
		if got, want := c.Deadline(at), begin.Add(lost); !got.Equal(want) {
			t.Errorf("the beginning would come again at %v, want %v", got, want)
		}
		if got := c.Deadline(time.Time{}); !got.IsZero() {
			t.Errorf("no deadline became %v", got)
		}
	})
}

func TestNilClockIsTheTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var c *Clock
		at := time.Now()
		if !c.Now().Equal(at) || !c.Deadline(at).Equal(at) || c.Suspended() != 0 {
			t.Errorf("%v, %v, %v at %v", c.Now(), c.Deadline(at), c.Suspended(), at)
		}
		fired := make(chan time.Time)
		c.AfterFunc(time.Second, func() { fired <- time.Now() })
		if got := (<-fired).Sub(at); got != time.Second {
			t.Errorf("fired after %v", got)
		}
	})
}

// A stop does not fire AfterFunc early, even if stops repeat.
func TestAfterFunc(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := New()
		defer c.Close()
		begin := time.Now()
		fired := make(chan time.Duration, 2)
		c.AfterFunc(10*time.Second, func() { fired <- time.Since(begin) })
		cancel := c.AfterFunc(11*time.Second, func() { t.Error("called though it was cancelled") })
		for range 3 {
			time.Sleep(4 * time.Second)
			stopped(c, 5*time.Second+tick)
		}
		cancel()
		cancel()
		if got := <-fired; got != 25*time.Second {
			t.Errorf("called after %v, want 10 s and three stops of 5 s", got)
		}
		time.Sleep(time.Minute)
	})
}

func TestWithTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := New()
		defer c.Close()
		begin, late := time.Now(), errors.New("late")
		ctx, cancel := c.WithTimeout(t.Context(), time.Second, late)
		defer cancel()
		<-ctx.Done()
		if d := time.Since(begin); d != time.Second || !errors.Is(context.Cause(ctx), late) {
			t.Errorf("%v after %v", context.Cause(ctx), d)
		}
		ctx, cancel = c.WithTimeout(t.Context(), time.Hour, late)
		cancel()
		if !errors.Is(context.Cause(ctx), context.Canceled) {
			t.Errorf("cancelled by %v", context.Cause(ctx))
		}
	})
}

func BenchmarkNow(b *testing.B) {
	c := New()
	defer c.Close()
	for b.Loop() {
		c.Now()
	}
}
