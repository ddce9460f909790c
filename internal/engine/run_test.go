package engine_test

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"shoal/fleet"
	"shoal/internal/engine"
	"shoal/internal/ssh"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// A stub simulates the network: dial and run say how long each takes and how it
// ends. It records the highest number of each at the same time.
type stub struct {
	dial func(ctx context.Context, a *ssh.Attempt) error
	run  func(ctx context.Context, a *ssh.Attempt) fleet.End
	// start is called within Start.
	start func(a *ssh.Attempt)

	dialling, open       atomic.Int64
	mostDialling, mostUp atomic.Int64
}

func (s *stub) Dial(ctx context.Context, a *ssh.Attempt) (ssh.Conn, error) {
	peak(&s.mostDialling, s.dialling.Add(1))
	defer s.dialling.Add(-1)
	a.Timeline.Enter(fleet.PhaseDial)
	if s.dial != nil {
		if err := s.dial(ctx, a); err != nil {
			return nil, err
		}
	}
	peak(&s.mostUp, s.open.Add(1))
	return &stubConn{stub: s, attempt: a}, nil
}

func peak(most *atomic.Int64, now int64) {
	for {
		seen := most.Load()
		if now <= seen || most.CompareAndSwap(seen, now) {
			return
		}
	}
}

type stubConn struct {
	ssh.Conn // nil: nothing asks for a second command
	stub     *stub
	attempt  *ssh.Attempt
	once     sync.Once
}

func (c *stubConn) Start(ctx context.Context, done func(fleet.End)) {
	if c.stub.start != nil {
		c.stub.start(c.attempt)
	}
	go func() {
		end := fleet.End{Outcome: fleet.OutcomeOK, Phase: fleet.PhaseDrain, Flags: fleet.FlagExitKnown}
		if c.stub.run != nil {
			end = c.stub.run(ctx, c.attempt)
		}
		_ = c.Close()
		done(end)
	}()
}

func (c *stubConn) Close() error {
	c.once.Do(func() { c.stub.open.Add(-1) })
	return nil
}

// targets returns n targets, each on its own host unless hosts is smaller.
func targets(n, hosts int) iter.Seq[fleet.Target] {
	return func(yield func(fleet.Target) bool) {
		for i := range n {
			t := fleet.Target{Host: fleet.Host{Name: fmt.Sprintf("h%d", i%hosts)}, Index: i, User: "u", Port: 22}
			if !yield(t) {
				return
			}
		}
	}
}

// tally runs everything and counts outcomes; every index must occur once.
func tally(t *testing.T, ctx context.Context, opts engine.Options, n int, ts iter.Seq[fleet.Target]) map[fleet.Outcome]int {
	t.Helper()
	counts := make(map[fleet.Outcome]int)
	seen := make([]bool, n)
	for res, err := range engine.Run(ctx, opts, engine.Direct(ts)) {
		if err != nil {
			t.Fatalf("run: %v", err)
		}
		if seen[res.Target.Index] {
			t.Errorf("target %d came twice", res.Target.Index)
		}
		seen[res.Target.Index] = true
		counts[res.Outcome]++
	}
	for i, ok := range seen {
		if !ok {
			t.Errorf("target %d has no result", i)
		}
	}
	return counts
}

func TestBoundsHold(t *testing.T) {
	for _, c := range []struct {
		name                  string
		fanout, dials, starts int
		n, hosts              int
	}{
		{"dials apart from sessions", 50, 7, -1, 400, 400},
		{"one at a time", 1, 0, 0, 40, 40},
		{"one endpoint", 60, 60, 3, 300, 1},
		{"two endpoints", 60, 60, 3, 300, 2},
		{"more targets at a gate than slots", 8, 8, 2, 500, 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var mu sync.Mutex
				perHost, most := map[string]int{}, 0
				s := &stub{
					dial: func(_ context.Context, a *ssh.Attempt) error {
						mu.Lock()
						perHost[a.Target.Host.Name]++
						most = max(most, perHost[a.Target.Host.Name])
						mu.Unlock()
						time.Sleep(500 * time.Millisecond)
						mu.Lock()
						perHost[a.Target.Host.Name]--
						mu.Unlock()
						return nil
					},
					run: func(context.Context, *ssh.Attempt) fleet.End {
						time.Sleep(10 * time.Second)
						return fleet.End{Outcome: fleet.OutcomeOK}
					},
				}
				opts := engine.Options{Dialer: s, Fanout: c.fanout, Dials: c.dials, Starts: c.starts}
				counts := tally(t, t.Context(), opts, c.n, targets(c.n, c.hosts))
				if counts[fleet.OutcomeOK] != c.n {
					t.Errorf("counts = %v, want %d ok", counts, c.n)
				}
				dials := c.dials
				if dials == 0 {
					dials = c.fanout
				}
				if got := s.mostDialling.Load(); got > int64(dials) {
					t.Errorf("%d dials at once, want at most %d", got, dials)
				}
				if got := s.mostUp.Load(); got > int64(c.fanout) {
					t.Errorf("%d sessions at once, want at most %d", got, c.fanout)
				}
				if c.starts > 0 && most > c.starts {
					t.Errorf("%d starts at once at one endpoint, want at most %d", most, c.starts)
				}
			})
		})
	}
}

// The fanout is used: dials and running commands, which have separate limits,
// overlap.
func TestWidthIsUsed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &stub{
			dial: func(context.Context, *ssh.Attempt) error { time.Sleep(500 * time.Millisecond); return nil },
			run: func(context.Context, *ssh.Attempt) fleet.End {
				time.Sleep(100 * time.Second)
				return fleet.End{Outcome: fleet.OutcomeOK}
			},
		}
		begin := time.Now()
		tally(t, t.Context(), engine.Options{Dialer: s, Fanout: 100, Dials: 10}, 100, targets(100, 100))
		if got, want := time.Since(begin), 105*time.Second; got != want {
			t.Errorf("took %v of virtual time, want %v: ten waves of dials, then the commands side by side", got, want)
		}
	})
}

func TestPanicIsOneResult(t *testing.T) {
	s := &stub{
		dial: func(_ context.Context, a *ssh.Attempt) error {
			switch a.Target.Index {
			case 3:
				panic("early")
			case 5:
				_ = a.Intend()
				panic("late")
			case 6:
				a.Timeline.Enter(fleet.PhaseAuth)
				panic("not so late")
			case 7:
				return errors.New("not one of the seam's errors")
			}
			return nil
		},
	}
	got := make(map[int]fleet.Result)
	for res, err := range engine.Run(t.Context(), engine.Options{Dialer: s, Fanout: 4}, engine.Direct(targets(20, 20))) {
		if err != nil {
			t.Fatal(err)
		}
		got[res.Target.Index] = res
	}
	for i, want := range map[int]fleet.Outcome{
		3: fleet.OutcomeNeverStarted, 5: fleet.OutcomeUnknown, 6: fleet.OutcomeNeverStarted, 7: fleet.OutcomeUnknown, 8: fleet.OutcomeOK,
	} {
		if got[i].Outcome != want {
			t.Errorf("target %d: %v, want %v", i, got[i].Outcome, want)
		}
	}
	if got[3].Reason != fleet.ReasonInternal || !strings.Contains(got[3].Err.Error(), "panic: early") {
		t.Errorf("target 3: %s %v, want internal with the panic's text", got[3].Reason, got[3].Err)
	}
	if len(got) != 20 {
		t.Errorf("%d results, want 20", len(got))
	}
}

func TestPanickingIteratorEndsTheRunWithAnError(t *testing.T) {
	ts := func(yield func(fleet.Target) bool) {
		yield(fleet.Target{Host: fleet.Host{Name: "a"}})
		panic("inventory lost")
	}
	var results int
	var last error
	for _, err := range engine.Run(t.Context(), engine.Options{Dialer: &stub{}}, engine.Direct(ts)) {
		if err != nil {
			last = err
			continue
		}
		results++
	}
	if results != 1 || last == nil || !strings.Contains(last.Error(), "inventory lost") {
		t.Errorf("%d results and error %v, want 1 and the panic's text", results, last)
	}
}

// A drain lets running commands end and starts no others; dials are abandoned.
func TestDrain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		drain := make(chan struct{})
		s := &stub{
			dial: func(ctx context.Context, a *ssh.Attempt) error {
				if a.Target.Index < 4 {
					return nil
				}
				<-ctx.Done()
				return a.Fail(fleet.OutcomeCancelled, fleet.ReasonInterrupted, context.Cause(ctx))
			},
			run: func(context.Context, *ssh.Attempt) fleet.End {
				time.Sleep(time.Minute)
				return fleet.End{Outcome: fleet.OutcomeOK}
			},
		}
		time.AfterFunc(10*time.Second, func() { close(drain) })
		begin := time.Now()
		counts := tally(t, t.Context(), engine.Options{Dialer: s, Fanout: 10, Drain: drain}, 1000, targets(1000, 1000))
		if counts[fleet.OutcomeOK] != 4 || counts[fleet.OutcomeCancelled] != 996 {
			t.Errorf("counts = %v, want 4 ok and 996 cancelled", counts)
		}
		if took := time.Since(begin); took != time.Minute {
			t.Errorf("took %v, want a minute: the commands that ran were waited for", took)
		}
	})
}

// An abort ends running commands too, and still every target has its result.
func TestAbort(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancelCause(t.Context())
		s := &stub{run: func(ctx context.Context, a *ssh.Attempt) fleet.End {
			<-ctx.Done()
			return a.Fail(fleet.OutcomeUnknown, fleet.ReasonInterrupted, context.Cause(ctx)).End()
		}}
		time.AfterFunc(10*time.Second, func() { cancel(errors.New("second interrupt")) })
		counts := tally(t, ctx, engine.Options{Dialer: s, Fanout: 10}, 1000, targets(1000, 1000))
		if counts[fleet.OutcomeUnknown] != 10 || counts[fleet.OutcomeCancelled] != 990 {
			t.Errorf("counts = %v, want 10 unknown and 990 cancelled", counts)
		}
	})
}

// Leaving the loop stops a run over an endless iterator; goleak sees the rest.
func TestLeavingTheLoop(t *testing.T) {
	endless := targets(1<<62, 1<<62)
	s := &stub{}
	n := 0
	for _, err := range engine.Run(t.Context(), engine.Options{Dialer: s, Fanout: 100}, engine.Direct(endless)) {
		if err != nil {
			t.Fatal(err)
		}
		if n++; n == 50 {
			break
		}
	}
	if open := s.open.Load(); open != 0 {
		t.Errorf("%d connections left open", open)
	}
}

func TestInvalidOptions(t *testing.T) {
	for name, opts := range map[string]engine.Options{
		"no dialer":       {},
		"negative fanout": {Dialer: &stub{}, Fanout: -1},
		"negative dials":  {Dialer: &stub{}, Dials: -1},
	} {
		var errs, results int
		for _, err := range engine.Run(t.Context(), opts, engine.Direct(targets(3, 3))) {
			if err != nil {
				errs++
			} else {
				results++
			}
		}
		if errs != 1 || results != 0 {
			t.Errorf("%s: %d errors and %d results, want one error and nothing started", name, errs, results)
		}
	}
}

// The heap in use in the middle of a run is the same for twenty times the
// targets.
// faults.md: R10
func TestMemoryFollowsFanout(t *testing.T) {
	heap := func(n int) uint64 {
		var most uint64
		i := 0
		for _, err := range engine.Run(t.Context(), engine.Options{Dialer: &stub{}, Fanout: 64}, engine.Direct(targets(n, n))) {
			if err != nil {
				t.Fatal(err)
			}
			if i++; i%(n/5) == 0 {
				runtime.GC()
				var m runtime.MemStats
				runtime.ReadMemStats(&m)
				most = max(most, m.HeapAlloc)
			}
		}
		return most
	}
	few := heap(5_000)
	many := heap(60_000)
	t.Logf("heap in use: %d KiB with 5,000 targets, %d KiB with 60,000", few>>10, many>>10)
	if many > few+few/2 {
		t.Errorf("heap grew from %d to %d bytes with the number of targets", few, many)
	}
}
