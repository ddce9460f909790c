package cluster

import (
	"context"
	"errors"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"shoal/fleet"
	"shoal/internal/cluster/hub"
	"shoal/internal/connect"
	"shoal/internal/engine"
	"shoal/internal/ssh"
	"shoal/simfleet"
)

// A worker that was silent for a lease loses its shards although it lives. From then on it starts
// nothing more, and the results of what it did start come late and are taken.
// faults.md: R18
func TestFencedWorkerTellsLate(t *testing.T) {
	s := newSite(t, simfleet.Options{Hosts: 60})
	replaced := make(chan struct{})
	closeOnce := sync.OnceFunc(func() { close(replaced) })
	var records atomic.Int32
	s.worker("first", func(o *WorkerOptions) {
		o.beat = time.Hour // one sign of life, and no other
		o.Room = 60
		o.hook = func(r *Record) {
			if r.Kind == KindWork && records.Add(1) > 1 {
				<-replaced
			}
		}
	})
	go func() {
		for records.Load() < 1 {
			time.Sleep(time.Millisecond)
		}
		s.worker("second", func(o *WorkerOptions) {
			o.hook = func(r *Record) {
				if r.Kind == KindWork {
					closeOnce()
				}
			}
		})
	}()
	s.prepare = func(c *Coordinator) { c.linger = time.Second / 2 }                                                                                   // the one shard has all hosts
	results, c := s.run(t.Context(), "echo {index}", func(co *CoordinatorOptions, _ *connect.Options) { co.Lease, co.ShardSize = 4*time.Second, 60 }) // the first must have begun within it
	report := s.check(results)
	if report.Outcomes[fleet.OutcomeOK] != s.hosts {
		t.Errorf("outcomes %v", report.Outcomes)
	}
	late, taken := 0, 0
	for _, sh := range c.shards {
		taken = max(taken, sh.fold.Epoch)
		for _, h := range sh.fold.hosts {
			if h.late {
				late++
			}
		}
	}
	if late == 0 || taken < 2 {
		t.Errorf("%d results came late, in epoch %d", late, taken)
	}
	if left := s.streams(c.conn); len(left) != 0 {
		t.Errorf("the streams %v are left, and all is known", left)
	}
}

// Deliveries that never come, or come again and again, change nothing.
func TestDeliveriesAreHints(t *testing.T) {
	for name, change := range map[string]func(s *site, o *WorkerOptions){
		"lost": func(_ *site, o *WorkerOptions) { o.noWork = true },
		"repeated": func(s *site, o *WorkerOptions) {
			conn := s.conn()
			s.t.Cleanup(conn.Close)
			o.hook = func(r *Record) {
				list := conn.js.StreamNames(context.Background())
				for stream := range list.Name() {
					if run, ok := strings.CutPrefix(stream, runPrefix); ok {
						for shard := range 6 {
							_, _ = conn.js.Publish(context.Background(), workSubject(DefaultPool, run, shard), nil)
						}
					}
				}
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := newSite(t, simfleet.Options{Hosts: 120})
			for _, worker := range []string{"one", "two"} {
				s.worker(worker, func(o *WorkerOptions) { change(s, o) })
			}
			results, _ := s.run(t.Context(), "echo {index}", nil)
			if report := s.check(results); report.Outcomes[fleet.OutcomeOK] != s.hosts {
				t.Errorf("outcomes %v", report.Outcomes)
			}
		})
	}
}

// Who did not sign, signed for longer ago, or finds nobody, runs nothing, and is told why.
// faults.md: R18
func TestNothingRunsUnsigned(t *testing.T) {
	other, _ := newSigner(t)
	for name, c := range map[string]struct {
		worker bool
		change func(*CoordinatorOptions)
		reason fleet.Reason
		says   string
	}{
		"another signer": {true, func(o *CoordinatorOptions) { o.Signer = other }, fleet.ReasonWorkerRefused, "is not among the allowed signers"},
		"expired":        {true, func(o *CoordinatorOptions) { o.Valid = time.Nanosecond }, fleet.ReasonWorkerRefused, "it has expired"},
		"nobody":         {false, func(o *CoordinatorOptions) { o.PoolTimeout = 300 * time.Millisecond }, fleet.ReasonNoWorker, `the pool "default"`},
	} {
		t.Run(name, func(t *testing.T) {
			s := newSite(t, simfleet.Options{Hosts: 30})
			if c.worker {
				s.worker("one", nil)
			}
			results, _ := s.run(t.Context(), "echo {index}", func(o *CoordinatorOptions, _ *connect.Options) { c.change(o) })
			for _, r := range results {
				if r.Outcome != fleet.OutcomeNeverStarted || r.Reason != c.reason || !strings.Contains(r.Err.Error(), c.says) {
					t.Errorf("target %d: %s, %s: %v", r.Target.Index, r.Outcome, r.Reason, r.Err)
				}
			}
			_ = s.fleet.Close()
			if n := len(s.fleet.Log()); n != 0 || len(results) != s.hosts {
				t.Errorf("%d results, %d commands ran", len(results), n)
			}
		})
	}
}

// A stop, a failure limit and an abort are those of the whole run: hosts that wait at workers do not
// start any more.
func TestStops(t *testing.T) {
	for name, c := range map[string]struct {
		command string
		change  func(o *connect.Options, stop chan struct{})
		abort   bool
	}{
		"drain":    {"sleep 0.1", func(o *connect.Options, stop chan struct{}) { o.Engine.Drain = stop }, false},
		"max-fail": {"sleep 0.1; false", func(o *connect.Options, _ chan struct{}) { o.Engine.FailFast = true }, false},
		"abort":    {"sleep 5", func(*connect.Options, chan struct{}) {}, true},
	} {
		t.Run(name, func(t *testing.T) {
			stop := make(chan struct{})
			var ran atomic.Int32
			ctx, abort := context.WithCancel(t.Context())
			defer abort()
			s := newSite(t, simfleet.Options{Hosts: 200, Oracle: func(simfleet.Exec) {
				if ran.Add(1) == 10 {
					if c.abort {
						abort()
					}
					close(stop)
				}
			}})
			s.worker("one", func(o *WorkerOptions) { o.Room = 20 })
			results, _ := s.run(ctx, c.command, func(_ *CoordinatorOptions, o *connect.Options) { c.change(o, stop) })
			report := s.check(results)
			// The first failure may come when few have begun; the others are stopped at the tenth command.
			if n := int(ran.Load()); n < 1 || n < 10 && name != "max-fail" || n > 150 {
				t.Errorf("%d commands were started", n)
			}
			didNot := report.Outcomes[fleet.OutcomeNeverStarted] + report.Outcomes[fleet.OutcomeCancelled]
			if unknown := report.Outcomes[fleet.OutcomeUnknown]; didNot < 50 || (unknown > 0) != c.abort {
				t.Errorf("outcomes %v", report.Outcomes)
			}
		})
	}
}

// The log is removed in the middle of a run: what has no result is unknown, nothing more is started,
// and the run ends.
// faults.md: R18
func TestLogRemoved(t *testing.T) {
	var ran atomic.Int32
	removed := make(chan struct{})
	var c *Coordinator
	s := newSite(t, simfleet.Options{Hosts: 100, Oracle: func(simfleet.Exec) {
		if ran.Add(1) == 10 {
			go func() {
				defer close(removed)
				if err := c.conn.js.DeleteStream(context.Background(), runStream(c.run)); err != nil {
					t.Error(err)
				}
			}()
		}
	}})
	s.prepare = func(made *Coordinator) { c = made }
	s.worker("one", func(o *WorkerOptions) { o.Room = 20 })
	results, _ := s.run(t.Context(), "sleep 0.2", nil)
	<-removed
	if n := int(ran.Load()); n > 60 {
		t.Errorf("%d commands were started", n)
	}
	report := s.check(results)
	if report.Outcomes[fleet.OutcomeUnknown] < 50 {
		t.Errorf("outcomes %v", report.Outcomes)
	}
	for _, r := range results {
		if r.Outcome == fleet.OutcomeUnknown && r.Reason != fleet.ReasonLogDamaged {
			t.Errorf("target %d: %s: %v", r.Target.Index, r.Reason, r.Err)
		}
	}
}

// The log is removed early in a run: what had not begun did not start, and is not called unknown.
func TestLogRemovedBeforeMostBegin(t *testing.T) {
	const fanout = 10
	var c *Coordinator
	oracle, some := reaches(5)
	s := newSite(t, simfleet.Options{Hosts: 100, Oracle: oracle})
	s.prepare = func(made *Coordinator) { c = made }
	s.worker("one", nil)
	removed := make(chan struct{})
	go func() {
		defer close(removed)
		<-some
		if err := c.conn.js.DeleteStream(context.Background(), runStream(c.run)); err != nil {
			t.Error(err)
		}
	}()
	results, _ := s.run(t.Context(), "sleep 0.2", func(co *CoordinatorOptions, o *connect.Options) { o.Engine.Fanout, co.ShardSize = fanout, 5 })
	<-removed
	report := s.check(results)
	if report.Outcomes[fleet.OutcomeUnknown] > fanout || report.Outcomes[fleet.OutcomeNeverStarted] < s.hosts-2*fanout {
		t.Errorf("outcomes %v", report.Outcomes)
	}
	for _, r := range results {
		if r.Outcome == fleet.OutcomeNeverStarted && r.Reason != fleet.ReasonLogUnwritten {
			t.Errorf("target %d: %s: %v", r.Target.Index, r.Reason, r.Err)
		}
	}
}

// The hub is stopped and started again in the middle: the run goes on, and all ends are known.
// faults.md: R18
func TestHubRestarts(t *testing.T) {
	oracle, middle := reaches(10)
	s := newSite(t, simfleet.Options{Hosts: 100, Oracle: oracle})
	s.worker("one", func(o *WorkerOptions) { o.Room = 20 })
	again := make(chan struct{})
	go func() {
		defer close(again)
		<-middle
		s.hub.Close()
		h, err := hub.Start(hub.Options{Listen: strings.TrimPrefix(s.hub.URL(), "nats://"), Dir: s.store})
		if err != nil {
			t.Error(err)
			return
		}
		s.t.Cleanup(h.Close)
	}()
	results, _ := s.run(t.Context(), "sleep 0.1", func(co *CoordinatorOptions, _ *connect.Options) { co.Lease = 5 * time.Second })
	<-again
	if report := s.check(results); report.Outcomes[fleet.OutcomeOK] != s.hosts {
		t.Errorf("outcomes %v", report.Outcomes)
	}
}

// Where a shard belongs is asked until it is told: a shard that was taken and then left for a hub that starts again
// would wait for this worker.
func TestOriginIsAskedAgain(t *testing.T) {
	s, conn, _ := newRun(t)
	shard := Shard{Run: "r", Pool: DefaultPool}
	subject := originSubject(shard.Pool, shard.Run)
	if err := conn.store(t.Context(), runStream(shard.Run), subject, []byte("origin")); err != nil {
		t.Fatal(err)
	}
	if err := conn.stored(t.Context(), runStream(shard.Run), subject, 1, func(at *nats.MsgMetadata, _ *nats.Msg) error {
		shard.Log = Origin{at.Sequence.Stream, at.Timestamp.UnixNano()}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	s.hub.Close()
	for conn.nc.IsConnected() {
		runtime.Gosched()
	}
	checked := make(chan error)
	go func() { checked <- conn.checkOrigin(t.Context(), &shard) }()
	h, err := hub.Start(hub.Options{Listen: strings.TrimPrefix(s.hub.URL(), "nats://"), Dir: s.store})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(h.Close)
	if err := <-checked; err != nil {
		t.Error(err)
	}
}

// Where each attempt can be cancelled by hand, the end of one host is no abort of the run, and to
// give one up concerns that one alone.
func TestHostsAreCancelledAlone(t *testing.T) {
	s := newSite(t, simfleet.Options{Hosts: 20})
	s.worker("one", nil)
	var ended atomic.Int32
	var slow atomic.Pointer[engine.View]
	results, _ := s.run(t.Context(), "if [ {index} = 3 ]; then sleep infinity; fi; echo {index}", func(co *CoordinatorOptions, o *connect.Options) {
		co.ShardSize = 4
		o.Engine.Fanout = 5 // hosts begin after others have ended
		o.Engine.Cancellable = true
		o.Engine.Watch = func(v *engine.View, step engine.Step) {
			if v.Of().Index == 3 && step == engine.Running {
				slow.Store(v)
			}
			if step == engine.Ended && ended.Add(1) == 19 {
				slow.Load().Cancel()
			}
		}
	})
	report := s.check(results)
	if want := [fleet.NumOutcomes]int{fleet.OutcomeOK: 19, fleet.OutcomeUnknown: 1}; report.Outcomes != want {
		t.Errorf("outcomes %v, want %v", report.Outcomes, want)
	}
	for _, r := range results {
		if r.Outcome == fleet.OutcomeUnknown && (r.Target.Index != 3 || r.Err.Error() != ssh.ErrByHand.Error()) {
			t.Errorf("target %d: %v", r.Target.Index, r.Err)
		}
	}
}

// NATS goes away and does not come back: the run waits for it as long as it has patience, then ends, and
// what may have run is unknown.
func TestNATSStaysAway(t *testing.T) {
	oracle, middle := reaches(5)
	s := newSite(t, simfleet.Options{Hosts: 60, Oracle: oracle})
	s.prepare = func(c *Coordinator) { c.conn.patience = 500 * time.Millisecond }
	ctx, abort := context.WithCancel(t.Context())
	conn := s.conn()
	defer conn.Close()
	w, err := NewWorker(conn, WorkerOptions{Pool: DefaultPool, Name: "one", Signers: s.signers, Connect: s.connect, Room: 10})
	if err != nil {
		t.Fatal(err)
	}
	over := make(chan error, 1)
	go func() { over <- w.Run(ctx, nil) }()
	away := make(chan struct{})
	go func() { defer close(away); <-middle; s.hub.Close() }()
	results, _ := s.run(t.Context(), "sleep 0.2", nil)
	<-away
	abort()
	if err := <-over; err != nil {
		t.Error(err)
	}
	report := s.check(results)
	if report.Outcomes[fleet.OutcomeUnknown] == 0 || len(results) != s.hosts {
		t.Errorf("outcomes %v", report.Outcomes)
	}
}

// A worker takes no shard again whose log is not the one that it has written, as long as that one, and
// with a record of the same number.
func TestShardReplayedToItsWorker(t *testing.T) {
	s, conn, stream := newRun(t)
	open := func() *Log {
		shard := Shard{Format: ShardFormat, Run: "r", Pool: "p", Made: time.Now(), Expires: time.Now().Add(time.Hour)}
		shard.Hosts = []Host{{Host: fleet.Host{Name: "h"}, User: "u", Port: 22, Command: []byte("true")}}
		signature, err := Sign(s.signer, encode(shard))
		if err != nil {
			t.Fatal(err)
		}
		l := conn.log(coordinatorName, "p", "r", 0)
		if err := l.Append(t.Context(), &Record{Kind: KindOpen, Body: joinSigned(encode(shard), signature)}); err != nil {
			t.Fatal(err)
		}
		return l
	}
	w := &Worker{WorkerOptions: WorkerOptions{now: time.Now}, took: make(map[hintOf]took)}
	h := hintOf{"r", 0}
	open()
	l, err := conn.openLog(t.Context(), "one", "p", "r", 0, w.known(h))
	if err != nil {
		t.Fatal(err)
	}
	w.remember(h, l)
	if err := l.Append(t.Context(), &Record{Kind: KindTake, Worker: "one"}); err != nil {
		t.Fatal(err)
	}
	if _, err := conn.openLog(t.Context(), "one", "p", "r", 0, w.known(h)); err != nil {
		t.Errorf("its own log: %v", err)
	}
	if err := conn.js.DeleteStream(t.Context(), stream.CachedInfo().Config.Name); err != nil {
		t.Fatal(err)
	}
	if _, err := conn.createRun(t.Context(), "r"); err != nil {
		t.Fatal(err)
	}
	other := open()
	if err := other.Append(t.Context(), &Record{Kind: KindClose}); err != nil { // as many records
		t.Fatal(err)
	}
	if _, err := conn.openLog(t.Context(), "one", "p", "r", 0, w.known(h)); !errors.Is(err, errDamaged) {
		t.Errorf("another log: %v", err)
	}
	if _, err := conn.openLog(t.Context(), "two", "p", "r", 0, mark{}); err != nil {
		t.Errorf("for a worker that has not taken it: %v", err)
	}
}
