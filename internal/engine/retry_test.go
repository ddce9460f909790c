package engine_test

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"net"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"shoal/fleet"
	"shoal/internal/engine"
	"shoal/internal/ssh"
)

var errNetwork = errors.New("the network")

// collect runs everything and returns the results by index.
func collect(t *testing.T, ctx context.Context, opts engine.Options, n, hosts int) []fleet.Result {
	t.Helper()
	return collectPlanned(t, ctx, opts, n, engine.Direct(targets(n, hosts)))
}

func collectPlanned(t *testing.T, ctx context.Context, opts engine.Options, n int, planned iter.Seq[ssh.Target]) []fleet.Result {
	t.Helper()
	results := make([]fleet.Result, n)
	seen := make([]bool, n)
	for res, err := range engine.Run(ctx, opts, planned) {
		if err != nil {
			t.Fatalf("run: %v", err)
		}
		i := res.Target.Index
		if seen[i] {
			t.Errorf("target %d came twice", i)
		}
		seen[i], results[i] = true, res
	}
	for i, ok := range seen {
		if !ok {
			t.Errorf("target %d has no result", i)
		}
	}
	return results
}

// The number of attempts for each end if every attempt ends so.
func TestAttemptsByReason(t *testing.T) {
	never, unknown := fleet.OutcomeNeverStarted, fleet.OutcomeUnknown
	for _, c := range []struct {
		outcome    fleet.Outcome
		reason     fleet.Reason
		phase      fleet.Phase
		idempotent bool
		want       int
	}{
		{never, fleet.ReasonResolveTimeout, fleet.PhaseResolve, false, 3},
		{never, fleet.ReasonResolveFailed, fleet.PhaseResolve, false, 3},
		{never, fleet.ReasonNameNotFound, fleet.PhaseResolve, false, 1},
		{never, fleet.ReasonDialTimeout, fleet.PhaseDial, false, 3},
		{never, fleet.ReasonJumpFailed, fleet.PhaseDial, false, 3},
		{never, fleet.ReasonConnRefused, fleet.PhaseDial, false, 1},
		{never, fleet.ReasonHostUnreachable, fleet.PhaseDial, false, 1},
		{never, fleet.ReasonConnReset, fleet.PhaseBanner, false, 3},
		{never, fleet.ReasonConnReset, fleet.PhaseAuth, false, 3},
		{never, fleet.ReasonConnClosed, fleet.PhaseKex, false, 3},
		{never, fleet.ReasonConnClosed, fleet.PhaseAuth, false, 1},
		{never, fleet.ReasonBannerTimeout, fleet.PhaseBanner, false, 2},
		{never, fleet.ReasonKexTimeout, fleet.PhaseKex, false, 2},
		{never, fleet.ReasonThrottled, fleet.PhaseBanner, false, 3},
		{never, fleet.ReasonProtocolError, fleet.PhaseBanner, false, 1},
		{never, fleet.ReasonHostkeyChanged, fleet.PhaseHostkey, true, 1},
		{never, fleet.ReasonAuthFailed, fleet.PhaseAuth, false, 1},
		{never, fleet.ReasonAgentUnavailable, fleet.PhaseAuth, false, 1},
		{never, fleet.ReasonStoreFailed, fleet.PhaseSession, false, 1},
		{fleet.OutcomeRefused, fleet.ReasonExecRefused, fleet.PhaseExec, true, 1},
		{unknown, fleet.ReasonConnReset, fleet.PhaseRun, false, 1},
		{unknown, fleet.ReasonConnReset, fleet.PhaseRun, true, 3},
		{unknown, fleet.ReasonConnClosed, fleet.PhaseExec, true, 3},
		{unknown, fleet.ReasonTimeout, fleet.PhaseRun, true, 1},
		{unknown, fleet.ReasonInterrupted, fleet.PhaseRun, true, 1},
	} {
		synctest.Test(t, func(t *testing.T) {
			end := fleet.End{Outcome: c.outcome, Reason: c.reason, Phase: c.phase, Err: errNetwork}
			s := new(stub)
			if c.outcome == never {
				s.dial = func(_ context.Context, a *ssh.Attempt) error {
					time.Sleep(time.Second)
					return a.FailIn(c.phase, c.outcome, c.reason, errNetwork)
				}
			} else {
				s.run = func(context.Context, *ssh.Attempt) fleet.End { time.Sleep(time.Second); return end }
			}
			res := collect(t, t.Context(), engine.Options{Dialer: s, Idempotent: c.idempotent}, 1, 1)[0]
			if res.Attempt != c.want || len(res.Earlier) != c.want-1 || res.End != end {
				t.Errorf("%v %s in %v: attempt %d after %d others, end %+v; want %d attempts and %+v",
					c.outcome, c.reason, c.phase, res.Attempt, len(res.Earlier), res.End, c.want, end)
			}
			for i, e := range res.Earlier {
				if e.End != end || e.Took != time.Second || !e.Started.Before(res.Started) {
					t.Errorf("%s: attempt %d was %+v", c.reason, i+1, e)
				}
			}
		})
	}
}

// A target that has used up its connect timeout, or whose proxy command is silent,
// is not retried: others with the same reasons are.
func TestUsedUpIsNotTriedAgain(t *testing.T) {
	const banner, dial = fleet.ReasonBannerTimeout, fleet.ReasonDialTimeout
	proxy := &fleet.Route{ProxyCommand: []string{"sleep", "1000"}}
	late := fmt.Errorf("before the %w of 3s passed", ssh.ErrConnectTimeout)
	lostJump := &fleet.Error{Reason: fleet.ReasonJumpFailed, Err: late}
	for name, c := range map[string]struct {
		reason fleet.Reason
		err    error
		route  *fleet.Route
		want   int
	}{
		"greeting":                           {banner, errNetwork, nil, 2},
		"greeting, connect timeout":          {banner, late, nil, 1},
		"key exchange":                       {fleet.ReasonKexTimeout, errNetwork, nil, 2},
		"key exchange, connect timeout":      {fleet.ReasonKexTimeout, late, nil, 1},
		"dial":                               {dial, errNetwork, nil, 3},
		"dial, connect timeout":              {dial, late, nil, 1},
		"look-up, connect timeout":           {fleet.ReasonResolveTimeout, late, nil, 1},
		"jump host, connect timeout":         {fleet.ReasonJumpFailed, lostJump, nil, 1},
		"silent proxy command":               {banner, errNetwork, proxy, 1},
		"proxy command, key exchange":        {fleet.ReasonKexTimeout, errNetwork, proxy, 2},
		"jump host without an address":       {fleet.ReasonJumpFailed, &net.DNSError{IsNotFound: true}, nil, 1},
		"proxy command that failed":          {fleet.ReasonJumpFailed, errNetwork, proxy, 3},
		"jump host before the proxy command": {banner, errNetwork, &fleet.Route{Via: new(fleet.Target), ProxyCommand: proxy.ProxyCommand}, 2},
	} {
		synctest.Test(t, func(t *testing.T) {
			s := &stub{dial: func(_ context.Context, a *ssh.Attempt) error {
				return a.Fail(fleet.OutcomeNeverStarted, c.reason, c.err)
			}}
			target := fleet.Target{Host: fleet.Host{Name: "h", Port: 22}, User: "u", Port: 22, Route: c.route}
			for res, err := range engine.Run(t.Context(), engine.Options{Dialer: s}, engine.Direct(slices.Values([]fleet.Target{target}))) {
				if err != nil || res.Attempt != c.want || res.Reason != c.reason {
					t.Errorf("%s: %s after %d attempts (%v), want %d", name, res.Reason, res.Attempt, err, c.want)
				}
			}
		})
	}
}

func TestAttemptsBound(t *testing.T) {
	for attempts, want := range map[int]int{0: 3, 1: 1, 2: 2, 5: 5} {
		synctest.Test(t, func(t *testing.T) {
			s := &stub{dial: func(_ context.Context, a *ssh.Attempt) error {
				return a.Fail(fleet.OutcomeNeverStarted, fleet.ReasonDialTimeout, errNetwork)
			}}
			res := collect(t, t.Context(), engine.Options{Dialer: s, Attempts: attempts}, 1, 1)[0]
			if res.Attempt != want {
				t.Errorf("Attempts %d: %d were made, want %d", attempts, res.Attempt, want)
			}
		})
	}
}

// A retry that succeeds is a success; its result has the earlier attempts and only
// its own output.
func TestRetrySucceeds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var tries atomic.Int64
		var intents []int
		s := &stub{run: func(_ context.Context, a *ssh.Attempt) fleet.End {
			if err := a.Intend(); err != nil {
				return err.End()
			}
			if tries.Add(1) == 1 {
				_, _ = a.Stdout.Write([]byte("half of "))
				return a.Fail(fleet.OutcomeUnknown, fleet.ReasonConnReset, errNetwork).End()
			}
			_, _ = a.Stdout.Write([]byte("all of it"))
			return fleet.End{Outcome: fleet.OutcomeOK, Flags: fleet.FlagExitKnown}
		}}
		opts := engine.Options{Dialer: s, Idempotent: true, Intend: func(tg fleet.Target, attempt int, _ netip.AddrPort) error {
			intents = append(intents, attempt)
			return nil
		}}
		res := collect(t, t.Context(), opts, 1, 1)[0]
		if res.Outcome != fleet.OutcomeOK || res.Attempt != 2 || string(res.Stdout.Bytes) != "all of it" {
			t.Errorf("%v at attempt %d with %q", res.Outcome, res.Attempt, res.Stdout.Bytes)
		}
		if len(intents) != 2 || intents[0] != 1 || intents[1] != 2 {
			t.Errorf("intents %v, want 1 and 2", intents)
		}
	})
}

func TestIntendRefuses(t *testing.T) {
	s := &stub{run: func(_ context.Context, a *ssh.Attempt) fleet.End { return a.Intend().End() }}
	res := collect(t, t.Context(), engine.Options{Dialer: s, Intend: func(fleet.Target, int, netip.AddrPort) error { return errNetwork }}, 1, 1)[0]
	if res.Outcome != fleet.OutcomeNeverStarted || res.Reason != fleet.ReasonStoreFailed || res.Attempt != 1 {
		t.Errorf("%v %s after %d attempts", res.Outcome, res.Reason, res.Attempt)
	}
}

// A command that may have run once stays unknown, whatever a later attempt shows. The result
// is then the last attempt that may have run, with what it has written.
func TestUnknownStaysUnknown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var tries atomic.Int64
		var earlier []*engine.Output
		s := &stub{
			dial: func(_ context.Context, a *ssh.Attempt) error {
				if tries.Add(1) <= 2 {
					return nil
				}
				said := "of the third"
				a.BecomeOutput = &said
				return a.Fail(fleet.OutcomeNeverStarted, fleet.ReasonConnRefused, errNetwork)
			},
			run: func(_ context.Context, a *ssh.Attempt) fleet.End {
				_, _ = fmt.Fprintf(a.Stdout, "%d: ", tries.Load())
				_, _ = a.Stderr.Write([]byte("working"))
				return a.FailIn(fleet.PhaseRun, fleet.OutcomeUnknown, fleet.ReasonConnReset, errNetwork).End()
			},
		}
		opts := engine.Options{Dialer: s, Idempotent: true, MaxOutput: 5, Follow: func(o *engine.Output) { earlier = append(earlier, o) }}
		res := collect(t, t.Context(), opts, 1, 1)[0]
		if res.Outcome != fleet.OutcomeUnknown || res.Reason != fleet.ReasonConnReset || res.Attempt != 2 || len(res.Earlier) != 1 || tries.Load() != 3 {
			t.Errorf("%v %s at attempt %d after %v, of %d; want the unknown of the second", res.Outcome, res.Reason, res.Attempt, res.Earlier, tries.Load())
		}
		if string(res.Stdout.Bytes) != "2: " || string(res.Stderr.Bytes) != "worki" || res.Stderr.Size != 7 || res.Flags != fleet.FlagOutputTruncated {
			t.Errorf("output %q and %q (%d bytes), flags %v", res.Stdout.Bytes, res.Stderr.Bytes, res.Stderr.Size, res.Flags)
		}
		if res.Started.IsZero() || len(earlier) == 0 || earlier[len(earlier)-1].Attempt != res.Attempt {
			t.Errorf("started %v, followed %v", res.Started, earlier)
		}
		if res.BecomeOutput != "" {
			t.Errorf("the host said before the command: %q", res.BecomeOutput)
		}
	})
}

// If a target that waits for another attempt is stopped, what the attempt before has written is
// in the result, and how often it had the agent sign.
func TestStoppedRetryKeepsOutput(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		drain := make(chan struct{})
		s := &stub{run: func(_ context.Context, a *ssh.Attempt) fleet.End {
			_, _ = a.Stdout.Write([]byte("half of it"))
			a.AgentUse.Sign()
			close(drain)
			synctest.Wait()
			return a.FailIn(fleet.PhaseRun, fleet.OutcomeUnknown, fleet.ReasonConnReset, errNetwork).End()
		}}
		stopped := &stub{run: func(_ context.Context, a *ssh.Attempt) fleet.End {
			_, _ = a.Stdout.Write([]byte("half of it"))
			a.AgentUse.Sign()
			time.AfterFunc(time.Nanosecond, func() { close(drain) })
			return a.FailIn(fleet.PhaseRun, fleet.OutcomeUnknown, fleet.ReasonConnReset, errNetwork).End()
		}}
		for _, d := range []*stub{s, stopped} { // before the retry is queued, and while it waits
			drain = make(chan struct{})
			res := collect(t, t.Context(), engine.Options{Dialer: d, Idempotent: true, Drain: drain}, 1, 1)[0]
			if res.Outcome != fleet.OutcomeUnknown || res.Attempt != 1 || string(res.Stdout.Bytes) != "half of it" || res.AgentSignatures != 1 {
				t.Errorf("%v at attempt %d with %q and %d signatures", res.Outcome, res.Attempt, res.Stdout.Bytes, res.AgentSignatures)
			}
		}
	})
}

// With a dead network one attempt in ten may be a retry, plus 32.
func TestRetryBudget(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var dials atomic.Int64
		s := &stub{dial: func(_ context.Context, a *ssh.Attempt) error {
			dials.Add(1)
			return a.Fail(fleet.OutcomeNeverStarted, fleet.ReasonDialTimeout, errNetwork)
		}}
		collect(t, t.Context(), engine.Options{Dialer: s, Fanout: 100}, 5000, 5000)
		// n attempts of which n/10+32 are repeated: n = 5000 + n/10 + 32.
		if got := dials.Load(); got < 5500 || got > 5592 {
			t.Errorf("%d attempts at 5000 dead targets, want about 5590", got)
		}
	})
}

// A target that waits for its retry holds no slot: with one slot, others go on.
func TestWaitingForARetryHoldsNoSlot(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var order []int
		s := &stub{dial: func(_ context.Context, a *ssh.Attempt) error {
			order = append(order, a.Target.Index)
			if len(order) == 1 {
				time.Sleep(time.Nanosecond)
				return a.Fail(fleet.OutcomeNeverStarted, fleet.ReasonThrottled, errNetwork)
			}
			return nil
		}}
		begin := time.Now()
		opts := engine.Options{Dialer: s, Fanout: 1}
		results := collect(t, t.Context(), opts, 10, 10)
		for i, res := range results {
			if want := map[bool]int{true: 2, false: 1}[i == 0]; res.Outcome != fleet.OutcomeOK || res.Attempt != want {
				t.Errorf("target %d: %v at attempt %d", i, res.Outcome, res.Attempt)
			}
		}
		if last := order[len(order)-1]; len(order) != 11 || last != 0 {
			t.Errorf("order %v: want the first again, after all others", order)
		}
		if took := time.Since(begin); took < 20*time.Second || took > 31*time.Second {
			t.Errorf("took %v: want 20 s to 30 s of rest for a server that turns the only connection away", took)
		}
	})
}

// A stop ends the wait for a retry; the result is that of the attempt.
func TestStopsEndBackoffs(t *testing.T) {
	for _, abort := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			drain := make(chan struct{})
			s := &stub{dial: func(_ context.Context, a *ssh.Attempt) error {
				return a.Fail(fleet.OutcomeNeverStarted, fleet.ReasonThrottled, errNetwork)
			}}
			time.AfterFunc(5*time.Second, func() {
				if abort {
					cancel()
				} else {
					close(drain)
				}
			})
			begin := time.Now()
			results := collect(t, ctx, engine.Options{Dialer: s, Drain: drain}, 3, 3)
			for _, res := range results {
				if res.Outcome != fleet.OutcomeNeverStarted || res.Reason != fleet.ReasonThrottled || res.Attempt != 1 || len(res.Earlier) > 0 {
					t.Errorf("%v %s at attempt %d after %v", res.Outcome, res.Reason, res.Attempt, res.Earlier)
				}
			}
			if took := time.Since(begin); took != 5*time.Second {
				t.Errorf("took %v, want 5 s", took)
			}
		})
	}
}

// A lack on this machine is blamed on no host: everything succeeds in the end, no
// attempt is counted, and there is one notice.
// faults.md: R05 R06 R07
func TestLocalLimitsNarrowTheRun(t *testing.T) {
	for _, reason := range []fleet.Reason{fleet.ReasonLocalFiles, fleet.ReasonLocalPorts, fleet.ReasonLocalMemory} {
		synctest.Test(t, func(t *testing.T) {
			var mu sync.Mutex
			var notices []string
			open := 0
			const files = 20
			s := &stub{
				dial: func(_ context.Context, a *ssh.Attempt) error {
					mu.Lock()
					defer mu.Unlock()
					if open == files {
						return a.Fail(fleet.OutcomeNeverStarted, reason, errNetwork)
					}
					open++
					return nil
				},
				run: func(context.Context, *ssh.Attempt) fleet.End {
					time.Sleep(time.Second)
					mu.Lock()
					open--
					mu.Unlock()
					return fleet.End{Outcome: fleet.OutcomeOK}
				},
			}
			opts := engine.Options{Dialer: s, Fanout: 100, Notice: func(n string) { notices = append(notices, n) }}
			for i, res := range collect(t, t.Context(), opts, 1000, 1000) {
				if res.Outcome != fleet.OutcomeOK || res.Attempt != 1 || len(res.Earlier) != 0 {
					t.Fatalf("target %d: %v %s at attempt %d", i, res.Outcome, res.Reason, res.Attempt)
				}
			}
			if len(notices) != 1 {
				t.Errorf("notices %q, want one", notices)
			}
		})
	}
}

// If nothing can go on at all the run ends, and says why.
// faults.md: R05 R07
func TestLocalLimitsForEver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &stub{dial: func(_ context.Context, a *ssh.Attempt) error {
			return a.Fail(fleet.OutcomeNeverStarted, fleet.ReasonLocalFiles, errNetwork)
		}}
		for i, res := range collect(t, t.Context(), engine.Options{Dialer: s, Fanout: 10}, 30, 30) {
			if res.Outcome != fleet.OutcomeNeverStarted || res.Reason != fleet.ReasonLocalFiles {
				t.Errorf("target %d: %v %s", i, res.Outcome, res.Reason)
			}
		}
	})
}
