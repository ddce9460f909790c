package cluster

import (
	"fmt"
	"strings"
	"testing"
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
	c := &Coordinator{CoordinatorOptions: CoordinatorOptions{Lease: time.Second, PoolTimeout: time.Second}, workers: make(map[workerAt]seen)}
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
	if c.forgetWorkersLocked(now.Add(time.Minute)); len(c.workers) != 0 {
		t.Errorf("%d workers that were silent are kept", len(c.workers))
	}
}
