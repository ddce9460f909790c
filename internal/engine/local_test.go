package engine_test

import (
	"context"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"shoal/fleet"
	"shoal/internal/engine"
	"shoal/internal/ssh"
)

// An agent that dies in the middle of a run costs the servers little: the dials in
// progress, some of them retried, and 16 more connections.
// faults.md: A09
func TestAgentDiesInTheMiddle(t *testing.T) {
	for name, opts := range map[string]engine.Options{
		"plain":   {},
		"rollout": {Rollout: shares(t, "100", "3000"), Pause: time.Hour},
		"limited": {MaxFail: share(t, "100%")},
		"long":    {},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				const n = 10_000
				begin := time.Now()
				dies := begin.Add(time.Second)
				if opts.Pause > 0 {
					dies = begin.Add(opts.Pause + 400*time.Millisecond) // in the second stage
				}
				var mu sync.Mutex
				ok, failed := 0, 0
				dials := map[int]int{} // by target
				s := &stub{dial: func(_ context.Context, a *ssh.Attempt) error {
					a.Timeline.Enter(fleet.PhaseAuth)
					time.Sleep(100 * time.Millisecond)
					mu.Lock()
					defer mu.Unlock()
					dials[a.Target.Index]++
					if time.Now().Before(dies) {
						ok++
						return nil
					}
					failed++
					return a.FailIn(fleet.PhaseAuth, fleet.OutcomeNeverStarted, fleet.ReasonAgentUnavailable, errNetwork)
				}}
				s.run = func(_ context.Context, a *ssh.Attempt) fleet.End {
					if name == "long" && a.Target.Index < 100 {
						time.Sleep(10 * time.Hour) // nobody waits for that to learn that the agent is dead
					}
					return fleet.End{Outcome: fleet.OutcomeOK}
				}
				var notices []string
				opts.Dialer, opts.Fanout, opts.Targets = s, 1000, n
				opts.Notice = func(n string) { notices = append(notices, n) }
				results := make([]fleet.Result, n)
				var last time.Duration
				for res, err := range engine.Run(t.Context(), opts, engine.Direct(targets(n, n))) {
					if err != nil {
						t.Fatal(err)
					}
					results[res.Target.Index] = res
					if res.Outcome != fleet.OutcomeOK {
						last = time.Since(dies)
					}
				}
				for i, res := range results {
					switch {
					case res.Outcome == fleet.OutcomeOK:
					case res.Outcome != fleet.OutcomeNeverStarted || res.Reason != fleet.ReasonAgentUnavailable:
						t.Fatalf("target %d: %v %s", i, res.Outcome, res.Reason)
					case dials[i] == 0:
						if res.Attempt != 0 || !strings.Contains(res.Err.Error(), "for 16 attempts in a row, and no other was made: the network") {
							t.Fatalf("target %d: attempt %d, %v", i, res.Attempt, res.Err)
						}
					}
				}
				if got := count(results)[fleet.OutcomeOK]; got != ok || ok < 1000 {
					t.Errorf("%d ok, want the %d that were let in", got, ok)
				}
				if failed < 17 || failed > opts.Fanout+16 {
					t.Errorf("%d dials after the agent's death, want those that went on and 16", failed)
				}
				if last > time.Minute {
					t.Errorf("the last target that had not started ended %v after the agent's death", last)
				}
				if len(notices) != 2 || !strings.Contains(notices[1], "no other target is started") {
					t.Errorf("notices %q, want one of narrowing and one of the end", notices)
				}
			})
		})
	}
}

// An agent that recovers in time, that some targets do not need, or that never
// answers, does not end the run.
func TestAgentEndsNoRun(t *testing.T) {
	for name, c := range map[string]struct {
		fails func(a *ssh.Attempt, since time.Duration) bool
		ok    int // of 1,000 targets, at the least
		dials int // at the most
	}{
		"one burst, such as a connection to it that broke": {func(_ *ssh.Attempt, since time.Duration) bool {
			return since > 450*time.Millisecond && since <= 550*time.Millisecond
		}, 1000, 1100},
		"every second host needs none": {func(a *ssh.Attempt, since time.Duration) bool {
			return a.Target.Index%2 == 1 && since > 100*time.Millisecond
		}, 500, 2000},
		"never there": {func(*ssh.Attempt, time.Duration) bool { return true }, 0, 1000},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				begin := time.Now()
				var mu sync.Mutex
				dials, tried := 0, map[int]bool{}
				s := &stub{dial: func(_ context.Context, a *ssh.Attempt) error {
					time.Sleep(100 * time.Millisecond)
					mu.Lock()
					defer mu.Unlock()
					dials++
					tried[a.Target.Index] = true
					if c.fails(a, time.Since(begin)) {
						return a.FailIn(fleet.PhaseAuth, fleet.OutcomeNeverStarted, fleet.ReasonAgentUnavailable, errNetwork)
					}
					return nil
				}}
				counts := count(collect(t, t.Context(), engine.Options{Dialer: s, Fanout: 100, Dials: 100}, 1000, 1000))
				if counts[fleet.OutcomeOK] < c.ok || dials > c.dials || len(tried) != 1000 {
					t.Errorf("counts %v, %d tried with %d dials; want %d ok, and 1,000 tried with at most %d",
						counts, len(tried), dials, c.ok, c.dials)
				}
				t.Logf("%v, %d dials, %v", counts, dials, time.Since(begin))
			})
		})
	}
}

// Once the agent is dead, only the targets that need it are given up.
func TestAgentOfSome(t *testing.T) {
	for name, needs := range map[string]func(i int) bool{
		"the first half":  func(i int) bool { return i < 5000 },
		"the second half": func(i int) bool { return i >= 5000 },
		"all but a few":   func(i int) bool { return i%1000 != 999 },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				const n = 10_000
				dies := time.Now().Add(time.Second)
				var mu sync.Mutex
				failed := 0
				s := &stub{dial: func(_ context.Context, a *ssh.Attempt) error {
					time.Sleep(100 * time.Millisecond)
					if time.Now().Before(dies) || !needs(a.Target.Index) {
						return nil
					}
					mu.Lock()
					defer mu.Unlock()
					failed++
					return a.FailIn(fleet.PhaseAuth, fleet.OutcomeNeverStarted, fleet.ReasonAgentUnavailable, errNetwork)
				}}
				var notices []string
				opts := engine.Options{
					Dialer: s, Fanout: 100, Targets: n, FailFast: true, Notice: func(n string) { notices = append(notices, n) },
				}
				agent, none := &ssh.Endpoint{Settings: new(ssh.Settings)}, new(ssh.Endpoint)
				agent.Settings.Keys.AgentSocket = "/run/agent"
				planned := func(yield func(ssh.Target) bool) {
					for t := range targets(n, n) {
						e := none
						if needs(t.Index) {
							e = agent
						}
						if !yield(ssh.Target{Target: t, Endpoint: e}) {
							return
						}
					}
				}
				for i, res := range collectPlanned(t, t.Context(), opts, n, planned) {
					switch {
					case res.Outcome == fleet.OutcomeOK:
					case !needs(i) || res.Outcome != fleet.OutcomeNeverStarted || res.Reason != fleet.ReasonAgentUnavailable:
						t.Fatalf("target %d: %v %s", i, res.Outcome, res.Reason)
					}
				}
				if failed < 17 || failed > engine.DefaultDials+16 {
					t.Errorf("%d dials after the agent's death", failed)
				}
				if len(notices) != 2 || !strings.Contains(notices[1], "no other target that needs it is started") {
					t.Errorf("notices %q", notices)
				}
			})
		})
	}
}

// In a rollout those that need the dead agent count as never started, also if they are given up before
// they wait for their turn.
func TestAgentOfSomeInARollout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const n, stage, limit = 10_000, 5000, 2000 // of the 2,500 of the stage that need it, some 500 wait at once
		needs := func(i int) bool { return i > 100 && i%2 == 1 }
		s := &stub{dial: func(_ context.Context, a *ssh.Attempt) error {
			time.Sleep(100 * time.Millisecond)
			if !needs(a.Target.Index) {
				return nil
			}
			return a.FailIn(fleet.PhaseAuth, fleet.OutcomeNeverStarted, fleet.ReasonAgentUnavailable, errNetwork)
		}}
		agent := &ssh.Endpoint{Settings: new(ssh.Settings)}
		agent.Settings.Keys.AgentSocket = "/run/agent"
		planned := func(yield func(ssh.Target) bool) {
			for t := range targets(n, n) {
				e := new(ssh.Endpoint)
				if needs(t.Index) {
					e = agent
				}
				if !yield(ssh.Target{Target: t, Endpoint: e}) {
					return
				}
			}
		}
		opts := engine.Options{Dialer: s, Fanout: 100, Targets: n, Rollout: []engine.Amount{{Count: stage}}, MaxFail: &engine.Amount{Count: limit}}
		never := 0
		for i, res := range collectPlanned(t, t.Context(), opts, n, planned) {
			switch {
			case res.Outcome == fleet.OutcomeNeverStarted:
				never++
			case i >= stage && res.Reason != fleet.ReasonBrake:
				t.Fatalf("target %d, of the second stage: %v %s", i, res.Outcome, res.Reason)
			}
		}
		if never != limit {
			t.Errorf("%d never started; want that %d stop the run", never, limit)
		}
	})
}

// A lack that is detected by a look-up of 100 ms is not detected anew for each of
// 10,000 targets.
// faults.md: R07 R08
func TestLackThatLasts(t *testing.T) {
	for _, reason := range []fleet.Reason{fleet.ReasonLocalFiles, fleet.ReasonLocalPorts, fleet.ReasonLocalMemory} {
		synctest.Test(t, func(t *testing.T) {
			const n = 10_000
			begin := time.Now()
			s := &stub{dial: func(_ context.Context, a *ssh.Attempt) error {
				time.Sleep(100 * time.Millisecond)
				return a.Fail(fleet.OutcomeNeverStarted, reason, errNetwork)
			}}
			opts := engine.Options{Dialer: s, Fanout: 100, FailFast: true} // they are no host's failures
			results := collect(t, t.Context(), opts, n, n)
			untried := 0
			for i, res := range results {
				if res.Outcome != fleet.OutcomeNeverStarted || res.Reason != reason {
					t.Fatalf("target %d: %v %s", i, res.Outcome, res.Reason)
				}
				if res.Attempt == 0 {
					untried++
				}
			}
			if took := time.Since(begin); took < 10*time.Second || took > 20*time.Second || untried < n-200 {
				t.Errorf("%s: took %v, %d not tried; want a little more than 10 s and nearly all", reason, took, untried)
			}
		})
	}
}

// A target that this machine lacked something for, just when a brake stopped the run, would
// have been tried again: the brake has stopped it too.
func TestBrakedForLackOfSomethingLocal(t *testing.T) {
	for reason, want := range map[fleet.Reason]fleet.Flags{
		fleet.ReasonLocalFiles: fleet.FlagBraked, fleet.ReasonConnReset: fleet.FlagBraked, fleet.ReasonAuthFailed: 0,
	} {
		synctest.Test(t, func(t *testing.T) {
			s := &stub{dial: func(_ context.Context, a *ssh.Attempt) error {
				time.Sleep(time.Duration(1+a.Target.Index) * time.Second) // both are dialled then
				if a.Target.Index == 0 {
					return a.Fail(fleet.OutcomeNeverStarted, fleet.ReasonAuthFailed, errNetwork)
				}
				return a.FailIn(fleet.PhaseDial, fleet.OutcomeNeverStarted, reason, errNetwork)
			}}
			for res, err := range engine.Run(t.Context(), engine.Options{Dialer: s, FailFast: true}, engine.Direct(targets(2, 2))) {
				if err != nil {
					t.Fatal(err)
				}
				if res.Target.Index == 1 && (res.Reason != reason || res.Flags != want) {
					t.Errorf("%s: %v %s, flags %v, want %v", reason, res.Outcome, res.Reason, res.Flags, want)
				}
			}
		})
	}
}
