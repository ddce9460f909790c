package cluster

import (
	"context"
	"net/netip"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"shoal/fleet"
	"shoal/internal/connect"
	"shoal/simfleet"
)

// A shard is not done while a result waits for room.
func TestDoneAfterLastResult(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &workerShard{open: 2, sent: map[int]bool{0: true, 1: true}, waits: map[int]bool{0: true, 1: true}, next: &intents{done: make(chan struct{})}, wake: make(chan struct{}, 1)}
		s.room.L = &s.mu
		var engine sync.WaitGroup
		engine.Go(func() {
			for host := range 2 {
				s.result(host, fleet.Result{Stdout: fleet.Output{Bytes: make([]byte, maxQueue*3/4)}}, false)
			}
		})
		synctest.Wait() // the second waits for room
		told := 0
		for over := false; !over; synctest.Wait() {
			<-s.wake
			var w *Work
			_, w, over = s.take()
			told += len(w.Results)
			if w.Done != over {
				t.Errorf("done is %t, over %t", w.Done, over)
			}
		}
		engine.Wait()
		if told != 2 {
			t.Errorf("%d results were told of 2", told)
		}
	})
}

// A worker's intents are in the log, the answer is lost, and before it asks again the shard has another owner: it starts
// none of these hosts, and says so, for nobody else could know it.
// faults.md: R18
func TestFencedBeforeItStarted(t *testing.T) {
	s := newSite(t, simfleet.Options{Hosts: 40})
	other := s.conn()
	t.Cleanup(other.Close)
	var c *Coordinator
	s.prepare = func(made *Coordinator) { c, made.linger = made, time.Second/2 } // the one shard has all hosts
	var once sync.Once
	intended := 0
	s.worker("first", func(o *WorkerOptions) {
		o.hook = func(r *Record) {
			if r.Kind != KindWork {
				return
			}
			once.Do(func() {
				w, err := other.pack.decode(r.Body)
				if err != nil {
					t.Error(err)
					return
				}
				intended = len(w.Intents)
				if _, err := other.js.Publish(context.Background(), logSubject(DefaultPool, c.run, 0, "first"), r.Encode()); err != nil {
					t.Error(err)
				}
				l, err := other.openLog(context.Background(), "second", DefaultPool, c.run, 0, mark{})
				if err != nil {
					t.Error(err)
					return
				}
				if err := l.Append(context.Background(), &Record{Kind: KindTake, Worker: "second"}); err != nil {
					t.Error(err)
				}
			})
		}
	})
	results, _ := s.run(t.Context(), "echo {index}", func(co *CoordinatorOptions, _ *connect.Options) { co.ShardSize = 40 })
	report := s.check(results)
	if want := [fleet.NumOutcomes]int{fleet.OutcomeOK: 40 - intended, fleet.OutcomeNeverStarted: intended}; report.Outcomes != want || intended == 0 {
		t.Errorf("outcomes %v, want %v", report.Outcomes, want)
	}
	for _, r := range results {
		if r.Outcome == fleet.OutcomeNeverStarted && r.Reason != fleet.ReasonWorkerLost {
			t.Errorf("target %d: %s, %v", r.Target.Index, r.Reason, r.Err)
		}
	}
}

// The more shards have something to append, and the longer appends take, the longer each waits for more, within bounds.
func TestPauseGrows(t *testing.T) {
	for _, c := range []struct {
		writing    int32
		took, want time.Duration
	}{
		{1, 0, minPause}, {3, time.Millisecond, 3 * minPause}, {3, 2 * minPause, 6 * minPause}, {500, 0, maxPause}, {1, time.Minute, maxPause},
	} {
		if got := pauseOf(c.writing, c.took); got != c.want {
			t.Errorf("%d shards, and appends take %v: %v, want %v", c.writing, c.took, got, c.want)
		}
	}
}

// A host that waits for its intent waits for no more than the least pause, however many shards of the worker have something
// to append; results alone wait for others, until the last one has come or there is no room.
func TestWhatWaitsIsAppendedFirst(t *testing.T) {
	busy := int32(maxPause / minPause) // shards that have something to append
	for name, c := range map[string]struct {
		writing int32
		later   func(s *workerShard) // what happens a millisecond after the writer was woken
		want    time.Duration        // since the last append began
	}{
		"results":                {1, func(*workerShard) {}, resultPause},
		"results of many shards": {busy, func(*workerShard) {}, maxPause},
		"an intent":              {busy, func(s *workerShard) { go func() { _ = s.intend(1, netip.AddrPort{}) }() }, minPause},
		"the last result":        {busy, func(s *workerShard) { s.result(1, fleet.Result{}, false); s.result(2, fleet.Result{}, false) }, minPause},
		"a result, not the last": {busy, func(s *workerShard) { s.result(1, fleet.Result{}, false) }, maxPause},
		"a result that has no room": {busy, func(s *workerShard) {
			go s.result(1, fleet.Result{Stdout: fleet.Output{Bytes: make([]byte, maxQueue)}}, false)
			go s.result(2, fleet.Result{Stdout: fleet.Output{Bytes: make([]byte, maxQueue)}}, false)
		}, minPause},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newWorkerShard(&Log{Fold: Fold{Shard: &Shard{}, hosts: make([]hostState, 3)}}, []int{0, 1, 2}, new(atomic.Int32))
				s.result(0, fleet.Result{}, false)
				began := time.Now()
				time.AfterFunc(time.Millisecond, func() { c.later(s) })
				s.rest(began, c.writing, 0)
				if got := time.Since(began); got != c.want {
					t.Errorf("it waits %v, want %v", got, c.want)
				}
				for over := false; !over && name != "an intent"; synctest.Wait() { // those without room
					batch, w, _ := s.take()
					s.committed(batch, nil)
					over = len(w.Results) == 0
				}
				batch, _, _ := s.take()
				s.committed(batch, nil)
			})
		})
	}
}

// The first intent of a shard waits a moment for those of other hosts, and the last one for nobody.
func TestIntentsGather(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newWorkerShard(&Log{Fold: Fold{Shard: &Shard{}, hosts: make([]hostState, 2)}}, []int{0, 1}, new(atomic.Int32))
		began := time.Now()
		var hosts sync.WaitGroup
		hosts.Go(func() { _ = s.intend(0, netip.AddrPort{}) })
		<-s.wake
		time.AfterFunc(time.Millisecond, func() { hosts.Go(func() { _ = s.intend(1, netip.AddrPort{}) }) })
		s.rest(time.Time{}, 1, 0)
		batch, w, _ := s.take()
		if took := time.Since(began); len(w.Intents) != 2 || took != time.Millisecond {
			t.Errorf("%d intents after %v, want 2 after %v", len(w.Intents), took, time.Millisecond)
		}
		s.committed(batch, nil)
		hosts.Wait()
	})
}

// A worker with room for several shards takes them at once: the take of one does not wait for that of another.
func TestShardsAreTakenAtOnce(t *testing.T) {
	s := newSite(t, simfleet.Options{Hosts: 40})
	var takes atomic.Int32
	both := make(chan struct{}) // closed when two shards are being taken
	s.worker("one", func(o *WorkerOptions) {
		o.Room = 2*maxHosts + 1
		o.hook = func(r *Record) {
			if r.Kind != KindTake {
				return
			}
			if takes.Add(1) == 2 {
				close(both)
			}
			select {
			case <-both:
			case <-time.After(10 * time.Second): // ends a test that has failed
				t.Error("the second shard waits for the first")
			}
		}
	})
	results, _ := s.run(t.Context(), "echo {index}", nil)
	if report := s.check(results); report.Outcomes[fleet.OutcomeOK] != s.hosts {
		t.Errorf("outcomes %v", report.Outcomes)
	}
}

// A shard that is being taken counts as a large one, and a worker without room for two takes one at a time.
func TestReserve(t *testing.T) {
	for _, c := range []struct{ room, busy, want int }{{100, 0, 1}, {100, 99, 1}, {100, 100, 0}, {maxHosts, 0, 1}, {2*maxHosts + 1, 0, 3}, {2*maxHosts + 1, 2, 2}, {1 << 20, 0, maxBegins}} {
		w := &Worker{WorkerOptions: WorkerOptions{Room: c.room}, busy: c.busy, freed: make(chan struct{}, 1)}
		got := 0
		for w.reserve() {
			got++
		}
		if got != c.want {
			t.Errorf("a worker with %d hosts of %d takes %d shards at once, want %d", c.busy, c.room, got, c.want)
		}
		if got > 0 {
			w.began(0)
			<-w.freed
			if !w.reserve() {
				t.Errorf("a worker with %d hosts of %d takes none after one was not taken", c.busy, c.room)
			}
		}
	}
}

// Shards that are taken at once give their hosts to the engine one shard after the other.
func TestShardsBeginInTurn(t *testing.T) {
	s := &session{feed: make(chan fleet.Target), targets: make(map[int]sessionTarget)}
	hosts := make([]Host, maxHosts)
	all := make([]int, len(hosts))
	for i := range all {
		all[i] = i
	}
	var passing sync.WaitGroup
	for range 3 {
		shard := new(workerShard)
		passing.Go(func() { s.pass(shard, hosts, all) })
	}
	var order []*workerShard
	for range 3 * len(hosts) {
		for range 20 { // all that can give one come to it
			runtime.Gosched()
		}
		order = append(order, s.find((<-s.feed).Index, true).shard)
	}
	passing.Wait()
	if parts := len(slices.Compact(order)); parts != 3 {
		t.Errorf("the engine got the hosts of three shards in %d parts", parts)
	}
}
