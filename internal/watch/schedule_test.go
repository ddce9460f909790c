package watch

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// ticks runs a schedule in virtual time and returns its ticks with the time of each.
func ticks(t *testing.T, s Schedule, took func(n int) time.Duration) (got []string) {
	t.Helper()
	if err := s.Validate(); err != nil {
		t.Fatal(err)
	}
	synctest.Test(t, func(t *testing.T) {
		begun := time.Now()
		var mu sync.Mutex
		s.Run(t.Context(), nil, func(d Due) {
			mu.Lock()
			got = append(got, fmt.Sprintf("%d at %v late %v missed %d slept %v", d.N, time.Since(begun), d.Late, d.Missed, d.Slept))
			mu.Unlock()
			time.Sleep(took(d.N))
		})
	})
	return got
}

func compare(t *testing.T, got []string, want ...string) {
	t.Helper()
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("got  %q\nwant %q", got, want)
	}
}

func TestSchedule(t *testing.T) {
	const s = time.Second
	quick := func(int) time.Duration { return s / 10 }
	compare(t, ticks(t, Schedule{Every: 30 * s, Ticks: 3}, quick),
		"1 at 0s late 0s missed 0 slept 0s", "2 at 30s late 0s missed 0 slept 0s", "3 at 1m0s late 0s missed 0 slept 0s")
	compare(t, ticks(t, Schedule{Every: 30 * s, For: time.Minute}, quick),
		"1 at 0s late 0s missed 0 slept 0s", "2 at 30s late 0s missed 0 slept 0s")
	// A tick that takes long makes the next one late, or is told to have missed some; the times at which they are due stay.
	compare(t, ticks(t, Schedule{Every: 10 * s, Ticks: 4}, func(n int) time.Duration { return []time.Duration{12 * s, 25 * s, s, s}[n-1] }),
		"1 at 0s late 0s missed 0 slept 0s", "2 at 12s late 2s missed 0 slept 0s", "3 at 37s late 7s missed 1 slept 0s", "4 at 40s late 0s missed 0 slept 0s")
	compare(t, ticks(t, Schedule{Every: 10 * s, Ticks: 4, Overlap: 2}, func(int) time.Duration { return 25 * s }),
		"1 at 0s late 0s missed 0 slept 0s", "2 at 10s late 0s missed 0 slept 0s", "3 at 25s late 5s missed 0 slept 0s", "4 at 35s late 5s missed 0 slept 0s")
}

func TestScheduleJitter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		begun, different := time.Now(), make(map[time.Duration]bool)
		s := Schedule{Every: time.Minute, Jitter: 10 * time.Second, Ticks: 100}
		s.Run(t.Context(), nil, func(d Due) {
			past := time.Since(begun) - time.Duration(d.N-1)*time.Minute
			if past < 0 || past >= s.Jitter || d.N == 1 && past != 0 || d.Late != 0 || d.Missed != 0 {
				t.Errorf("%+v, %v", d, past)
			}
			different[past] = true
		})
		if len(different) < 90 {
			t.Errorf("%d different delays", len(different))
		}
	})
}

// A machine that wakes up begins a tick soon, and says how long it slept; a clock that is set back
// delays nothing.
// faults.md: R15
func TestScheduleAsleep(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var shift atomic.Int64 // of the time of day
		var got []string
		begun := time.Now()
		s := Schedule{Every: time.Hour, Ticks: 4, wall: func() time.Time { return time.Now().Add(time.Duration(shift.Load())) }}
		time.AfterFunc(10*time.Minute-time.Second, func() { shift.Store(int64(8*time.Hour + 5*time.Minute)) })
		time.AfterFunc(100*time.Minute, func() { shift.Add(-int64(time.Hour)) })
		s.Run(t.Context(), nil, func(d Due) {
			got = append(got, fmt.Sprintf("%d at %v late %v missed %d slept %v", d.N, time.Since(begun), d.Late, d.Missed, d.Slept))
		})
		compare(t, got, "1 at 0s late 0s missed 0 slept 0s", "2 at 10m0s late 15m0s missed 7 slept 8h5m0s",
			"3 at 55m0s late 0s missed 0 slept 0s", "4 at 1h55m0s late 0s missed 0 slept -1h0m0s")
	})
}

// stop and the end of ctx end the wait between ticks.
func TestScheduleStops(t *testing.T) {
	for name, end := range map[string]func(stop chan struct{}, cancel func()){
		"stop":   func(stop chan struct{}, _ func()) { close(stop) },
		"cancel": func(_ chan struct{}, cancel func()) { cancel() },
	} {
		synctest.Test(t, func(t *testing.T) {
			begun, stop, n := time.Now(), make(chan struct{}), 0
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			time.AfterFunc(90*time.Second, func() { end(stop, cancel) })
			s := Schedule{Every: time.Minute}
			s.Run(ctx, stop, func(Due) { n++ })
			if passed := time.Since(begun); n != 2 || passed != 90*time.Second {
				t.Errorf("%s: %d ticks in %v", name, n, passed)
			}
		})
	}
}

func TestScheduleValidate(t *testing.T) {
	for _, s := range []Schedule{{}, {Every: -1}, {Every: 5, Jitter: 5}, {Every: 5, Jitter: -1}, {Every: 5, Ticks: -1}, {Every: 5, For: -1}, {Every: 5, Overlap: -1}} {
		if s.Validate() == nil {
			t.Errorf("%+v", s)
		}
	}
}

// Hosts with similar names are spread evenly, and each has the same place in every process.
func TestOffset(t *testing.T) {
	const spread, hosts = time.Minute, 6000
	var parts [10]int
	for i := range hosts {
		at := Offset(fmt.Sprintf("web%04d", i), spread)
		if at < 0 || at >= spread {
			t.Fatal(at)
		}
		parts[at/(spread/10)]++
	}
	for i, n := range parts {
		if n < hosts/10*8/10 || n > hosts/10*12/10 {
			t.Errorf("part %d: %d hosts", i, n)
		}
	}
	if a := Offset("web1", spread); a != 52078441463*time.Nanosecond || Offset("web1", 0) != 0 {
		t.Errorf("%d", a)
	}
}
