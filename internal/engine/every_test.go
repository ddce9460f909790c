package engine_test

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"math/rand/v2"
	"net/netip"
	"os"
	"runtime"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"shoal/fleet"
	"shoal/internal/engine"
	"shoal/internal/ssh"
)

// A wildcard is a Dialer whose dials and commands end in every possible way, and
// whose methods panic. What happens depends on the seed, the target and the number
// of its dials, not on the order of goroutines.
type wildcard struct {
	seed   uint64
	begin  time.Time
	dies   time.Duration // of the agent; 0 means that it lives
	panics float64       // share of calls that panic
	good   float64       // share of dials that succeed
	open   atomic.Int64
	mu     sync.Mutex
	dials  map[int]int
	sent   map[int]int // commands that left
}

func (w *wildcard) luck(i, nth int, what uint64) *rand.Rand {
	return rand.New(rand.NewPCG(w.seed, uint64(i)<<20|uint64(nth)<<4|what))
}

func (w *wildcard) Dial(ctx context.Context, a *ssh.Attempt) (ssh.Conn, error) {
	i := a.Target.Index
	w.mu.Lock()
	w.dials[i]++
	nth := w.dials[i]
	w.mu.Unlock()
	luck := w.luck(i, nth, 1)
	a.Timeline.Enter(fleet.PhaseDial)
	if luck.Float64() < w.panics {
		if luck.IntN(4) == 0 {
			runtime.Goexit()
		}
		panic("in Dial")
	}
	select {
	case <-time.After(time.Duration(luck.IntN(4)) * 700 * time.Millisecond):
	case <-ctx.Done():
		return nil, a.Fail(fleet.OutcomeCancelled, fleet.ReasonInterrupted, context.Cause(ctx))
	}
	never := fleet.OutcomeNeverStarted
	if a.Target.Host.Name == "h0" && w.seed%3 == 0 {
		return nil, a.FailIn(fleet.PhaseBanner, never, fleet.ReasonThrottled, errNetwork) // it will be given up
	}
	if w.dies > 0 && time.Since(w.begin) > w.dies {
		return nil, a.FailIn(fleet.PhaseAuth, never, fleet.ReasonAgentUnavailable, errNetwork)
	}
	if luck.Float64() >= w.good {
		reasons := []fleet.Reason{
			fleet.ReasonThrottled, fleet.ReasonThrottled, fleet.ReasonConnReset, fleet.ReasonConnReset, fleet.ReasonDialTimeout, fleet.ReasonKexTimeout,
			fleet.ReasonJumpFailed, fleet.ReasonAuthFailed, fleet.ReasonLocalFiles, fleet.ReasonLocalPorts, fleet.ReasonAgentUnavailable,
		}
		n := luck.IntN(len(reasons) + 2)
		switch n {
		case len(reasons):
			return nil, errNetwork
		case len(reasons) + 1:
			a.Timeline.Enter(fleet.PhaseAuth)
			panic("late in Dial")
		}
		return nil, a.FailIn(fleet.PhaseBanner, never, reasons[n], errNetwork)
	}
	a.Timeline.Enter(fleet.PhaseSession)
	w.open.Add(1)
	return &wildConn{w: w, attempt: a, luck: w.luck(i, nth, 2)}, nil
}

type wildConn struct {
	ssh.Conn // nil: nothing asks for a second command
	w        *wildcard
	attempt  *ssh.Attempt
	luck     *rand.Rand
	closed   sync.Once
}

func (c *wildConn) Start(ctx context.Context, done func(fleet.End)) {
	w, a, luck := c.w, c.attempt, c.luck
	if luck.Float64() < w.panics {
		panic("in Start")
	}
	if err := a.Intend(); err != nil {
		c.closed.Do(func() { w.open.Add(-1) })
		done(err.End())
		return
	}
	w.mu.Lock()
	w.sent[a.Target.Index]++
	w.mu.Unlock()
	way, wait := luck.IntN(8), time.Duration(luck.IntN(4))*time.Second
	run := func() {
		_, _ = a.Stdout.Write(make([]byte, 100))
		end := fleet.End{Outcome: fleet.OutcomeOK, Phase: fleet.PhaseDrain}
		switch way {
		case 0:
			end = fleet.End{Outcome: fleet.OutcomeFailed}
		case 1:
			end = a.FailIn(fleet.PhaseRun, fleet.OutcomeUnknown, fleet.ReasonConnReset, errNetwork).End()
		case 2:
			end = a.FailIn(fleet.PhaseRun, fleet.OutcomeUnknown, fleet.ReasonTimeout, errNetwork).End()
		case 3:
			wait = time.Hour
		}
		select {
		case <-time.After(wait):
		case <-ctx.Done():
			end = a.FailIn(fleet.PhaseRun, fleet.OutcomeUnknown, fleet.ReasonInterrupted, context.Cause(ctx)).End()
		}
		_, _ = a.Stderr.Write(make([]byte, 50))
		c.closed.Do(func() { w.open.Add(-1) })
		done(end)
		if way == 4 {
			_, _ = a.Stdout.Write(make([]byte, 70)) // too late
			done(end)
		}
	}
	if wait == 0 && way > 3 {
		run() // before Start returns
		return
	}
	go run()
	if luck.Float64() < w.panics {
		panic("late in Start")
	}
}

func (c *wildConn) Close() error {
	c.closed.Do(func() { c.w.open.Add(-1) })
	if c.luck.Float64() < c.w.panics {
		panic("in Close")
	}
	return nil
}

// faulty calls panic in one of n cases.
func faulty(luck *rand.Rand, share float64) func() {
	at := 1 + luck.IntN(10)
	on := luck.Float64() < share
	var calls atomic.Int64
	return func() {
		if on && calls.Add(1) == int64(at) {
			panic("in a function of Options")
		}
	}
}

// Every run ends with one result for each target, and releases all that targets
// share, whatever servers, dialers, the caller's functions and people do.
// SHOAL_SEED=n repeats one case.
func TestEveryRunEnds(t *testing.T) {
	first, cases := uint64(1), uint64(2000)
	if text := os.Getenv("SHOAL_SEED"); text != "" {
		n, err := strconv.ParseUint(text, 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		first, cases = n, 1
	}
	total := map[fleet.Outcome]int{}
	for seed := first; seed < first+cases && !t.Failed(); seed++ {
		synctest.Test(t, func(t *testing.T) { anyRun(t, seed, total) })
	}
	if cases > 1 {
		t.Log(total)
		for _, o := range []fleet.Outcome{
			fleet.OutcomeOK, fleet.OutcomeFailed, fleet.OutcomeNeverStarted, fleet.OutcomeUnknown, fleet.OutcomeCancelled,
		} {
			if total[o] < 500 {
				t.Errorf("%d targets were %v: the cases are too tame", total[o], o)
			}
		}
	}
}

func anyRun(t *testing.T, seed uint64, total map[fleet.Outcome]int) {
	luck := rand.New(rand.NewPCG(seed, 0))
	one := func(in int) bool { return luck.IntN(in) == 0 }
	n := 1 + luck.IntN(40)
	w := &wildcard{seed: seed, begin: time.Now(), dials: map[int]int{}, sent: map[int]int{}, good: luck.Float64() * 1.3}
	if one(2) {
		w.panics = luck.Float64() / 3
	}
	if one(4) {
		w.dies = time.Duration(1+luck.IntN(5000)) * time.Millisecond
	}
	ctx, abort := context.WithCancel(t.Context())
	defer abort()
	drain, width := make(chan struct{}), make(chan int)
	opts := engine.Options{
		Dialer: w, Fanout: 1 + luck.IntN(20), Dials: 1 + luck.IntN(10), Starts: luck.IntN(4) - 1, Targets: n,
		Attempts: []int{1, 2, 3, 36, 64, 100}[luck.IntN(6)], Idempotent: one(3), FailFast: one(20),
		MaxHeld: int64(luck.IntN(2000)), Drain: drain, Width: width,
	}
	stops := opts.FailFast
	if one(4) {
		opts.Barrier, opts.Fanout = true, max(n, opts.Fanout)
		stops = true // not all may fit after all
	}
	if one(6) {
		opts.Rate = 3
	}
	if one(6) {
		opts.MaxFail, stops = share(t, "20%"), true
	}
	if one(6) {
		opts.MaxUnknown, stops = share(t, "2"), true
	}
	faults := 0.0
	if one(3) {
		faults, stops = 0.3, true
	}
	check, intend, follow, released, resized := faulty(luck, faults), faulty(luck, faults), faulty(luck, faults), faulty(luck, faults), faulty(luck, faults)
	if !opts.Barrier && one(3) {
		opts.Rollout, opts.Pause = shares(t, "1", "10%", "50%"), time.Duration(luck.IntN(2))*time.Minute
		opts.Check = func(context.Context, int) error { check(); return nil }
	}
	opts.Intend = func(tg fleet.Target, _ int, _ netip.AddrPort) error {
		intend()
		if tg.Index == 7 {
			return errors.New("not written")
		}
		return nil
	}
	if one(2) {
		opts.Follow = func(*engine.Output) { follow() }
	}
	opts.Released = func(engine.Release) { released() }
	opts.Resized = func(int, int) { resized() }
	after := func(f func()) { time.AfterFunc(time.Duration(luck.IntN(20_000))*time.Millisecond, f) }
	if one(6) {
		after(func() { close(drain) })
		stops = true
	}
	if one(6) {
		after(abort)
		stops = true
	}
	var widths sync.WaitGroup
	over, end := context.WithCancel(t.Context())
	if one(4) {
		list := []int{luck.IntN(4), luck.IntN(40), 0, 1 + luck.IntN(40)}
		widths.Go(func() {
			for _, n := range list {
				time.Sleep(3 * time.Second)
				select {
				case width <- n:
				case <-over.Done():
				}
			}
		})
	}
	pause := time.Duration(0)
	if one(4) {
		pause = time.Duration(luck.IntN(3000)) * time.Millisecond
	}
	leave, panicAt := -1, -1
	if one(10) {
		leave = luck.IntN(n)
	} else if one(10) {
		panicAt = luck.IntN(n)
	}
	hosts := 1 + luck.IntN(n)
	fed := n
	var list iter.Seq[fleet.Target] = func(yield func(fleet.Target) bool) {
		fed = 0
		for tg := range targets(n, hosts) {
			if tg.Index == panicAt {
				panic("in the iterator")
			}
			fed++
			if !yield(tg) {
				return
			}
		}
	}

	watchdog := time.AfterFunc(100*24*time.Hour, func() { panic(fmt.Sprintf("seed %d: the run does not end", seed)) })
	kept, got := "", map[int]fleet.Result{}
	var errs []error
	for res, err := range engine.RunAndCount(ctx, opts, engine.Direct(list), &kept) {
		if err != nil {
			errs = append(errs, err)
			continue
		}
		if _, twice := got[res.Target.Index]; twice {
			t.Errorf("seed %d: target %d came twice", seed, res.Target.Index)
		}
		got[res.Target.Index] = res
		total[res.Outcome]++
		if len(got)-1 == leave {
			break
		}
		time.Sleep(pause)
	}
	watchdog.Stop()
	end()
	widths.Wait()
	synctest.Wait()
	if open := w.open.Load(); open != 0 {
		t.Errorf("seed %d: %d connections are open", seed, open)
	}
	if len(errs) > 1 || len(errs) == 1 && faults == 0 && panicAt < 0 || panicAt >= 0 && len(errs) == 0 && leave < 0 {
		t.Errorf("seed %d: errors %v", seed, errs)
	}
	if leave < 0 && (kept != "" || len(got) != fed) {
		t.Errorf("seed %d: %d results of %d targets, kept: %s", seed, len(got), fed, kept)
	}
	for i, res := range got {
		if most := 1; !opts.Idempotent && w.sent[i] > most || res.Outcome.DidNotRun() && w.sent[i] > 0 {
			t.Errorf("seed %d: target %d is %v %s, and its command left %d times", seed, i, res.Outcome, res.Reason, w.sent[i])
		}
		if res.Outcome == fleet.OutcomeCancelled && !stops {
			t.Errorf("seed %d: target %d is cancelled: %v", seed, i, res.Err)
		}
		if tries := max(res.Attempt, len(res.Earlier)); tries > opts.Attempts {
			t.Errorf("seed %d: target %d was tried %d times, of %d", seed, i, tries, opts.Attempts)
		}
	}
}
