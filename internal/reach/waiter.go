package reach

import (
	"container/heap"
	"context"
	"errors"
	"iter"
	"math/rand/v2"
	"sync"
	"time"

	"shoal/fleet"
	"shoal/internal/engine"
	"shoal/internal/ssh"
)

const (
	// firstPause is the pause after a host's first try, which doubles up to longestPause.
	// Each is drawn from its upper half.
	firstPause   = time.Second
	longestPause = 30 * time.Second
	// refusedPause is the least one after a failed login: sshd punishes a source for 5 s for
	// each, adds them up, and begins to refuse at 15 s (PerSourcePenalties).
	refusedPause = 10 * time.Second
)

// A Waiter tries hosts until each has answered as Judge wants, or Over is closed. It is used once.
type Waiter struct {
	Engine engine.Options
	Over   <-chan struct{}
	// Judge is told how a try ended. It may change the result.
	Judge func(*fleet.Result) Verdict
	// Final receives the result of each host, once.
	Final func(fleet.Result)

	mu     sync.Mutex // guards the fields below
	due    schedule   // the hosts that wait for their next try
	flying int        // hosts that the engine has
	renew  bool       // the engine has given hosts up: it has to be started anew
	wake   chan struct{}
}

// A Verdict is what a try has shown.
type Verdict uint8

const (
	TryAgain Verdict = iota
	Answered
	Hopeless // waiting does not help
)

// A waiting is a host that waits for its next try.
type waiting struct {
	target ssh.Target
	at     time.Time     // by the engine's clock
	pause  time.Duration // before the next try; 0: none was made
	tries  int
	last   fleet.Result // of the last try that has ended
}

// A schedule is a heap of hosts by their next try.
type schedule []*waiting

func (s schedule) Len() int           { return len(s) }
func (s schedule) Less(i, j int) bool { return s[i].at.Before(s[j].at) }
func (s schedule) Swap(i, j int)      { s[i], s[j] = s[j], s[i] }

// Push implements heap.Interface.
func (s *schedule) Push(x any) { *s = append(*s, x.(*waiting)) }

// Pop implements heap.Interface.
func (s *schedule) Pop() any {
	last := (*s)[len(*s)-1]
	*s = (*s)[:len(*s)-1]
	return last
}

// Wait tries the targets until each has its final result. The error is the engine's.
func (w *Waiter) Wait(ctx context.Context, targets iter.Seq[ssh.Target]) error {
	w.wake = make(chan struct{}, 1)
	w.Engine.Attempts, w.Engine.Drain = 1, w.Over
	all := make(map[int]*waiting)
	now := w.Engine.Clock.Now()
	for t := range targets {
		h := &waiting{target: t, at: now}
		all[t.Index] = h
		w.due = append(w.due, h)
	}
	for len(w.due) > 0 && !w.ended(ctx) {
		for res, err := range engine.Run(ctx, w.Engine, w.next(ctx)) {
			if err != nil {
				return err
			}
			w.take(ctx, all[res.Target.Index], res)
		}
	}
	for _, h := range w.due { // nothing runs any more
		w.Final(h.result(fleet.Result{Target: h.target.Target, End: fleet.End{
			Outcome: fleet.OutcomeNeverStarted, Reason: fleet.ReasonInterrupted, Err: errors.New("the wait ended before a try did"),
		}}))
	}
	return nil
}

// ended reports whether no host is tried any more.
func (w *Waiter) ended(ctx context.Context) bool {
	select {
	case <-w.Over:
		return true
	default:
		return ctx.Err() != nil
	}
}

// next yields the hosts when they are due, until all are done or over, or the engine has given
// one up.
func (w *Waiter) next(ctx context.Context) iter.Seq[ssh.Target] {
	w.renew = false
	return func(yield func(ssh.Target) bool) {
		for !w.ended(ctx) {
			h, pause, more := w.pop()
			switch {
			case h != nil:
				if !yield(h.target) {
					return
				}
			case !more:
				return
			default:
				w.sleep(ctx, pause)
			}
		}
	}
}

// pop returns the host that is due, or the pause until one is; 0: until one comes back from the
// engine. more is false if there is nothing to wait for.
func (w *Waiter) pop() (h *waiting, pause time.Duration, more bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.renew || len(w.due) == 0 && w.flying == 0 {
		return nil, 0, false
	}
	if len(w.due) == 0 {
		return nil, 0, true
	}
	if pause = w.due[0].at.Sub(w.Engine.Clock.Now()); pause > 0 {
		return nil, pause, true
	}
	w.flying++
	return heap.Pop(&w.due).(*waiting), 0, true
}

// sleep waits for the pause, a change of the schedule, or the end.
func (w *Waiter) sleep(ctx context.Context, pause time.Duration) {
	if pause > 0 {
		defer w.Engine.Clock.AfterFunc(pause, w.woken)()
	}
	select {
	case <-w.wake:
	case <-w.Over:
	case <-ctx.Done():
	}
}

func (w *Waiter) woken() {
	select {
	case w.wake <- struct{}{}:
	default:
	}
}

// take handles the result of a try.
func (w *Waiter) take(ctx context.Context, h *waiting, res fleet.Result) {
	v := TryAgain
	stopped := res.Outcome == fleet.OutcomeCancelled || res.Reason == fleet.ReasonInterrupted
	asked := res.Attempt > 0 && !stopped
	if asked {
		h.tries++
		v = w.Judge(&res)
	}
	if v != TryAgain {
		h.last = res
		w.Final(h.result(res))
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.flying--
	if v == TryAgain {
		if asked {
			h.last = res
		}
		w.renew = w.renew || res.Attempt == 0
		h.later(w.Engine.Clock.Now(), res.End)
		heap.Push(&w.due, h)
	}
	w.woken()
}

// later sets when the host is tried again after end.
func (h *waiting) later(now time.Time, end fleet.End) {
	h.pause = min(max(2*h.pause, firstPause), longestPause)
	if end.Phase == fleet.PhaseAuth || end.Reason == fleet.ReasonThrottled {
		h.pause = max(h.pause, refusedPause)
	}
	h.at = now.Add(h.pause/2 + rand.N(h.pause/2))
}

// result returns the final result: of the last try, or otherwise if none was made.
func (h *waiting) result(otherwise fleet.Result) fleet.Result {
	res := h.last
	if h.tries == 0 {
		res = otherwise
	}
	res.Attempt, res.Earlier = h.tries, nil
	if res.Outcome != fleet.OutcomeOK {
		res.Outcome = fleet.OutcomeNeverStarted // also if a question may have been asked
	}
	return res
}
