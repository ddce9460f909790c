package watch

import (
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

func utc() time.Time { return time.Now().UTC() }

func TestCronFields(t *testing.T) {
	zone, err := time.LoadLocation("Europe/Zurich")
	if err != nil {
		t.Fatal(err)
	}
	at := func(month time.Month, day, hour, minute int) time.Time {
		return time.Date(2026, month, day, hour, minute, 0, 0, zone)
	}
	for expr, times := range map[string][]time.Time{
		"*/5 * * * *":     {at(3, 28, 12, 5), at(3, 28, 12, 10)},
		"0  3 * * *":      {at(3, 29, 3, 0), at(3, 30, 3, 0)},
		"30 2 * * *":      {at(3, 30, 2, 30), at(3, 31, 2, 30)}, // summer time begins on the 29th
		"0 3 * * 1-5":     {at(3, 30, 3, 0), at(3, 31, 3, 0)},
		"0 0 1 * mon":     {at(3, 30, 0, 0), at(4, 1, 0, 0), at(4, 6, 0, 0)}, // one of the days is enough
		"0 12 1,15 4-6 *": {at(4, 1, 12, 0), at(4, 15, 12, 0), at(5, 1, 12, 0)},
		"@daily":          {at(3, 29, 0, 0), at(3, 30, 0, 0)},
	} {
		c, err := ParseCron(expr)
		if err != nil {
			t.Error(err)
			continue
		}
		now := time.Date(2026, 3, 28, 12, 0, 30, 5, zone)
		for _, want := range times {
			if now = c.next(now); !now.Equal(want) {
				t.Errorf("%s: %v, want %v", expr, now, want)
			}
		}
	}
	for _, expr := range []string{"", "5", "* * * *", "* * * * * *", "61 * * * *", "0 25 * * *", "0 0 30 2 *", "@never", "@every 5m"} {
		if _, err := ParseCron(expr); err == nil {
			t.Errorf("%q is taken", expr)
		}
	}
}

// The ticks are at the times of the day, whatever the watch began with and however long one takes.
func TestScheduleCron(t *testing.T) {
	c, err := ParseCron("*/10 * * * *")
	if err != nil {
		t.Fatal(err)
	}
	if got := (&Schedule{Cron: c}).Interval(); got != 10*time.Minute {
		t.Errorf("%v between two ticks", got)
	}
	const m = time.Minute
	// Virtual time begins at midnight, which is not after the beginning.
	compare(t, ticks(t, Schedule{Cron: c, Ticks: 3, wall: utc}, func(int) time.Duration { return m }),
		"1 at 10m0s late 0s missed 0 slept 0s", "2 at 20m0s late 0s missed 0 slept 0s", "3 at 30m0s late 0s missed 0 slept 0s")
	compare(t, ticks(t, Schedule{Cron: c, For: 25 * m, wall: utc}, func(int) time.Duration { return m }),
		"1 at 10m0s late 0s missed 0 slept 0s", "2 at 20m0s late 0s missed 0 slept 0s")
	compare(t, ticks(t, Schedule{Cron: c, Ticks: 3, wall: utc}, func(n int) time.Duration { return []time.Duration{12 * m, 33 * m, m}[n-1] }),
		"1 at 10m0s late 0s missed 0 slept 0s", "2 at 22m0s late 2m0s missed 0 slept 0s", "3 at 55m0s late 5m0s missed 2 slept 0s")
}

// A machine that slept through some times begins one tick, and the next at its time.
func TestScheduleCronAsleep(t *testing.T) {
	c, err := ParseCron("0 * * * *")
	if err != nil {
		t.Fatal(err)
	}
	synctest.Test(t, func(t *testing.T) {
		begun := time.Now()
		var asleep atomic.Int64
		time.AfterFunc(30*time.Minute, func() { asleep.Store(int64(3 * time.Hour)) })
		var got []Due
		s := Schedule{Cron: c, Ticks: 2, wall: func() time.Time { return utc().Add(time.Duration(asleep.Load())) }}
		s.Run(t.Context(), nil, func(d Due) { got = append(got, d) })
		if len(got) != 2 || got[0].Missed != 2 || got[0].Slept != 3*time.Hour || got[1].Missed != 0 || got[1].Late != 0 || time.Since(begun) != time.Hour {
			t.Errorf("%+v after %v", got, time.Since(begun))
		}
	})
}
