package engine_test

import (
	"context"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"shoal/fleet"
	"shoal/internal/engine"
	"shoal/internal/ssh"
)

// Every target of a server that is given up has its result, whether the run ends by
// itself, by a drain or by an abort, before or after the server is given up.
func TestGivenUpServerEnds(t *testing.T) {
	for _, c := range []struct{ n, attempts int }{{2, 3}, {8, 1}, {20, 1}} {
		for _, stop := range []string{"", "drain", "abort"} {
			for _, after := range []time.Duration{time.Second, time.Minute, 3 * time.Minute, time.Hour} {
				t.Run(fmt.Sprintf("%d targets, %d attempts, %s after %v", c.n, c.attempts, stop, after), func(t *testing.T) {
					synctest.Test(t, func(t *testing.T) {
						ctx, abort := context.WithCancel(t.Context())
						defer abort()
						drain := make(chan struct{})
						switch stop {
						case "drain":
							time.AfterFunc(after, func() { close(drain) })
						case "abort":
							time.AfterFunc(after, abort)
						}
						dials := 0
						s := &stub{dial: func(_ context.Context, a *ssh.Attempt) error {
							dials++
							time.Sleep(time.Millisecond)
							return a.Fail(fleet.OutcomeNeverStarted, fleet.ReasonThrottled, errNetwork)
						}}
						results := collect(t, ctx, engine.Options{Dialer: s, Attempts: c.attempts, Drain: drain, Dials: 1}, c.n, 1)
						counts := count(results)
						if counts[fleet.OutcomeNeverStarted]+counts[fleet.OutcomeCancelled] != c.n {
							t.Errorf("counts %v, want %d that have not run", counts, c.n)
						}
						if stop != "" && after < time.Hour {
							return
						}
						tried := 0
						for i, res := range results {
							tried += res.Attempt
							if res.Outcome != fleet.OutcomeNeverStarted || res.Reason != fleet.ReasonThrottled {
								t.Errorf("target %d: %v %s", i, res.Outcome, res.Reason)
							}
						}
						if most := c.n * c.attempts; tried != dials || dials > most || dials < 2 {
							t.Errorf("%d attempts in the results and %d made, want the same, at most %d", tried, dials, most)
						}
					})
				})
			}
		}
	}
}

// The requested number of attempts is made, and no wait exceeds 30 s.
func TestManyAttempts(t *testing.T) {
	for _, attempts := range []int{35, 36, 38, 64, 65, engine.MaxAttempts} {
		synctest.Test(t, func(t *testing.T) {
			s := &stub{dial: func(_ context.Context, a *ssh.Attempt) error {
				if a.Target.Index > 0 {
					return nil
				}
				return a.FailIn(fleet.PhaseKex, fleet.OutcomeNeverStarted, fleet.ReasonConnReset, errNetwork)
			}}
			results := collect(t, t.Context(), engine.Options{Dialer: s, Attempts: attempts}, 1000, 1000)
			if n := count(results)[fleet.OutcomeOK]; n != 999 {
				t.Errorf("%d ok, want 999", n)
			}
			first := results[0]
			if first.Attempt != attempts || first.Reason != fleet.ReasonConnReset {
				t.Errorf("%d attempts and %s, want %d and conn_reset", first.Attempt, first.Reason, attempts)
			}
			started := first.Started
			for _, e := range slices.Backward(first.Earlier) {
				if wait := started.Sub(e.Started); wait < 0 || wait > 30*time.Second {
					t.Errorf("an attempt came %v after the one before it", wait)
				}
				started = e.Started
			}
		})
	}
}

func TestOutOfRange(t *testing.T) {
	for name, opts := range map[string]engine.Options{
		"101 attempts are too many": {Attempts: 101},
		"a rate of +Inf":            {Rate: 1 / zero},
		"a rate of NaN":             {Rate: zero / zero},
	} {
		opts.Dialer = new(stub)
		if err := opts.Validate(); err == nil || !strings.Contains(err.Error(), strings.TrimSuffix(name, " are too many")) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

var zero float64

// However a target ends, it releases what it shares with others: slots, the
// limiter, bytes of output and the barrier.
func TestEveryEndGivesBack(t *testing.T) {
	const n = 12
	fail := func(p fleet.Phase, o fleet.Outcome, r fleet.Reason) func(context.Context, *ssh.Attempt) error {
		return func(_ context.Context, a *ssh.Attempt) error {
			time.Sleep(time.Second)
			return a.FailIn(p, o, r, errNetwork)
		}
	}
	ends := func(o fleet.Outcome, r fleet.Reason) func(context.Context, *ssh.Attempt) fleet.End {
		return func(ctx context.Context, a *ssh.Attempt) fleet.End {
			_, _ = a.Stdout.Write(make([]byte, 40))
			_, _ = a.Stderr.Write(make([]byte, 40))
			select {
			case <-time.After(time.Hour):
				return fleet.End{Outcome: o, Reason: r}
			case <-ctx.Done():
				return a.Fail(fleet.OutcomeUnknown, fleet.ReasonInterrupted, ctx.Err()).End()
			}
		}
	}
	slow := func(ctx context.Context, a *ssh.Attempt) error {
		select {
		case <-time.After(2 * time.Hour):
			return nil
		case <-ctx.Done():
			return a.Fail(fleet.OutcomeCancelled, fleet.ReasonInterrupted, ctx.Err())
		}
	}
	oneSlow := func(ctx context.Context, a *ssh.Attempt) error {
		if a.Target.Index == 0 {
			return slow(ctx, a)
		}
		return nil
	}
	var dials [n]atomic.Int64
	everySecond := func(_ context.Context, a *ssh.Attempt) error {
		if dials[a.Target.Index].Add(1)%2 == 0 {
			return a.Fail(fleet.OutcomeNeverStarted, fleet.ReasonConnRefused, errNetwork)
		}
		return nil
	}
	never, unknown, cancelled := fleet.OutcomeNeverStarted, fleet.OutcomeUnknown, fleet.OutcomeCancelled
	for name, c := range map[string]struct {
		dial    func(context.Context, *ssh.Attempt) error
		run     func(context.Context, *ssh.Attempt) fleet.End
		panicIn string
		stop    string // a minute after the beginning
		opts    engine.Options
		want    fleet.Outcome // of the first
		other   fleet.Outcome // of the last, where it is not the same
		held    int           // at the barrier when the stop comes; without a barrier there is no such case
	}{
		"success":              {want: fleet.OutcomeOK, run: ends(fleet.OutcomeOK, "")},
		"failure":              {want: fleet.OutcomeFailed, run: ends(fleet.OutcomeFailed, "")},
		"command timeout":      {want: unknown, run: ends(unknown, fleet.ReasonTimeout)},
		"lost, tried again":    {want: unknown, run: ends(unknown, fleet.ReasonConnReset), opts: engine.Options{Idempotent: true}},
		"lost, then refused":   {want: unknown, dial: everySecond, run: ends(unknown, fleet.ReasonConnReset), opts: engine.Options{Idempotent: true, Attempts: 2}},
		"no room for output":   {want: fleet.OutcomeOK, run: ends(fleet.OutcomeOK, ""), opts: engine.Options{MaxHeld: 50}},
		"not let in":           {want: never, dial: fail(fleet.PhaseAuth, never, fleet.ReasonAuthFailed)},
		"reset, tried again":   {want: never, dial: fail(fleet.PhaseKex, never, fleet.ReasonConnReset)},
		"given up":             {want: never, dial: fail(fleet.PhaseBanner, never, fleet.ReasonThrottled)},
		"jump host":            {want: never, dial: fail(fleet.PhaseDial, never, fleet.ReasonJumpFailed)},
		"lack of files":        {want: never, dial: fail(fleet.PhaseDial, never, fleet.ReasonLocalFiles)},
		"no agent":             {want: never, dial: fail(fleet.PhaseAuth, never, fleet.ReasonAgentUnavailable)},
		"error of no kind":     {want: unknown, dial: func(context.Context, *ssh.Attempt) error { return errNetwork }},
		"panic in Dial":        {want: never, dial: func(context.Context, *ssh.Attempt) error { panic("Dial") }},
		"Goexit in Dial":       {want: never, dial: func(context.Context, *ssh.Attempt) error { runtime.Goexit(); return nil }},
		"panic in Start":       {want: unknown, panicIn: "Start"},
		"panic in both":        {want: unknown, panicIn: "Start and Close"},
		"panic in Close":       {want: fleet.OutcomeOK, run: ends(fleet.OutcomeOK, ""), panicIn: "Close"},
		"drain while dialling": {want: cancelled, dial: slow, stop: "drain"},
		"abort while dialling": {want: cancelled, dial: slow, stop: "abort"},
		"drain while running":  {want: fleet.OutcomeOK, other: cancelled, run: ends(fleet.OutcomeOK, ""), stop: "drain"},
		"abort while running":  {want: unknown, other: cancelled, run: ends(fleet.OutcomeOK, ""), stop: "abort"},
		"brake":                {want: fleet.OutcomeFailed, other: cancelled, run: ends(fleet.OutcomeFailed, ""), opts: engine.Options{FailFast: true}},
		"drain at the barrier": {want: cancelled, dial: oneSlow, stop: "drain", held: n - 1},
		"abort at the barrier": {want: cancelled, dial: oneSlow, stop: "abort", held: n - 1},
		"panic at the barrier": {want: never, other: cancelled, dial: oneSlow, stop: "drain", held: n - 1, panicIn: "Close"},
	} {
		for _, barrier := range []bool{false, true} {
			if c.held > 0 && !barrier {
				continue
			}
			t.Run(fmt.Sprintf("%s, barrier %v", name, barrier), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					ctx, abort := context.WithCancel(t.Context())
					defer abort()
					drain := make(chan struct{})
					time.AfterFunc(time.Minute, map[string]func(){"": func() {}, "drain": func() { close(drain) }, "abort": abort}[c.stop])
					s := &stub{dial: func(ctx context.Context, a *ssh.Attempt) error {
						a.Timeline.Enter(fleet.PhaseDial)
						if c.dial != nil {
							return c.dial(ctx, a)
						}
						a.Timeline.Enter(fleet.PhaseSession)
						return nil
					}, run: c.run}
					opts := c.opts
					opts.Dialer, opts.Fanout, opts.Starts, opts.Drain = panicking{s, c.panicIn}, 3, 2, drain
					if opts.MaxHeld == 0 {
						opts.MaxHeld = 1000
					}
					if barrier {
						opts.Barrier, opts.Targets, opts.Fanout = true, n, n
					}
					kept, counts := "", map[fleet.Outcome]int{}
					for res, err := range engine.RunAndCount(ctx, opts, engine.Direct(targets(n, 1)), &kept) {
						if err != nil {
							t.Error(err)
						}
						counts[res.Outcome]++
					}
					if kept != "" {
						t.Errorf("kept: %s", kept)
					}
					if open := s.open.Load(); open != 0 {
						t.Errorf("%d connections are open", open)
					}
					first := n
					switch {
					case c.other != 0 && c.held > 0:
						first = c.held
					case c.other != 0 && !barrier:
						first = opts.Fanout
					}
					if c.held > 0 && int(s.mostUp.Load()) != c.held {
						t.Errorf("%d stood at the barrier, want %d", s.mostUp.Load(), c.held)
					}
					if counts[c.want] != first || counts[c.other] != n-first && first < n {
						t.Errorf("counts %v, want %d %v and the others %v", counts, first, c.want, c.other)
					}
				})
			})
		}
	}
}

// A panicking Dialer returns connections whose methods panic.
type panicking struct {
	*stub
	in string
}

func (p panicking) Dial(ctx context.Context, a *ssh.Attempt) (ssh.Conn, error) {
	conn, err := p.stub.Dial(ctx, a)
	if err != nil {
		return nil, err
	}
	return panickingConn{conn, p.in, a}, nil
}

type panickingConn struct {
	ssh.Conn
	in      string
	attempt *ssh.Attempt
}

func (c panickingConn) Start(ctx context.Context, done func(fleet.End)) {
	if strings.Contains(c.in, "Start") {
		_ = c.attempt.Intend() // it is about to be sent
		panic("Start")
	}
	c.Conn.Start(ctx, done)
}

func (c panickingConn) Close() error {
	_ = c.Conn.Close()
	if strings.Contains(c.in, "Close") {
		panic("Close")
	}
	return nil
}
