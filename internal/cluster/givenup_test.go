package cluster

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/nats-io/nats.go"

	"shoal/fleet"
	"shoal/internal/connect"
	"shoal/internal/engine"
	"shoal/internal/ssh"
	"shoal/simfleet"
)

// A worker has one host at a time. While the first command runs two other hosts are given up, in the shard that the
// worker has or in those that wait: they never run, and that is known. The hosts whose commands run are given up then, one
// after the other: the worker leaves each.
func TestGivenUpByHand(t *testing.T) {
	const hosts = 6
	for _, size := range []int{hosts, 2, 1} {
		t.Run(fmt.Sprintf("shards of %d", size), func(t *testing.T) {
			var mu sync.Mutex
			views := make(map[int]*engine.View)
			all := make(chan struct{}) // closed by Watch when it has seen all
			var first, never, over []int
			s := newSite(t, simfleet.Options{Hosts: hosts, Oracle: func(e simfleet.Exec) {
				if !e.Ended.IsZero() {
					return
				}
				<-all
				mu.Lock()
				give := []int{e.Index}
				if first == nil {
					first = give
					never = []int{(e.Index + 1) % hosts, (e.Index + 2) % hosts}
					give = never
				}
				var cancel []*engine.View
				for _, i := range give {
					cancel = append(cancel, views[i])
				}
				mu.Unlock()
				for _, v := range cancel {
					v.Cancel()
				}
			}})
			s.prepare = func(c *Coordinator) { c.linger = time.Second / 2 } // most often all are there by then
			s.worker("one", func(o *WorkerOptions) { o.Room = 1 })
			ctx, end := context.WithTimeout(t.Context(), time.Minute) // or commands that nobody leaves would hold up the test
			defer end()
			results, c := s.run(ctx, "sleep infinity", func(co *CoordinatorOptions, o *connect.Options) {
				co.ShardSize, co.Lease = size, 4*time.Second
				o.Engine.Cancellable = true
				o.Engine.Watch = func(v *engine.View, step engine.Step) {
					mu.Lock()
					defer mu.Unlock()
					i := v.Of().Index
					if _, seen := views[i]; !seen {
						if views[i] = v; len(views) == hosts {
							close(all)
						}
					}
					if step == engine.Ended && slices.Contains(never, i) {
						if over = append(over, i); len(over) == len(never) {
							views[first[0]].Cancel()
						}
					}
				}
			})
			report := s.check(results)
			for _, e := range s.fleet.Log() {
				if slices.Contains(never, e.Index) {
					t.Errorf("a command ran on host %d, which was given up before", e.Index)
				}
			}
			if want := [fleet.NumOutcomes]int{fleet.OutcomeNeverStarted: 2, fleet.OutcomeUnknown: hosts - 2}; report.Outcomes != want {
				t.Errorf("outcomes %v, want %v", report.Outcomes, want)
			}
			for _, r := range results {
				if slices.Contains(never, r.Target.Index) != (r.Outcome == fleet.OutcomeNeverStarted) || r.Reason != fleet.ReasonInterrupted || r.Err == nil || r.Err.Error() != ssh.ErrByHand.Error() {
					t.Errorf("target %d: %v, %s, %v", r.Target.Index, r.Outcome, r.Reason, r.Err)
				}
			}
			if left := s.streams(c.conn); len(left) != 0 {
				t.Errorf("the streams %v are left, although all is known that can be", left)
			}
		})
	}
}

// A worker that is told of a host before its turn says so at once, once, and writes no intent for it.
func TestNoIntentOnceGivenUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) { // which ends one that waits
		log := &Log{Fold: Fold{Shard: &Shard{}, Worker: "one", Epoch: 1, hosts: make([]hostState, 2)}}
		s := newWorkerShard(log, []int{0, 1}, nil)
		s.giveUpHosts([]int{1, -1, 7})
		s.giveUpHosts([]int{1})
		if err := s.intend(1, netip.AddrPort{}); !errors.Is(err, ssh.ErrByHand) {
			t.Errorf("an intent for a host that was given up: %v", err)
		}
		s.result(1, fleet.Result{End: fleet.End{Outcome: fleet.OutcomeCancelled}}, false) // of its attempt, which ends too
		_, w, over := s.take()
		if len(w.Intents) != 0 || len(w.Results) != 1 || w.Results[0].Host != 1 || w.Results[0].Result.Outcome != fleet.OutcomeCancelled || over {
			t.Errorf("%+v, over: %v", w, over)
		}
	})
}

// givingUp returns a coordinator of one shard with two hosts, which the worker has taken; both are given up, and the first has begun.
func givingUp(t *testing.T) (c *Coordinator, ends []*fleet.End) {
	t.Helper()
	c, err := NewCoordinator(&Conn{}, CoordinatorOptions{})
	if err != nil {
		t.Fatal(err)
	}
	c.run, c.byHand = "r", true
	ends = []*fleet.End{{}, {}}
	s := newShard(DefaultPool, 0, nil)
	for _, end := range ends {
		h := &host{c: c, attempt: &ssh.Attempt{Progress: new(ssh.Progress)}, done: func(e fleet.End) { *end = e }, givenUp: time.Now()}
		if err := h.attempt.Intend(); err != nil {
			t.Fatal(err)
		}
		h.sent()
		s.hosts = append(s.hosts, h)
	}
	s.fold = Fold{Seq: 2, Digest: "d", Shard: &Shard{Expires: time.Now().Add(time.Hour)}, Epoch: 1, Worker: "one", workers: []workerID{{name: "one"}}, told: []bool{false}, hosts: []hostState{{intended: 1}, {}}}
	c.shards = []*shard{s}
	c.workers[workerAt{DefaultPool, s.fold.workers[0]}] = seen{at: time.Now()}
	return c, ends
}

// While no worker tells the end of a host that was given up, it is unknown after a time if it has begun, and
// otherwise waits for what the log will say.
func TestGivenUpWithoutAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, ends := givingUp(t)
		c.tellGivenUp()
		if *ends[0] != (fleet.End{}) {
			t.Errorf("ended at once: %+v", *ends[0])
		}
		time.Sleep(abortGrace + time.Nanosecond)
		c.tellGivenUp()
		if ends[0].Outcome != fleet.OutcomeUnknown || !errors.Is(ends[0].Err, ssh.ErrByHand) || c.lost != 1 {
			t.Errorf("begun: %+v; %d may still come", *ends[0], c.lost)
		}
		if *ends[1] != (fleet.End{}) {
			t.Errorf("not begun: %+v", *ends[1])
		}
	})
}

// A worker that asks for the shard which it has taken does not work on it: it gets it no more, and it is closed.
func TestGivenUpInShardOfNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, _ := givingUp(t)
		if list := c.toClose(time.Now()); len(list) != 0 {
			t.Fatal("the shard of a worker that lives is closed")
		}
		c.onQuestion(&nats.Msg{Subject: askSubject(DefaultPool, c.run, "one"), Data: encode(question{Seq: 2, Digest: "d"})})
		if list := c.toClose(time.Now()); len(list) != 1 || !list[0].split {
			t.Errorf("%d shards are closed", len(list))
		}
	})
}
