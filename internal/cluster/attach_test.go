package cluster

import (
	"cmp"
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"shoal/fleet"
	"shoal/simfleet"
)

// A coordinator is cut off in the middle. Workers finish the shards that they have and begin no other,
// until somebody attaches to the run: then it goes on, and every host has its one end.
func TestAttach(t *testing.T) {
	oracle, cut := reaches(5)
	s := newSite(t, simfleet.Options{Hosts: 100, Oracle: oracle})
	s.worker("one", func(o *WorkerOptions) { o.Room = 20 })
	ctx, abort := context.WithCancel(t.Context())
	defer abort()
	var dead *Coordinator
	began := make(chan struct{})
	s.prepare = func(c *Coordinator) { dead = c; close(began) }
	over := make(chan struct{})
	go func() {
		defer close(over)
		s.run(ctx, "sleep 0.2; echo {index}", nil)
	}()
	<-began
	<-cut
	for opened := 0; opened < 5; {
		dead.mu.Lock()
		opened = 0
		for _, sh := range dead.shards {
			if sh.fold.Shard != nil {
				opened++
			}
		}
		dead.mu.Unlock()
		time.Sleep(time.Millisecond)
	}
	conn := s.conn()
	defer conn.Close()
	attach := func() (*Coordinator, error) {
		c, err := NewCoordinator(conn, CoordinatorOptions{Lease: 300 * time.Millisecond})
		if err != nil {
			t.Fatal(err)
		}
		return c, c.Attach(t.Context(), dead.run)
	}
	if c, err := attach(); err == nil || !strings.Contains(err.Error(), "is alive") {
		t.Errorf("attached beside a living coordinator: %v", err)
	} else {
		c.Close()
	}
	dead.conn.nc.Close()
	for { // until the server has noticed
		_, err := conn.nc.Request(askSubject(DefaultPool, dead.run, coordinatorName), nil, 100*time.Millisecond)
		if errors.Is(err, nats.ErrNoResponders) {
			break
		}
	}
	c, err := attach()
	if err != nil {
		t.Fatal(err)
	}
	var results []fleet.Result
	for res := range c.Results(t.Context()) {
		results = append(results, res)
	}
	c.Close()
	if report := s.check(results); report.Outcomes[fleet.OutcomeOK] != s.hosts {
		t.Errorf("outcomes %v", report.Outcomes)
	}
	if left := s.streams(conn); len(left) > 0 {
		t.Errorf("the streams %v are left", left)
	}
	abort()
	<-over
}

// logRecords writes records into the log of a run that has no coordinator, each in its shard.
func logRecords(t *testing.T, conn *Conn, run string, shards ...[]Record) {
	t.Helper()
	for number, records := range shards {
		prev := ""
		for _, r := range records {
			r.Nonce, r.Prev = newNonce(), prev
			message := r.Encode()
			prev = digest(message)
			if _, err := conn.js.Publish(t.Context(), logSubject(DefaultPool, run, number, cmp.Or(r.Worker, coordinatorName)), message); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// opened is a shard with hosts of these indexes.
func opened(run string, number int, indexes ...int) Record {
	s := Shard{Format: ShardFormat, Run: run, Number: number, Pool: DefaultPool, Expires: time.Now().Add(time.Hour)}
	for _, i := range indexes {
		s.Hosts = append(s.Hosts, Host{Host: fleet.Host{Name: "h"}, Index: i, User: "u", Port: 22, Command: []byte("true")})
	}
	return Record{Kind: KindOpen, Body: joinSigned(encode(s), []byte("-----END SSH SIGNATURE-----\n"))}
}

// A shard whose opening is stored is open, also if a worker has taken it before the coordinator knows.
func TestTakenBeforeItsOpeningIsKnown(t *testing.T) {
	_, conn, _ := newRun(t)
	l := conn.log(coordinatorName, DefaultPool, "r", 0)
	l.hook = func(open *Record) {
		_, err := l.publish(t.Context(), open.Encode()) // its answer is lost
		if err != nil {
			t.Fatal(err)
		}
		taking, err := conn.openLog(t.Context(), "w", DefaultPool, "r", 0, mark{})
		if err != nil {
			t.Fatal(err)
		}
		if err := taking.Append(t.Context(), &Record{Kind: KindTake, Worker: "w"}); err != nil {
			t.Fatal(err)
		}
	}
	open := opened("r", 0, 5)
	if err := l.Append(t.Context(), &open); err != nil {
		t.Error(err)
	}
	if l.Worker != "w" {
		t.Errorf("the shard is with %q", l.Worker)
	}
}

// A host that did not run in a shard that was split, and that a later shard may have run, has one end: that of the
// later shard. As never_started it would be run again.
func TestAttachToSplitShard(t *testing.T) {
	_, conn, _ := newRun(t)
	begun := conn.pack.encode(&Work{Intents: []int{0}})[0]
	logRecords(t, conn, "r",
		[]Record{opened("r", 0, 5, 6), {Kind: KindClose, Epoch: 1}},
		[]Record{opened("r", 1, 5), {Kind: KindTake, Epoch: 1, Worker: "w"}, {Kind: KindWork, Epoch: 1, Worker: "w", Body: begun}, {Kind: KindClose, Epoch: 2}})
	c, err := NewCoordinator(conn, CoordinatorOptions{Lease: 100 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if err := c.Attach(t.Context(), "r"); err != nil {
		t.Fatal(err)
	}
	ends := make(map[int][]fleet.Outcome)
	for res := range c.Results(t.Context()) {
		ends[res.Target.Index] = append(ends[res.Target.Index], res.Outcome)
	}
	if got := ends[5]; len(got) != 1 || got[0] != fleet.OutcomeUnknown {
		t.Errorf("target 5, which may run: %v", got)
	}
	if got := ends[6]; len(got) != 1 || got[0] != fleet.OutcomeNeverStarted {
		t.Errorf("target 6: %v", got)
	}
}

// Results end when the commands are abandoned, though NATS is away.
func TestAttachedAbortsWithoutNATS(t *testing.T) {
	s, conn, _ := newRun(t)
	logRecords(t, conn, "r", []Record{opened("r", 0, 0), {Kind: KindTake, Epoch: 1, Worker: "w"}})
	c, err := NewCoordinator(conn, CoordinatorOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if err := c.Attach(t.Context(), "r"); err != nil {
		t.Fatal(err)
	}
	for read := false; !read; {
		c.mu.Lock()
		read = c.active == 1
		c.mu.Unlock()
		time.Sleep(time.Millisecond)
	}
	s.hub.Close()
	ctx, abort := context.WithCancel(t.Context())
	abort()
	var results []fleet.Result
	for res := range c.Results(ctx) {
		results = append(results, res)
	}
	if len(results) != 1 || results[0].Outcome != fleet.OutcomeUnknown {
		t.Errorf("results %v", results)
	}
}

// One message can name a million shards.
func TestAttachToManyShards(t *testing.T) {
	c := new(Coordinator)
	c.adoptLocked("p", maxShards)
	c.adoptLocked("p", 7)
	distinct := make(map[*shard]bool)
	for _, s := range c.shards {
		distinct[s] = true
	}
	if len(c.shards) != maxShards+1 || len(distinct) != 3 {
		t.Errorf("%d shards for %d numbers", len(distinct), len(c.shards))
	}
}

// The log of a run is removed before whoever attached has read it: nothing more can come.
func TestAttachedLogRemoved(t *testing.T) {
	_, conn, stream := newRun(t)
	if err := conn.js.DeleteStream(t.Context(), runStream("r")); err != nil {
		t.Fatal(err)
	}
	alarms := 0
	c, err := NewCoordinator(conn, CoordinatorOptions{Notice: func(string) { alarms++ }})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	c.attached, c.stream, c.run = true, stream, "r"
	c.checkStream()
	c.checkStream()
	if !c.readLocked() || !c.Incomplete() || alarms != 1 {
		t.Errorf("more may come: %t; all is known: %t; %d alarms", !c.readLocked(), !c.Incomplete(), alarms)
	}
}

// A worker of another pool has written where a shard will be: whoever attaches does not take the shard for one of that pool.
func TestAttachToShardOfItsPool(t *testing.T) {
	_, conn, _ := newRun(t)
	if _, err := conn.js.Publish(t.Context(), logSubject("other", "r", 0, "evil"), (&Record{Kind: KindTake, Epoch: 1, Worker: "evil"}).Encode()); err != nil {
		t.Fatal(err)
	}
	ran := conn.pack.encode(&Work{Intents: []int{0}, Results: []Result{{0, &fleet.Result{End: fleet.End{Outcome: fleet.OutcomeOK}}}}, Done: true})[0]
	logRecords(t, conn, "r", []Record{opened("r", 0, 5), {Kind: KindTake, Epoch: 1, Worker: "w"}, {Kind: KindWork, Epoch: 1, Worker: "w", Body: ran}})
	c, err := NewCoordinator(conn, CoordinatorOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if err := c.Attach(t.Context(), "r"); err != nil {
		t.Fatal(err)
	}
	var results []fleet.Result
	for res := range c.Results(t.Context()) {
		results = append(results, res)
	}
	if len(results) != 1 || results[0].Outcome != fleet.OutcomeOK {
		t.Errorf("results %v", results)
	}
}
