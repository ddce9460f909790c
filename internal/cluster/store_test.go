package cluster

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"shoal/fleet"
	"shoal/internal/cluster/hub"
	"shoal/internal/connect"
	"shoal/simfleet"
)

// restart starts the hub again at its address, after change has had its store.
func (s *site) restart(config string, change func() error) {
	s.t.Helper()
	s.hub.Close()
	if change != nil {
		if err := change(); err != nil {
			s.t.Error(err)
		}
	}
	h, err := hub.Start(hub.Options{Listen: strings.TrimPrefix(s.hub.URL(), "nats://"), Dir: s.store, Config: config})
	if err != nil {
		s.t.Error(err)
		return
	}
	s.t.Cleanup(h.Close)
	s.hub = h
}

// The store of the server is full: nothing is started, and the hosts say why.
// faults.md: R18
func TestStoreIsFull(t *testing.T) {
	s := newSite(t, simfleet.Options{Hosts: 30})
	config := filepath.Join(t.TempDir(), "hub.conf")
	if err := os.WriteFile(config, []byte("jetstream { max_file_store: 1M }\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	s.restart(config, nil)
	s.worker("one", nil)
	conn := s.conn()
	t.Cleanup(conn.Close)
	var once sync.Once
	fill := func() {
		once.Do(func() {
			if _, err := conn.js.CreateStream(context.Background(), jetstream.StreamConfig{Name: "FILL", Subjects: []string{"fill"}}); err != nil {
				t.Error(err)
			}
			for range 100 {
				if _, err := conn.js.Publish(context.Background(), "fill", make([]byte, 100<<10)); err != nil {
					return
				}
			}
			t.Error("the store takes everything")
		})
	}
	s.prepare = func(c *Coordinator) { c.conn.patience = 500 * time.Millisecond }
	results, _ := s.run(t.Context(), "echo {index}", func(co *CoordinatorOptions, _ *connect.Options) { co.Signer = signerAfter{s.signer, fill} })
	report := s.check(results)
	if report.Outcomes[fleet.OutcomeNeverStarted] != s.hosts {
		t.Errorf("outcomes %v", report.Outcomes)
	}
	for _, r := range results {
		if r.Reason != fleet.ReasonLogUnwritten {
			t.Errorf("target %d: %s: %v", r.Target.Index, r.Reason, r.Err)
		}
	}
}

func copyTree(to, from string) error {
	if err := os.RemoveAll(to); err != nil {
		return err
	}
	return os.CopyFS(to, os.DirFS(from))
}

// The server is restored in the middle of a run from a copy of its store that is some records old: hosts of
// which the copy knows nothing do not run again, and those whose end it does not have are unknown.
// faults.md: R18
func TestOlderStore(t *testing.T) {
	var ran atomic.Int32
	at := map[int32]chan struct{}{20: make(chan struct{}), 60: make(chan struct{})}
	s := newSite(t, simfleet.Options{Hosts: 200, Oracle: func(e simfleet.Exec) {
		if e.Ended.IsZero() {
			if reached := at[ran.Add(1)]; reached != nil {
				close(reached)
			}
		}
	}})
	defer s.worker("one", func(o *WorkerOptions) { o.Room = 20 })() // before the hub that was started last
	defer s.worker("two", func(o *WorkerOptions) { o.Room = 20 })()
	older := filepath.Join(t.TempDir(), "older")
	over := make(chan struct{})
	go func() {
		defer close(over)
		<-at[20]
		s.restart("", func() error { return copyTree(older, s.store) })
		<-at[60]
		s.restart("", func() error { return copyTree(s.store, older) })
	}()
	results, _ := s.run(t.Context(), "sleep 0.2; echo {index}", func(co *CoordinatorOptions, _ *connect.Options) { co.Lease = 3 * time.Second })
	<-over
	report := s.check(results)
	if report.Outcomes[fleet.OutcomeUnknown] == 0 { // what ran between the copy and its return
		t.Errorf("outcomes %v", report.Outcomes)
	}
	for _, r := range results {
		if r.Outcome == fleet.OutcomeUnknown && r.Reason != fleet.ReasonLogDamaged && r.Reason != fleet.ReasonWorkerLost {
			t.Errorf("target %d: %s: %v", r.Target.Index, r.Reason, r.Err)
		}
	}
}

// Clocks that are apart by less than what is allowed for change nothing. A worker whose clock is wrong by more refuses, and
// says that it is the clocks.
func TestClocksApart(t *testing.T) {
	for name, c := range map[string]struct {
		ahead time.Duration
		says  string // "" means that the hosts run
	}{
		"a bit ahead":  {4 * time.Minute, ""},
		"a bit behind": {-4 * time.Minute, ""},
		"behind":       {-10 * time.Minute, "one of the clocks is wrong"},
		"ahead":        {2 * time.Hour, "it has expired"},
	} {
		t.Run(name, func(t *testing.T) {
			s := newSite(t, simfleet.Options{Hosts: 20})
			s.worker("one", func(o *WorkerOptions) { o.now = func() time.Time { return time.Now().Add(c.ahead) } })
			results, _ := s.run(t.Context(), "echo {index}", nil)
			want := fleet.OutcomeOK
			if c.says != "" {
				want = fleet.OutcomeNeverStarted
			}
			if report := s.check(results); report.Outcomes[want] != s.hosts {
				t.Errorf("outcomes %v", report.Outcomes)
			}
			for _, r := range results {
				if c.says != "" && (r.Reason != fleet.ReasonWorkerRefused || !strings.Contains(r.Err.Error(), c.says)) {
					t.Errorf("target %d: %s: %v", r.Target.Index, r.Reason, r.Err)
				}
			}
		})
	}
}

// Hosts on which each worker dies that connects to them are found by halving their shard, and told; the others run.
// faults.md: R18
func TestPoisonedShardIsSplit(t *testing.T) {
	poison := func(i int) bool { return i == 2 || i == 5 }
	dies := make(chan struct{}, 1000)
	s := newSite(t, simfleet.Options{Hosts: 8, Fault: func(i int) simfleet.Fault {
		if poison(i) {
			dies <- struct{}{}
			return simfleet.FaultSilent
		}
		return simfleet.FaultNone
	}})
	s.room = 1 // so that few others are under way
	over, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		for n := 0; ; n++ {
			worker := s.process(fmt.Sprint("worker", n))
			select {
			case <-dies:
				_ = worker.Process.Kill()
				_ = worker.Wait()
			case <-over:
				return
			}
		}
	}()
	s.prepare = func(c *Coordinator) { c.linger = time.Second / 2 } // one shard has all hosts
	results, c := s.run(t.Context(), "echo {index}", func(co *CoordinatorOptions, _ *connect.Options) { co.ShardSize = 8 })
	close(over)
	<-ended
	s.check(results)
	for _, r := range results {
		switch {
		case poison(r.Target.Index) && (r.Outcome != fleet.OutcomeNeverStarted || r.Reason != fleet.ReasonWorkerLost):
			t.Errorf("the poison: %s, %s, %v", r.Outcome, r.Reason, r.Err)
		case !poison(r.Target.Index) && r.Outcome != fleet.OutcomeOK && r.Reason != fleet.ReasonWorkerLost:
			t.Errorf("target %d: %s, %s, %v", r.Target.Index, r.Outcome, r.Reason, r.Err)
		}
	}
	if len(results) != s.hosts || len(c.shards) < 3 {
		t.Errorf("%d results of %d shards", len(results), len(c.shards))
	}
}

// Whoever attaches to a run whose stream is hostile gets what can be believed, an alarm for the rest, and
// an end.
func TestAttachToHostileStream(t *testing.T) {
	s := newSite(t, simfleet.Options{Hosts: 1})
	conn := s.conn()
	t.Cleanup(conn.Close)
	ctx := t.Context()
	if _, err := conn.createRun(ctx, "r"); err != nil {
		t.Fatal(err)
	}
	open := func(number int) {
		shard := Shard{Format: ShardFormat, Run: "r", Number: number, Pool: "p", Made: time.Now(), Expires: time.Now().Add(time.Hour)}
		for i := range 2 {
			shard.Hosts = append(shard.Hosts, Host{Host: fleet.Host{Name: "h"}, Index: 2*number + i, User: "u", Port: 22, Command: []byte("true")})
		}
		signature, err := Sign(s.signer, encode(shard))
		if err != nil {
			t.Fatal(err)
		}
		if err := conn.log(coordinatorName, "p", "r", number).Append(ctx, &Record{Kind: KindOpen, Body: joinSigned(encode(shard), signature)}); err != nil {
			t.Fatal(err)
		}
	}
	raw := func(subject string, message []byte) {
		if _, err := conn.js.Publish(ctx, subject, message); err != nil {
			t.Fatal(err)
		}
	}
	ok := fleet.Result{End: fleet.End{Outcome: fleet.OutcomeOK}}
	for number := range 2 {
		open(number)
		l, err := conn.openLog(ctx, "w", "p", "r", number, mark{})
		if err != nil {
			t.Fatal(err)
		}
		if err := l.Append(ctx, &Record{Kind: KindTake, Worker: "w"}); err != nil {
			t.Fatal(err)
		}
		if number == 1 { // somebody else's record, in the worker's epoch
			raw(logSubject("p", "r", 1, "evil"), (&Record{Kind: KindWork, Epoch: 1, Worker: "w", Prev: l.Digest, Body: conn.pack.encode(&Work{Intents: []int{0}})[0]}).Encode())
			continue
		}
		work := &Work{Intents: []int{0, 1}, Results: []Result{{0, &ok}, {1, &ok}}, Done: true}
		if err := l.Append(ctx, &Record{Kind: KindWork, Worker: "w", Body: conn.pack.encode(work)[0]}); err != nil {
			t.Fatal(err)
		}
	}
	raw(logSubject("p", "r", 4, "evil"), []byte("no record"))
	raw(logSubject("p", "r", 5, "evil"), (&Record{Kind: KindWork, Epoch: 1 << 40, Worker: "evil"}).Encode())
	raw(logSubject("other", "r", 0, "evil"), (&Record{Kind: KindTake, Epoch: 1, Worker: "evil"}).Encode())
	raw(logSubject("p", "r", 1<<40, "evil"), nil)
	raw(lateSubject("p", "r", 0, "evil"), []byte("{\"kind\":\"late\",\"epoch\":-1}\n"))
	raw(lateSubject("p", "r", 0, "w"), (&Record{Kind: KindLate, Epoch: 1, Worker: "w", Body: []byte("{\"results\":[{\"host\":-1,\"end\":{}}]}\n")}).Encode())
	var alarms atomic.Int32
	c, err := NewCoordinator(conn, CoordinatorOptions{Lease: 300 * time.Millisecond, Notice: func(text string) {
		if strings.Contains(text, "ALARM") {
			alarms.Add(1)
		}
	}})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if err := c.Attach(ctx, "r"); err != nil {
		t.Fatal(err)
	}
	got := make(map[int]fleet.Outcome)
	for res := range c.Results(ctx) {
		got[res.Target.Index] = res.Outcome
	}
	want := map[int]fleet.Outcome{0: fleet.OutcomeOK, 1: fleet.OutcomeOK, 2: fleet.OutcomeUnknown, 3: fleet.OutcomeUnknown}
	if fmt.Sprint(got) != fmt.Sprint(want) || alarms.Load() < 6 {
		t.Errorf("got %v, want %v; %d alarms", got, want, alarms.Load())
	}
}

// That nobody answers is no end of a run: the servers of a cluster may be about to agree on a leader. That its stream is gone is.
func TestNoAnswerIsNoEnd(t *testing.T) {
	s := newSite(t, simfleet.Options{Hosts: 1})
	conn := s.conn()
	defer conn.Close()
	conn.patience = time.Nanosecond // one try
	ctx := t.Context()
	name := runStream("r")
	if _, err := conn.js.CreateStream(ctx, jetstream.StreamConfig{Name: name, Subjects: []string{"log.*.r.*.*"}}); err != nil { // which takes nothing else
		t.Fatal(err)
	}
	if err := conn.store(ctx, name, lateSubject("p", "r", 0, "w"), nil); err == nil || errors.Is(err, errNoRun) {
		t.Errorf("nobody answers: %v", err)
	}
	if err := conn.js.DeleteStream(ctx, name); err != nil {
		t.Fatal(err)
	}
	if err := conn.store(ctx, name, lateSubject("p", "r", 0, "w"), nil); !errors.Is(err, errNoRun) {
		t.Errorf("the stream is gone: %v", err)
	}
}

// The server refuses a record because of another, and nobody can read which: that is tried as long as there is patience.
func TestConflictThatNobodyExplains(t *testing.T) {
	s := newSite(t, simfleet.Options{Hosts: 1})
	conn := s.conn()
	defer conn.Close()
	conn.patience = time.Nanosecond
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second) // or a test that fails would not end
	defer cancel()
	stream, err := conn.js.CreateStream(ctx, jetstream.StreamConfig{Name: runStream("r"), Subjects: []string{"log.*.r.*.*"}, MaxConsumers: 1})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := stream.CreateConsumer(ctx, jetstream.ConsumerConfig{Durable: "the-only-one"}); err != nil {
		t.Fatal(err)
	}
	l := conn.log("w", "p", "r", 0)
	l.Seq, l.Digest = 5, "another"
	err = l.Append(ctx, &Record{Kind: KindTake, Worker: "w"})
	if err == nil || ctx.Err() != nil || errors.Is(err, errNotWritten) || errors.Is(err, errFenced) || errors.Is(err, errDamaged) {
		t.Errorf("it is known what came of it: %v", err)
	}
}

// A run begins in no log that is there already, which the server would not say.
func TestLogIsNew(t *testing.T) {
	s := newSite(t, simfleet.Options{Hosts: 1})
	conn := s.conn()
	defer conn.Close()
	for range 2 { // the first may have had no answer
		if _, err := conn.createRun(t.Context(), "r"); err != nil {
			t.Fatal(err)
		}
	}
	logRecords(t, conn, "r", []Record{opened("r", 0, 0)})
	c, err := NewCoordinator(conn, CoordinatorOptions{Signer: s.signer})
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Begin(t.Context(), "r"); err == nil || !strings.Contains(err.Error(), "NATS has it already") {
		t.Errorf("began in an old log: %v", err)
	}
	c.Close()
	if left := s.streams(conn); len(left) != 1 {
		t.Errorf("the streams %v are left", left)
	}
}
