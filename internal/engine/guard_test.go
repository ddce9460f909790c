package engine_test

import (
	"context"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"shoal/fleet"
	"shoal/internal/engine"
	"shoal/internal/ssh"
)

// A panic in one of the caller's functions neither ends the process nor leaves a
// target without a result.
func TestPanicInOptions(t *testing.T) {
	const n = 30
	for name, c := range map[string]struct {
		set   func(*engine.Options)
		want  map[fleet.Outcome]int
		fault bool // it is the run's error
	}{
		"Intend": {func(o *engine.Options) {
			o.Intend = func(t fleet.Target, _ int, _ netip.AddrPort) error {
				if t.Index == 4 {
					panic("oops")
				}
				return nil
			}
		}, map[fleet.Outcome]int{fleet.OutcomeOK: n - 1, fleet.OutcomeNeverStarted: 1}, false},
		"Check": {func(o *engine.Options) {
			o.Rollout, o.Check = shares(t, "10"), func(context.Context, int) error { panic("oops") }
		}, map[fleet.Outcome]int{fleet.OutcomeOK: 10, fleet.OutcomeCancelled: n - 10}, false},
		"Follow": {func(o *engine.Options) {
			o.Follow = func(tail *engine.Output) {
				if tail.Target.Index == 4 {
					panic("oops")
				}
			}
		}, map[fleet.Outcome]int{fleet.OutcomeOK: 10, fleet.OutcomeCancelled: n - 10}, true},
		"Dialled": {func(o *engine.Options) {
			o.Dialled = func(t fleet.Target, _ int, _ netip.AddrPort) {
				if t.Index == 4 {
					panic("oops")
				}
			}
		}, map[fleet.Outcome]int{fleet.OutcomeOK: 10, fleet.OutcomeCancelled: n - 10}, true},
		"Drained": {func(o *engine.Options) {
			drain := make(chan struct{})
			close(drain)
			o.Drain, o.Drained = drain, func() (fleet.Reason, error) { panic("oops") }
		}, map[fleet.Outcome]int{}, true},
		"Resized": {func(o *engine.Options) {
			width := make(chan int, 1)
			time.AfterFunc(time.Millisecond, func() { width <- 10 })
			o.Width, o.Resized = width, func(int, int) { panic("oops") }
		}, map[fleet.Outcome]int{fleet.OutcomeOK: 10, fleet.OutcomeCancelled: n - 10}, true},
		"Released": {func(o *engine.Options) {
			o.Barrier, o.Targets, o.Fanout, o.Released = true, n, n, func(engine.Release) { panic("oops") }
		}, map[fleet.Outcome]int{fleet.OutcomeCancelled: n}, true}, // before their intents
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := &stub{run: func(_ context.Context, a *ssh.Attempt) fleet.End {
					if a.Target.Index != 4 { // it is the first
						time.Sleep(time.Second)
					}
					time.Sleep(time.Second)
					if err := a.Intend(); err != nil {
						return err.End()
					}
					if a.Dialled != nil {
						a.Dialled(netip.AddrPort{})
					}
					_, _ = a.Stdout.Write([]byte("x"))
					return fleet.End{Outcome: fleet.OutcomeOK}
				}}
				opts := engine.Options{Dialer: s, Fanout: 10}
				c.set(&opts)
				counts := map[fleet.Outcome]int{}
				text, kept, results := "", "", 0
				for res, err := range engine.RunAndCount(t.Context(), opts, engine.Direct(targets(n, n)), &kept) {
					if err != nil {
						text += "run: " + err.Error()
						continue
					}
					counts[res.Outcome]++
					results++
					if res.Err != nil && res.Target.Index == n-1 || res.Reason == fleet.ReasonStoreFailed {
						text += "target: " + res.Err.Error()
					}
				}
				for o, want := range c.want {
					if counts[o] != want || results != n {
						t.Errorf("counts %v, want %v", counts, c.want)
					}
				}
				if kept != "" {
					t.Errorf("kept: %s", kept)
				}
				if !strings.Contains(text, "panic in Options."+name+": oops") || strings.Contains(text, "run: ") != c.fault {
					t.Errorf("errors %q, want the panic's, the run's own: %v", text, c.fault)
				}
			})
		})
	}
}

// A panic in the function of a Follower is the run's error and stops it, and the Follower goes on.
func TestPanicInFollower(t *testing.T) {
	const n = 4
	passed := make(chan fleet.Stream, 2*n)
	f := engine.NewFollower(func(_ fleet.Target, _ int, s fleet.Stream, _ []byte) {
		passed <- s
		panic("oops")
	}, nil)
	defer f.Close()
	streams := make(map[fleet.Stream]int)
	opts := engine.Options{Fanout: 1, Follow: f.Announce, Dialer: &stub{run: func(_ context.Context, a *ssh.Attempt) fleet.End {
		_, _ = a.Stdout.Write([]byte("x"))
		streams[<-passed]++
		_, _ = a.Stderr.Write([]byte("x"))
		streams[<-passed]++
		f.Exclude(&fleet.Result{}, func() {}) // both panics are over
		return fleet.End{Outcome: fleet.OutcomeOK}
	}}}
	counts, failure := map[fleet.Outcome]int{}, error(nil)
	for res, err := range engine.Run(t.Context(), opts, engine.Direct(targets(n, n))) {
		if failure = err; err == nil {
			counts[res.Outcome]++
		}
	}
	if counts[fleet.OutcomeOK] != 1 || counts[fleet.OutcomeCancelled] != n-1 || streams[fleet.Stdout] != 1 || streams[fleet.Stderr] != 1 {
		t.Errorf("results %v, passed %v; want one target, and the others cancelled", counts, streams)
	}
	if failure == nil || !strings.HasPrefix(failure.Error(), "panic in Options.Output: oops") {
		t.Errorf("the run's error is %v, want the panic", failure)
	}
}

// A panic in what an epilogue's end calls is the run's error, and the slot is released.
func TestPanicInEpilogue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const n = 4
		k := &keeping{next: func(context.Context, *ssh.Attempt) fleet.End { return ok() }}
		e := engine.Epilogue{Stored: nothing, Timeout: time.Second, Command: func(*fleet.Result) (string, func([]byte, error)) {
			return "tidy", func([]byte, error) { panic("oops") }
		}}
		counts, failure := map[fleet.Outcome]int{}, error(nil)
		for res, err := range engine.Run(t.Context(), engine.Options{Dialer: k, Fanout: 1, Starts: -1, Epilogue: &e}, engine.Direct(targets(n, n))) {
			if failure = err; err == nil {
				counts[res.Outcome]++
			}
		}
		if counts[fleet.OutcomeOK] != 1 || counts[fleet.OutcomeCancelled] != n-1 || k.open.Load() != 0 {
			t.Errorf("%v, %d connections are open; want one target, and the others cancelled", counts, k.open.Load())
		}
		if failure == nil || !strings.HasPrefix(failure.Error(), "panic in Options.Epilogue.Command: oops") {
			t.Errorf("the run's error is %v, want the panic", failure)
		}
	})
}
