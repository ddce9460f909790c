package engine_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"shoal/fleet"
	"shoal/internal/engine"
	"shoal/internal/ssh"
)

func shares(t *testing.T, texts ...string) []engine.Amount {
	t.Helper()
	var all []engine.Amount
	for _, text := range texts {
		s, err := engine.ParseAmount(text)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, s)
	}
	return all
}

func share(t *testing.T, text string) *engine.Amount {
	t.Helper()
	return &shares(t, text)[0]
}

// lasting returns a stub whose commands take a second and end as by says.
func lasting(by func(i int) fleet.Outcome) *stub {
	return &stub{
		dial: func(_ context.Context, a *ssh.Attempt) error {
			if by(a.Target.Index) == fleet.OutcomeNeverStarted {
				return a.Fail(fleet.OutcomeNeverStarted, fleet.ReasonAuthFailed, errNetwork)
			}
			return nil
		},
		run: func(_ context.Context, a *ssh.Attempt) fleet.End {
			time.Sleep(time.Second)
			return fleet.End{Outcome: by(a.Target.Index)}
		},
	}
}

func allOK(int) fleet.Outcome { return fleet.OutcomeOK }

func count(results []fleet.Result) map[fleet.Outcome]int {
	counts := make(map[fleet.Outcome]int)
	for _, r := range results {
		counts[r.Outcome]++
	}
	return counts
}

// Stages start when those before them have ended, and the pause has passed.
func TestRollout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		begin := time.Now()
		var mu sync.Mutex
		started := map[time.Duration]int{} // targets by time
		s := lasting(allOK)
		s.dial = func(context.Context, *ssh.Attempt) error {
			mu.Lock()
			defer mu.Unlock()
			started[time.Since(begin)]++
			return nil
		}
		var checks []string
		opts := engine.Options{
			Dialer: s, Fanout: 1000, Targets: 500, Rollout: shares(t, "1", "1%", "10%", "100%"), Pause: 10 * time.Second,
			Check: func(_ context.Context, stage int) error {
				checks = append(checks, fmt.Sprintf("%d at %v", stage, time.Since(begin)))
				return nil
			},
		}
		results := collect(t, t.Context(), opts, 500, 500)
		if n := count(results)[fleet.OutcomeOK]; n != 500 {
			t.Errorf("%d ok", n)
		}
		want := map[time.Duration]int{0: 1, 11 * time.Second: 4, 22 * time.Second: 45, 33 * time.Second: 450}
		if fmt.Sprint(started) != fmt.Sprint(want) {
			t.Errorf("started %v, want %v", started, want)
		}
		if want := []string{"1 at 11s", "2 at 22s", "3 at 33s"}; !slices.Equal(checks, want) {
			t.Errorf("checks %q, want %q", checks, want)
		}
	})
}

// Stages and the pauses between them are told; the targets that no stage names are one more.
func TestRolloutIsTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var told []engine.Stage
		var mu sync.Mutex
		steps := map[engine.Step]int{}
		opts := engine.Options{
			Dialer: lasting(allOK), Fanout: 10, Targets: 10, Rollout: shares(t, "1", "50%"), Pause: time.Minute,
			Staged: func(s engine.Stage) { told = append(told, s) },
			Watch: func(_ *engine.View, s engine.Step) {
				mu.Lock()
				defer mu.Unlock()
				steps[s]++
			},
		}
		collect(t, t.Context(), opts, 10, 10)
		want := []engine.Stage{
			{Number: 1, Stages: 3, Targets: 1},
			{Number: 1, Stages: 3, Pause: time.Minute},
			{Number: 2, Stages: 3, Targets: 4},
			{Number: 2, Stages: 3, Pause: time.Minute},
			{Number: 3, Stages: 3, Targets: 5},
		}
		if !slices.Equal(told, want) {
			t.Errorf("told %+v, want %+v", told, want)
		}
		if steps[engine.Connecting] != 10 || steps[engine.Running] != 10 || steps[engine.Ended] != 10 {
			t.Errorf("steps: %v", steps)
		}
	})
}

// The targets after the last stage are one more stage.
func TestRolloutGoesOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		begin := time.Now()
		opts := engine.Options{Dialer: lasting(allOK), Fanout: 100, Rollout: shares(t, "1", "5")}
		if n := count(collect(t, t.Context(), opts, 50, 50))[fleet.OutcomeOK]; n != 50 {
			t.Errorf("%d ok, want 50", n)
		}
		if took := time.Since(begin); took != 3*time.Second {
			t.Errorf("took %v, want three stages of 1 s", took)
		}
	})
}

func TestCheckStops(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		opts := engine.Options{
			Dialer: lasting(allOK), Targets: 100, Rollout: shares(t, "1", "10%"),
			Check: func(_ context.Context, stage int) error {
				if stage == 2 {
					return errors.New("the site is down")
				}
				return nil
			},
		}
		results := collect(t, t.Context(), opts, 100, 100)
		for i, res := range results {
			if i < 10 {
				if res.Outcome != fleet.OutcomeOK {
					t.Errorf("target %d: %v", i, res.Outcome)
				}
				continue
			}
			if res.Outcome != fleet.OutcomeCancelled || res.Reason != fleet.ReasonBrake || res.Attempt != 0 ||
				!strings.Contains(res.Err.Error(), "the check after stage 2: the site is down") {
				t.Fatalf("target %d: %v %s %v", i, res.Outcome, res.Reason, res.Err)
			}
		}
	})
}

// Each failure limit stops the run at the first result that reaches it; with one
// target at a time that is exact.
func TestBrakes(t *testing.T) {
	odd := func(o fleet.Outcome) func(int) fleet.Outcome {
		return func(i int) fleet.Outcome {
			if i%2 == 1 {
				return o
			}
			return fleet.OutcomeOK
		}
	}
	mixed := func(i int) fleet.Outcome {
		return []fleet.Outcome{fleet.OutcomeFailed, fleet.OutcomeNeverStarted}[i%2]
	}
	for _, c := range []struct {
		name string
		opts engine.Options
		ends func(int) fleet.Outcome
		want int // targets that were not cancelled, of 1,000
	}{
		{"none", engine.Options{}, odd(fleet.OutcomeFailed), 1000},
		{"number", engine.Options{MaxFail: share(t, "3")}, odd(fleet.OutcomeFailed), 6},
		{"one", engine.Options{MaxFail: share(t, "1")}, odd(fleet.OutcomeFailed), 2},
		{"signalled", engine.Options{MaxFail: share(t, "3")}, odd(fleet.OutcomeSignalled), 6},
		{"refused", engine.Options{MaxFail: share(t, "3")}, odd(fleet.OutcomeRefused), 6},
		{"never started", engine.Options{MaxFail: share(t, "3")}, odd(fleet.OutcomeNeverStarted), 6},
		{"together", engine.Options{MaxFail: share(t, "3")}, mixed, 3},
		{"unknown is not failed", engine.Options{MaxFail: share(t, "3")}, odd(fleet.OutcomeUnknown), 1000},
		{"unknown", engine.Options{MaxUnknown: share(t, "3")}, odd(fleet.OutcomeUnknown), 6},
		{"percent of all", engine.Options{MaxFail: share(t, "1%"), Targets: 1000}, odd(fleet.OutcomeFailed), 20},
		{"percent of who knows how many", engine.Options{MaxFail: share(t, "10%")}, odd(fleet.OutcomeFailed), 4},
		{"percent of a stage", engine.Options{MaxFail: share(t, "10%"), Targets: 1000, Rollout: shares(t, "1%")}, odd(fleet.OutcomeFailed), 2},
		{"percent of a stage larger than the run", engine.Options{MaxFail: share(t, "1%"), Targets: 1000, Rollout: shares(t, "5000")}, odd(fleet.OutcomeFailed), 20},
		{"percent is rounded up", engine.Options{MaxFail: share(t, "0.11%"), Targets: 1000}, odd(fleet.OutcomeFailed), 4},
		{"percent is exact", engine.Options{MaxFail: share(t, "1.1%"), Targets: 3000}, odd(fleet.OutcomeFailed), 66},
		{"percent is one at least", engine.Options{MaxFail: share(t, "0.001%"), Targets: 1000}, odd(fleet.OutcomeFailed), 2},
		{"fail fast", engine.Options{FailFast: true}, odd(fleet.OutcomeUnknown), 2},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c.opts.Dialer, c.opts.Fanout = lasting(c.ends), 1
				results := collect(t, t.Context(), c.opts, 1000, 1000)
				for i, res := range results {
					braked := res.Outcome == fleet.OutcomeCancelled && res.Reason == fleet.ReasonBrake
					if braked != (i >= c.want) {
						t.Fatalf("target %d: %v %s, and the first %d should have ended", i, res.Outcome, res.Reason, c.want)
					}
				}
			})
		})
	}
}

// A brake is announced also if no target is left that could say so.
func TestBrakeAtTheLastTarget(t *testing.T) {
	for last, want := range map[fleet.Outcome]int{fleet.OutcomeOK: 0, fleet.OutcomeFailed: 1} {
		synctest.Test(t, func(t *testing.T) {
			var notices []string
			opts := engine.Options{FailFast: true, Fanout: 1, Notice: func(n string) { notices = append(notices, n) }}
			opts.Dialer = lasting(func(i int) fleet.Outcome {
				if i == 9 {
					return last
				}
				return fleet.OutcomeOK
			})
			collect(t, t.Context(), opts, 10, 10)
			if len(notices) != want || want == 1 && notices[0] != "the run stopped itself: a target is failed; every target had been tried by then" {
				t.Errorf("the last is %v: %q", last, notices)
			}
		})
	}
}

// What stopped the run is said with the right number and the right words.
func TestBrakeTexts(t *testing.T) {
	f, n, u := fleet.OutcomeFailed, fleet.OutcomeNeverStarted, fleet.OutcomeUnknown
	for want, c := range map[string]struct {
		opts engine.Options
		ends []fleet.Outcome
	}{
		"1 target has failed; the limit is 1":                               {engine.Options{MaxFail: share(t, "1")}, []fleet.Outcome{f}},
		"2 targets have failed; the limit is 2":                             {engine.Options{MaxFail: share(t, "2")}, []fleet.Outcome{f, f}},
		"1 target was never started; the limit is 10%":                      {engine.Options{MaxFail: share(t, "10%"), Targets: 3}, []fleet.Outcome{n}},
		"2 targets were never started; the limit is 2":                      {engine.Options{MaxFail: share(t, "2")}, []fleet.Outcome{n, n}},
		"2 targets have failed or were never started; the limit is 2":       {engine.Options{MaxFail: share(t, "2")}, []fleet.Outcome{n, f}},
		"it is unknown of 1 target whether the command ran; the limit is 1": {engine.Options{MaxUnknown: share(t, "1")}, []fleet.Outcome{u}},
	} {
		synctest.Test(t, func(t *testing.T) {
			c.opts.Dialer, c.opts.Fanout = lasting(func(i int) fleet.Outcome { return c.ends[i] }), 1
			results := collect(t, t.Context(), c.opts, len(c.ends)+1, len(c.ends)+1)
			last := results[len(c.ends)]
			if last.Outcome != fleet.OutcomeCancelled || last.Err == nil || !strings.HasSuffix(last.Err.Error(), ": "+want) {
				t.Errorf("%v %v, want %q", last.Outcome, last.Err, want)
			}
		})
	}
}

// A limit of 0 would stop a run that has not begun.
func TestBrakeOfZero(t *testing.T) {
	for _, opts := range []engine.Options{{MaxFail: share(t, "0")}, {MaxFail: share(t, "0%")}, {MaxUnknown: share(t, "0")}} {
		if err := opts.Validate(); err == nil || !strings.Contains(err.Error(), "limit of 0") {
			t.Errorf("%v", err)
		}
	}
}

// Running commands end normally when a failure limit is reached.
func TestBrakeLetsRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &stub{run: func(_ context.Context, a *ssh.Attempt) fleet.End {
			if a.Target.Index == 3 {
				time.Sleep(time.Second) // the others of its ten have begun
				return fleet.End{Outcome: fleet.OutcomeFailed}
			}
			time.Sleep(time.Hour)
			return fleet.End{Outcome: fleet.OutcomeOK}
		}}
		counts := count(collect(t, t.Context(), engine.Options{Dialer: s, Fanout: 10, FailFast: true}, 50, 50))
		if counts[fleet.OutcomeFailed] != 1 || counts[fleet.OutcomeOK] != 9 || counts[fleet.OutcomeCancelled] != 40 {
			t.Errorf("counts %v, want 1 failed, 9 ok, 40 cancelled", counts)
		}
	})
}

func TestWidthChanges(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		begin := time.Now()
		most := map[time.Duration]int64{}
		var mu sync.Mutex
		s := lasting(allOK)
		s.dial = func(context.Context, *ssh.Attempt) error {
			mu.Lock()
			defer mu.Unlock()
			at := time.Since(begin)
			most[at] = max(most[at], s.open.Load()+1)
			return nil
		}
		// Targets take a second, so that none ends when the width changes.
		const step = 2600 * time.Millisecond
		width := make(chan int)
		go func() {
			for _, n := range []int{30, -1, 0, 5, 1024} {
				time.Sleep(step)
				width <- n
			}
			close(width)
		}()
		var told [][2]int
		resized := func(width, flying int) {
			mu.Lock()
			defer mu.Unlock()
			told = append(told, [2]int{width, flying})
		}
		collect(t, t.Context(), engine.Options{Dialer: s, Fanout: 10, Width: width, Resized: resized}, 2000, 2000)
		if want := [][2]int{{30, 10}, {0, 30}, {5, 0}, {1024, 5}}; !slices.Equal(told, want) {
			t.Errorf("told of widths and targets in flight %v, want %v", told, want)
		}
		want := map[time.Duration]int64{
			0: 10, time.Second: 10, 2 * time.Second: 10, // 10 wide
			step: 30, 3 * time.Second: 30, // 30 wide from then on
		}
		for at, n := range want {
			if most[at] > n || most[at] == 0 {
				t.Errorf("at %v: %d in flight, want up to %d", at, most[at], n)
			}
		}
		if most[step] != 30 {
			t.Errorf("%d in flight once the width was 30", most[step])
		}
		if most[5*step] != 1024 {
			t.Errorf("%d in flight once the width was 1,024", most[5*step])
		}
		for at, n := range most {
			if at > 3*step && at < 4*step {
				t.Errorf("%d started at %v, while the width was 0", n, at)
			}
			if at >= 4*step && at < 5*step && n > 5 {
				t.Errorf("%d in flight at %v, with a width of 5", n, at)
			}
		}
	})
}

// No command starts before the last target is authenticated or has failed.
func TestBarrier(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		begin := time.Now()
		var running atomic.Int64
		s := &stub{
			dial: func(_ context.Context, a *ssh.Attempt) error {
				if !a.Hold {
					t.Error("the attempt is not held")
				}
				time.Sleep(time.Duration(a.Target.Index) * time.Second)
				if a.Target.Index%10 == 9 {
					return a.Fail(fleet.OutcomeNeverStarted, fleet.ReasonAuthFailed, errNetwork)
				}
				return nil
			},
			run: func(context.Context, *ssh.Attempt) fleet.End {
				running.Add(1)
				if at := time.Since(begin); at != 99*time.Second {
					t.Errorf("a command began at %v, want 99 s", at)
				}
				time.Sleep(time.Second)
				return fleet.End{Outcome: fleet.OutcomeOK}
			},
		}
		var releases []engine.Release
		width := make(chan int) // one without room for all is not taken
		go func() {
			for _, n := range []int{0, 99, 100} {
				width <- n
			}
			close(width)
		}()
		opts := engine.Options{
			Dialer: s, Fanout: 100, Targets: 100, Barrier: true, Width: width,
			Resized: func(width, _ int) {
				if width != 100 {
					t.Errorf("the width became %d", width)
				}
			},
			Released: func(r engine.Release) { releases = append(releases, r) },
		}
		counts := count(collect(t, t.Context(), opts, 100, 100))
		if counts[fleet.OutcomeOK] != 90 || counts[fleet.OutcomeNeverStarted] != 10 {
			t.Errorf("counts %v", counts)
		}
		if len(releases) != 1 || releases[0] != (engine.Release{Targets: 90}) {
			t.Errorf("released %+v, want 90 at once", releases)
		}
	})
}

// A stop at the barrier has run nothing and leaves no connection open.
func TestBarrierStops(t *testing.T) {
	for name, c := range map[string]struct {
		opts   engine.Options
		reason fleet.Reason
	}{
		"drain":    {engine.Options{}, fleet.ReasonInterrupted},
		"brake":    {engine.Options{FailFast: true}, fleet.ReasonBrake},
		"too many": {engine.Options{Fanout: 10, Targets: 10}, fleet.ReasonBrake}, // and there are 20
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := &stub{
					dial: func(ctx context.Context, a *ssh.Attempt) error {
						if a.Target.Index != 5 || name == "too many" {
							return nil
						}
						time.Sleep(time.Minute)
						if ctx.Err() != nil {
							return a.Fail(fleet.OutcomeCancelled, fleet.ReasonInterrupted, context.Cause(ctx))
						}
						return a.Fail(fleet.OutcomeNeverStarted, fleet.ReasonAuthFailed, errNetwork)
					},
					run: func(context.Context, *ssh.Attempt) fleet.End {
						t.Error("a command ran")
						return fleet.End{}
					},
				}
				drain := make(chan struct{})
				if name == "drain" {
					time.AfterFunc(time.Second, func() { close(drain) })
				}
				opts := c.opts
				opts.Dialer, opts.Barrier, opts.Drain = s, true, drain
				if opts.Targets == 0 {
					opts.Targets, opts.Fanout = 20, 20
				}
				for i, res := range collect(t, t.Context(), opts, 20, 20) {
					if i == 5 && name == "brake" {
						continue // it is what went wrong
					}
					if res.Outcome != fleet.OutcomeCancelled || res.Reason != c.reason {
						t.Errorf("target %d: %v %s, want cancelled %s", i, res.Outcome, res.Reason, c.reason)
					}
				}
				if open := s.open.Load(); open != 0 {
					t.Errorf("%d connections left open", open)
				}
			})
		})
	}
}

// A stop while the barrier opens starts no other command, and ends those whose
// intent is not recorded yet.
func TestBarrierStopsWhileOpening(t *testing.T) {
	for name, reason := range map[string]fleet.Reason{"drain": fleet.ReasonInterrupted, "brake": fleet.ReasonBrake} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				n := 8 * runtime.GOMAXPROCS(0) // of which an eighth start in parallel
				var started, intended atomic.Int64
				drain := make(chan struct{})
				s := &stub{
					dial: func(_ context.Context, a *ssh.Attempt) error {
						time.Sleep(time.Duration(a.Target.Index) * time.Millisecond) // the order at the barrier
						return nil
					},
					start: func(a *ssh.Attempt) {
						started.Add(1)
						if a.Target.Index != 0 {
							time.Sleep(time.Second)
						}
					},
					run: func(_ context.Context, a *ssh.Attempt) fleet.End {
						if a.Target.Index != 0 {
							time.Sleep(time.Minute) // as until its channel is open
						}
						if f := a.Intend(); f != nil {
							return f.End()
						}
						intended.Add(1)
						if name == "drain" && a.Target.Index == 0 {
							close(drain)
						}
						return fleet.End{Outcome: fleet.OutcomeFailed}
					},
				}
				released := -1
				counts := make(map[fleet.Outcome]int)
				opts := engine.Options{
					Dialer: s, Fanout: n, Targets: n, Barrier: true, FailFast: name == "brake", Drain: drain,
					Released: func(r engine.Release) { released = r.Targets },
				}
				for _, res := range collect(t, t.Context(), opts, n, n) {
					counts[res.Outcome]++
					if res.Outcome == fleet.OutcomeCancelled && res.Reason != reason {
						t.Errorf("target %d: %s, want %s", res.Target.Index, res.Reason, reason)
					}
				}
				if counts[fleet.OutcomeFailed] != 1 || counts[fleet.OutcomeCancelled] != n-1 || intended.Load() != 1 {
					t.Errorf("%v with %d intents, want one that failed and the others cancelled", counts, intended.Load())
				}
				if released != int(started.Load()) || released > n/2 {
					t.Errorf("released %d, of which %d were started", released, started.Load())
				}
				if open := s.open.Load(); open != 0 {
					t.Errorf("%d connections left open", open)
				}
			})
		})
	}
}

func TestShares(t *testing.T) {
	for text, want := range map[string][3]int{ // of 10, 1,000 and 99,999
		"0": {0, 0, 0}, "7": {7, 7, 7}, "1%": {1, 10, 999}, "2.5%": {1, 25, 2499}, "100%": {10, 1000, 99999}, "0%": {0, 0, 0},
	} {
		s, err := engine.ParseAmount(text)
		if err != nil {
			t.Errorf("%q: %v", text, err)
		}
		if got := [3]int{s.Of(10), s.Of(1000), s.Of(99999)}; got != want {
			t.Errorf("%q is %v, want %v", text, got, want)
		}
	}
	for _, text := range []string{"", "%", "-1", "-1%", "101%", "NaN%", "1.5", "1 %", "x"} {
		if s, err := engine.ParseAmount(text); err == nil {
			t.Errorf("%q gave %v", text, s)
		}
	}
}
