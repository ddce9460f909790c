package cluster

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/nats-io/nats.go"

	"shoal/fleet"
	"shoal/simfleet"
)

// A worker is killed with SIGKILL and started anew under the same name, as a service manager does: it takes its
// shards again, and nobody waits for what the killed process had begun.
// faults.md: R18
func TestWorkerKilledAndStartedAgain(t *testing.T) {
	ran := make(chan struct{}, 1000)
	s := newSite(t, simfleet.Options{Hosts: 60, Oracle: func(simfleet.Exec) {
		select {
		case ran <- struct{}{}:
		default:
		}
	}})
	first := s.process("same")
	killed := make(chan error, 1)
	go func() {
		for range 10 { // in the middle
			<-ran
		}
		err := first.Process.Kill()
		s.process("same")
		killed <- err
	}()
	results, _ := s.run(t.Context(), "sleep 0.1; echo {index}", nil)
	if err := <-killed; err != nil {
		t.Fatal(err)
	}
	report := s.check(results)
	if report.Outcomes[fleet.OutcomeOK]+report.Outcomes[fleet.OutcomeUnknown] != s.hosts || report.Outcomes[fleet.OutcomeUnknown] == 0 {
		t.Errorf("outcomes %v", report.Outcomes)
	}
}

// Whoever gave a shard up tells nothing more of it, and does not have it, also where its take was not read yet.
func TestGiveUp(t *testing.T) {
	p := newPacker()
	defer p.close()
	s := &shard{pool: "p", refused: make(map[string]string)}
	for i, message := range logOf(p) {
		if _, err := s.fold.Apply(uint64(i+1), message, p); err != nil {
			t.Fatal(err)
		}
	}
	now := time.Now()
	c := &Coordinator{CoordinatorOptions: CoordinatorOptions{Lease: time.Minute}, workers: map[workerAt]seen{{"p", workerID{"w", ""}}: {at: now}}}
	for _, q := range []question{{GaveUp: 0}, {GaveUp: 3}, {GaveUp: 1 << 60}} {
		s.giveUp("w", q)
	}
	s.giveUp("x", question{GaveUp: 1}) // which is not its own
	if !c.ownedLocked(s, now) || !s.mayTellLocked(c, now) {
		t.Fatal("the worker lives and has the shard")
	}
	s.giveUp("w", question{GaveUp: 1, Leaves: true})
	if c.ownedLocked(s, now) || !s.mayTellLocked(c, now) || s.lostEpochs() != 0 {
		t.Error("a worker that stops passes the shard on, and tells of what it runs")
	}
	s.refuse("w", question{Seq: s.fold.Seq, Refused: strings.Repeat("no", maxRecord)})
	if s.mayTellLocked(c, now) || len(s.refused["w"]) > maxRefusal {
		t.Error("a worker that refuses the shard that it has tells nothing more")
	}
	s.giveUp("w", question{GaveUp: 2}) // ahead
	take := Record{Kind: KindTake, Epoch: 2, Worker: "w", Prev: s.fold.Digest}
	if _, err := s.fold.Apply(9, take.Encode(), p); err != nil {
		t.Fatal(err)
	}
	if c.ownedLocked(s, now) {
		t.Error("it gave up before its take was read")
	}
}

// Nobody on the bus fills the memory with workers, or keeps a run by being there for longer than its shards are valid.
func TestWorkersAreBounded(t *testing.T) {
	c := &Coordinator{CoordinatorOptions: CoordinatorOptions{Lease: time.Second, PoolTimeout: time.Second}, workers: make(map[workerAt]seen), names: make(map[nameAt]named)}
	for i := range maxWorkers + 100 {
		b := Beat{Pool: "p", Worker: fmt.Sprint("w", i), Machine: strings.Repeat("m", 1000)}
		c.onBeat(&nats.Msg{Subject: beatSubject(b.Pool, b.Worker), Data: encode(b)})
	}
	if len(c.workers) != maxWorkers {
		t.Errorf("%d workers", len(c.workers))
	}
	now := time.Now()
	s := &shard{pool: "p", began: now, fold: Fold{Shard: &Shard{Expires: now.Add(time.Hour)}}}
	if why, _ := c.unwantedLocked(s, now); why != "" {
		t.Errorf("closed at once: %s", why)
	}
	c.deaf = now.Add(2 * time.Hour) // all live
	if why, reason := c.unwantedLocked(s, now.Add(2*time.Hour)); reason != fleet.ReasonNoWorker {
		t.Errorf("a shard that no worker may take any more: %q", why)
	}
	if c.forgetWorkersLocked(now.Add(time.Minute)); len(c.workers) != 0 || len(c.names) != 0 {
		t.Errorf("%d workers that were silent are kept, and %d names", len(c.workers), len(c.names))
	}
}

// takenShard returns a coordinator whose shard the process p of the worker w has taken.
func takenShard(t *testing.T) (*Coordinator, *shard) {
	t.Helper()
	c, err := NewCoordinator(&Conn{}, CoordinatorOptions{})
	if err != nil {
		t.Fatal(err)
	}
	c.run = "r"
	s := newShard("p", 0, make([]*host, 1))
	s.hosts[0] = &host{c: c}
	s.fold = Fold{Seq: 2, Digest: "d", Shard: &Shard{Expires: time.Now().Add(time.Hour)}, Epoch: 1, Worker: "w", workers: []workerID{{"w", "p"}}, told: []bool{false}, hosts: []hostState{{intended: 1}}}
	s.taken = time.Now()
	c.shards = []*shard{s}
	return c, s
}

// says has a process of the worker w give a sign of life.
func says(c *Coordinator, process string, shards int, gone bool) {
	b := Beat{Pool: "p", Worker: "w", Process: process, Shards: shards, Gone: gone}
	c.onBeat(&nats.Msg{Subject: beatSubject(b.Pool, b.Worker), Data: encode(b)})
}

// Of two processes that live and have the name of one worker, none takes the shards of the other, and both are told. Where
// one has come in the place of the other, it does not wait for the end of a lease.
func TestTwoProcessesOfOneName(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, s := takenShard(t)
		told := 0
		c.Notice = func(string) { told++ }
		asks := func(process string) bool {
			return c.mayTakeLocked(s, workerID{"w", process}, question{Seq: 2, Digest: "d", Epoch: 1}, time.Now())
		}
		twin := func(process string) bool { return c.twinLocked(workerAt{"p", workerID{"w", process}}, time.Now()) }
		says(c, "p", 1, false)
		if !asks("p") || asks("q") || twin("p") || twin("q") {
			t.Error("the process that has the shard, and does not know it, is the one that may take it")
		}
		for range 10 {
			says(c, "q", 1, false)
			time.Sleep(c.Lease / 6)
			says(c, "p", 1, false)
			time.Sleep(c.Lease / 6)
		}
		if asks("q") || !twin("p") || !twin("q") || told != 1 {
			t.Errorf("both live: another takes the shard: %t; told: %t, %t, %d times", asks("q"), twin("p"), twin("q"), told)
		}
		s.refuse("w", question{Process: "q", Seq: 2, Refused: "no"})
		if !c.ownedLocked(s, time.Now()) {
			t.Error("what one refuses, the other has not given up")
		}
	})
	synctest.Test(t, func(t *testing.T) {
		c, s := takenShard(t)
		c.Notice = func(text string) { t.Error(text) }
		says(c, "p", 1, false)
		time.Sleep(time.Millisecond)
		says(c, "q", 0, false)
		says(c, "p", 1, false) // was under way
		time.Sleep(c.Lease / 3)
		if says(c, "q", 0, false); !c.ownedLocked(s, time.Now()) {
			t.Error("replaced at once")
		}
	})
	synctest.Test(t, func(t *testing.T) {
		c, s := takenShard(t)
		says(c, "p", 1, false)
		time.Sleep(time.Millisecond)
		says(c, "q", 0, false)
		time.Sleep(c.Lease*2/3 - time.Millisecond)
		if says(c, "q", 0, false); c.ownedLocked(s, time.Now()) || s.mayTellLocked(c, time.Now()) {
			t.Error("the one before has been silent since")
		}
	})
}

// A worker gave a shard up when no coordinator was there to hear it. Whoever attaches to the run later does not wait for it: it
// says that it has no shard.
func TestIdleWorkerHasNoShard(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, s := takenShard(t)
		says(c, "p", 0, false) // which may have been sent before the take
		time.Sleep(c.Lease * 2 / 3)
		if says(c, "p", 0, false); !c.ownedLocked(s, time.Now()) || !s.mayTellLocked(c, time.Now()) {
			t.Error("believed at once")
		}
		time.Sleep(c.Lease * 2 / 3)
		if says(c, "p", 1, false); !c.ownedLocked(s, time.Now()) || !s.mayTellLocked(c, time.Now()) {
			t.Error("it has a shard")
		}
		if says(c, "p", 0, false); c.ownedLocked(s, time.Now()) || s.mayTellLocked(c, time.Now()) {
			t.Error("it has none")
		}
	})
}

// A coordinator that has not read as far as the worker that asks, because its output is slow, does not know who has the
// shard, and gives a shard that others have to nobody. One that only was opened may begin.
func TestCoordinatorThatIsBehind(t *testing.T) {
	c, s := takenShard(t)
	now := time.Now()
	s.fold.Epoch, s.fold.Worker, s.fold.workers, s.fold.Seq = 0, "", nil, 1
	if !c.mayTakeLocked(s, workerID{"x", ""}, question{Seq: 1, Digest: "d"}, now) {
		t.Error("a shard that nobody has taken is not given")
	}
	if c.mayTakeLocked(s, workerID{"x", ""}, question{Seq: 7, Digest: "e", Epoch: 1}, now) {
		t.Error("a shard that another may have is given away")
	}
	s.fold = Fold{}
	if !c.mayTakeLocked(s, workerID{"x", ""}, question{Seq: 1, Digest: "d"}, now) || c.mayTakeLocked(s, workerID{"x", ""}, question{Seq: 7, Digest: "e", Epoch: 1}, now) {
		t.Error("of a shard of which nothing was read")
	}
}

// A worker with room is given a shard that it does not have, rather than one that it has.
func TestFreeWorkerGetsAnother(t *testing.T) {
	s := newSite(t, simfleet.Options{Hosts: 1})
	conn := s.conn()
	defer conn.Close()
	c, _ := takenShard(t)
	other := newShard("p", 1, nil)
	other.fold = Fold{Seq: 3, Digest: "e", Shard: &Shard{}}
	c.shards = append(c.shards, other)
	sub, err := conn.nc.Subscribe(freeSubject("*", "*"), c.onFree)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = sub.Unsubscribe() }()
	for _, want := range []int{1, 0} {
		m, err := conn.nc.Request(freeSubject("p", "w"), encode(freeWorker{"p"}), requestTimeout)
		if err != nil {
			t.Fatal(err)
		}
		if h, _ := decode[hintOf](m.Data); h.Shard != want {
			t.Errorf("shard %d, want %d", h.Shard, want)
		}
	}
}

// A worker that was there before the first run, so that NATS had no stream for its deliveries, takes shards
// once a run begins, and not when it would try again by itself.
func TestRunWakesWorker(t *testing.T) {
	s := newSite(t, simfleet.Options{Hosts: 20})
	conn := s.conn()
	defer conn.Close()
	asked, err := conn.nc.SubscribeSync("$JS.API.CONSUMER.>")
	if err == nil {
		err = conn.nc.Flush()
	}
	if err != nil {
		t.Fatal(err)
	}
	s.worker("one", func(o *WorkerOptions) { o.again = time.Hour })
	if _, err := asked.NextMsg(time.Minute); err != nil { // there is nothing to be delivered from
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute) // else it would not end if this fails
	defer cancel()
	results, _ := s.run(ctx, "echo {index}", nil)
	if report := s.check(results); report.Outcomes[fleet.OutcomeOK] != s.hosts {
		t.Errorf("outcomes %v", report.Outcomes)
	}
}
