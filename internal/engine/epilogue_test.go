package engine_test

import (
	"context"
	"errors"
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

// A keeping stub has connections that are kept for a further command, which next runs.
type keeping struct {
	stub
	next func(ctx context.Context, a *ssh.Attempt) fleet.End
}

func (k *keeping) Dial(ctx context.Context, a *ssh.Attempt) (ssh.Conn, error) {
	c, err := k.stub.Dial(ctx, a)
	if err != nil {
		return nil, err
	}
	return &keptConn{c.(*stubConn), k}, nil
}

type keptConn struct {
	*stubConn
	keeping *keeping
}

func (c *keptConn) Start(ctx context.Context, done func(fleet.End)) {
	go func() {
		end := fleet.End{Outcome: fleet.OutcomeOK, Phase: fleet.PhaseDrain, Flags: fleet.FlagExitKnown}
		if c.stub.run != nil {
			end = c.stub.run(ctx, c.attempt)
		}
		if !c.attempt.Keep || !end.Outcome.Ran() {
			_ = c.Close()
		}
		done(end)
	}()
}

func (c *keptConn) StartNext(ctx context.Context, a *ssh.Attempt, done func(fleet.End)) {
	go func() {
		end := c.keeping.next(ctx, a)
		_ = c.Close()
		done(end)
	}()
}

// An ending is what an epilogue's ended was called with.
type ending struct {
	stdout string
	err    error
}

// epilogue sends "tidy" to every target that ran, and records the ends.
type epilogue struct {
	engine.Epilogue
	mu   sync.Mutex
	ends map[int]ending
}

func newEpilogue(stored func() error) *epilogue {
	e := &epilogue{ends: make(map[int]ending)}
	e.Stored, e.Timeout = stored, 5*time.Second
	e.Command = func(r *fleet.Result) (string, func([]byte, error)) {
		i := r.Target.Index
		if r.Outcome == fleet.OutcomeFailed {
			return "", nil
		}
		return "tidy", func(stdout []byte, err error) {
			e.mu.Lock()
			defer e.mu.Unlock()
			if _, twice := e.ends[i]; twice {
				panic("an epilogue has ended twice")
			}
			e.ends[i] = ending{string(stdout), err}
		}
	}
	return e
}

func nothing() error { return nil }

func ok() fleet.End {
	return fleet.End{Outcome: fleet.OutcomeOK, Phase: fleet.PhaseDrain, Flags: fleet.FlagExitKnown}
}

// An epilogue begins after its target's result was yielded and stored, and holds the slot; the
// run ends after the last one.
func TestEpiloguesFollowStoredResults(t *testing.T) {
	for _, fanout := range []int{1, 3, 20} {
		synctest.Test(t, func(t *testing.T) {
			const n = 20
			var mu sync.Mutex
			var yielded, stored, tidied []int
			k := &keeping{next: func(_ context.Context, a *ssh.Attempt) fleet.End {
				time.Sleep(time.Second)
				_, _ = a.Stdout.Write([]byte("done\n"))
				mu.Lock()
				defer mu.Unlock()
				if !slices.Contains(stored, a.Target.Index) || a.Exec() != "tidy" || a.Intent != nil || a.Keep {
					t.Errorf("%q is sent to target %d, stored are %v", a.Exec(), a.Target.Index, stored)
				}
				tidied = append(tidied, a.Target.Index)
				return ok()
			}}
			e := newEpilogue(func() error {
				mu.Lock()
				seen := slices.Clone(yielded)
				mu.Unlock()
				time.Sleep(10 * time.Millisecond) // the disk
				mu.Lock()
				defer mu.Unlock()
				stored = seen
				return nil
			})
			for res, err := range engine.Run(t.Context(), engine.Options{Dialer: k, Fanout: fanout, Starts: -1, Epilogue: &e.Epilogue}, engine.Direct(targets(n, n))) {
				if err != nil || res.Outcome != fleet.OutcomeOK {
					t.Fatalf("%v: %v", res.Outcome, err)
				}
				mu.Lock()
				if slices.Contains(tidied, res.Target.Index) {
					t.Errorf("target %d is tidied before its result is there", res.Target.Index)
				}
				yielded = append(yielded, res.Target.Index)
				mu.Unlock()
			}
			if len(tidied) != n || len(e.ends) != n || k.open.Load() != 0 || k.mostUp.Load() > int64(fanout) {
				t.Errorf("fanout %d: %d epilogues, %d ended, %d connections are open, at most %d were",
					fanout, len(tidied), len(e.ends), k.open.Load(), k.mostUp.Load())
			}
			for i, end := range e.ends {
				if end.stdout != "done\n" || end.err != nil {
					t.Errorf("target %d: %+v", i, end)
				}
			}
		})
	}
}

// What prevents an epilogue, or ends it, is told, leaves no connection open and changes no
// result.
func TestEpiloguesFail(t *testing.T) {
	errFull := errors.New("full")
	hang := func(ctx context.Context, a *ssh.Attempt) fleet.End {
		<-ctx.Done()
		return a.Fail(fleet.OutcomeUnknown, fleet.ReasonInterrupted, context.Cause(ctx)).End()
	}
	for name, c := range map[string]struct {
		stored func() error
		next   func(context.Context, *ssh.Attempt) fleet.End
		text   string
	}{
		"not stored":   {func() error { return errFull }, nil, "full"},
		"stored panic": {func() error { panic("oh") }, nil, "panic in Options.Epilogue.Stored: oh"},
		"hangs":        {nothing, hang, "it took more than 5s"},
		"fails": {nothing, func(context.Context, *ssh.Attempt) fleet.End {
			return fleet.End{Outcome: fleet.OutcomeFailed, Status: 3, Flags: fleet.FlagExitKnown}
		}, "it ended failed, with status 3"},
		"talks": {nothing, func(_ context.Context, a *ssh.Attempt) fleet.End {
			for range 3 {
				_, _ = a.Stdout.Write(make([]byte, engine.MaxEpilogueOutput/2))
			}
			return ok()
		}, "it ended ok"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				const n = 10
				k, e := &keeping{next: c.next}, newEpilogue(c.stored)
				counts := tally(t, t.Context(), engine.Options{Dialer: k, Fanout: 3, Epilogue: &e.Epilogue}, n, targets(n, n))
				if counts[fleet.OutcomeOK] != n || len(e.ends) != n || k.open.Load() != 0 {
					t.Errorf("%v, %d epilogues ended, %d connections are open", counts, len(e.ends), k.open.Load())
				}
				for i, end := range e.ends {
					if end.err == nil || !strings.Contains(end.err.Error(), c.text) || len(end.stdout) > engine.MaxEpilogueOutput {
						t.Errorf("target %d: %d bytes, %v; want %q", i, len(end.stdout), end.err, c.text)
					}
				}
			})
		})
	}
}

// Only targets that ran and that Command wants have an epilogue; the connections of the others
// are closed and their slots released.
func TestEpiloguesOfSome(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const n = 30
		k := &keeping{next: func(context.Context, *ssh.Attempt) fleet.End { return ok() }}
		k.run = func(_ context.Context, a *ssh.Attempt) fleet.End {
			switch a.Target.Index % 3 {
			case 0:
				return ok()
			case 1:
				return fleet.End{Outcome: fleet.OutcomeFailed, Status: 1, Flags: fleet.FlagExitKnown}
			}
			return a.Fail(fleet.OutcomeUnknown, fleet.ReasonConnClosed, errors.New("lost")).End()
		}
		e := newEpilogue(nothing)
		counts := tally(t, t.Context(), engine.Options{Dialer: k, Fanout: 2, Epilogue: &e.Epilogue}, n, targets(n, n))
		if counts[fleet.OutcomeOK] != n/3 || counts[fleet.OutcomeFailed] != n/3 || counts[fleet.OutcomeUnknown] != n/3 || len(e.ends) != n/3 || k.open.Load() != 0 {
			t.Errorf("%v, %d epilogues ended, %d connections are open", counts, len(e.ends), k.open.Load())
		}
	})
}

// A drain lets epilogues run; the end of the context, and of the loop, ends them.
func TestEpiloguesAndStops(t *testing.T) {
	for _, how := range []string{"drain", "context", "leave"} {
		t.Run(how, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var tidied atomic.Int64
				k := &keeping{next: func(ctx context.Context, a *ssh.Attempt) fleet.End {
					select {
					case <-time.After(time.Second):
						tidied.Add(1)
						return ok()
					case <-ctx.Done():
						return a.Fail(fleet.OutcomeUnknown, fleet.ReasonInterrupted, context.Cause(ctx)).End()
					}
				}}
				k.run = func(ctx context.Context, a *ssh.Attempt) fleet.End {
					time.Sleep(time.Duration(a.Target.Index) * 100 * time.Millisecond)
					return ok()
				}
				e := newEpilogue(nothing)
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				drain := make(chan struct{})
				begin, results := time.Now(), 0
				for _, err := range engine.Run(ctx, engine.Options{Dialer: k, Fanout: 4, Drain: drain, Epilogue: &e.Epilogue}, engine.Direct(targets(50, 50))) {
					if err != nil {
						t.Fatal(err)
					}
					if results++; results != 2 {
						continue
					}
					switch how {
					case "drain":
						close(drain)
					case "context":
						cancel()
					}
					if how == "leave" {
						break
					}
				}
				took := time.Since(begin)
				if k.open.Load() != 0 {
					t.Errorf("%d connections are open", k.open.Load())
				}
				switch n := tidied.Load(); {
				case how == "drain" && (n < 4 || n != int64(len(e.ends))):
					t.Errorf("%d epilogues have ended in order, of %d", n, len(e.ends))
				case how != "drain" && (n != 0 || took >= time.Second):
					t.Errorf("%d epilogues have ended in order; stopping took %v", n, took)
				}
			})
		})
	}
}
