package cluster

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"shoal/fleet"
	"shoal/internal/ssh"
	"shoal/simfleet"
)

// Marks outlive the worker, are shared by those that have the directory, survive a line that was cut, and
// are removed when the signature has expired.
func TestMarks(t *testing.T) {
	dir, now := t.TempDir(), time.Now()
	open := func() *marks {
		m, err := openMarks(dir, now)
		if err != nil {
			t.Fatal(err)
		}
		return m
	}
	first, beside := open(), open()
	h, soon := hintOf{"r", 3}, now.Add(time.Hour)
	add := func(m *marks, h hintOf, seq uint64, expires time.Time) {
		t.Helper()
		if err := m.add(h, took{mark{seq, strings.Repeat("d", int(seq))}, expires}, true); err != nil {
			t.Fatal(err)
		}
	}
	want := func(m *marks, h hintOf, seq uint64, now time.Time) {
		t.Helper()
		got, err := m.at(h, now)
		if err != nil || got.seq != seq || len(got.digest) != int(seq) {
			t.Errorf("%v: %v, %v, want %d", h, got, err, seq)
		}
	}
	add(first, h, 2, soon)
	add(first, h, 5, soon)
	want(beside, h, 5, now)
	files, _ := filepath.Glob(filepath.Join(dir, "workers", "taken-*"))
	if len(files) != 1 {
		t.Fatalf("the files %q", files)
	}
	file, err := os.OpenFile(files[0], os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := file.WriteString("\n{\"run\":\"r\",\"sha"); err != nil {
		t.Fatal(err)
	}
	_ = file.Close()
	want(beside, h, 5, now)
	add(first, h, 7, soon)
	add(beside, hintOf{"r", 4}, 1, soon)
	for _, m := range []*marks{first, beside, open()} {
		want(m, h, 7, now)
		want(m, hintOf{"r", 4}, 1, now)
		want(m, hintOf{"s", 3}, 0, now)
	}
	want(first, h, 0, now.Add(3*time.Hour))
	want(open(), h, 0, now)
	if files, _ = filepath.Glob(filepath.Join(dir, "workers", "*")); len(files) != 0 {
		t.Errorf("%q are left", files)
	}
}

// A signed shard that somebody puts into a new log runs on no worker of a machine on which it was taken,
// though all of them were started anew; and what cannot be noted is not taken.
func TestShardReplayedAfterRestart(t *testing.T) {
	s := newSite(t, simfleet.Options{Hosts: 5})
	state := t.TempDir()
	leave := s.worker("one", func(o *WorkerOptions) { o.State = state })
	s.prepare = func(c *Coordinator) { c.Keep() }
	results, c := s.run(t.Context(), "echo {index}", nil)
	leave()
	conn := s.conn()
	defer conn.Close()
	var origin []byte
	if err := conn.messages(t.Context(), runStream(c.run), originSubject(DefaultPool, c.run), 1, func(_ uint64, _ string, data []byte) error {
		origin = data
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	var opens [][]byte // of all shards
	for shard := range c.shards {
		first := true
		if err := conn.messages(t.Context(), runStream(c.run), logSubject(DefaultPool, c.run, shard, "*"), 1, func(_ uint64, _ string, data []byte) error {
			if first {
				opens = append(opens, data)
			}
			first = false
			return nil
		}); err != nil {
			t.Fatal(err)
		}
	}
	inner, err := Connect(ConnectOptions{URL: s.hub.URL(), Inbox: WorkerInbox(DefaultPool, "two")})
	if err != nil {
		t.Fatal(err)
	}
	defer inner.Close()
	again := func(state string) error {
		w, err := NewWorker(inner, WorkerOptions{Pool: DefaultPool, Name: "two", Signers: s.signers, Connect: s.connect, State: state})
		if err != nil {
			t.Fatal(err)
		}
		_, _, err = w.tryBegin(t.Context(), hintOf{c.run, 0})
		return err
	}
	liar, err := conn.nc.Subscribe(askSubject(DefaultPool, c.run, "*"), func(m *nats.Msg) { reply(m, answer{Go: true}) })
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = liar.Unsubscribe() }()
	if err := again(t.TempDir()); !errors.Is(err, errNotNow) { // its log says that it is done
		t.Errorf("on another machine, in its log: %v", err)
	}
	if err := conn.js.DeleteStream(t.Context(), runStream(c.run)); err != nil {
		t.Fatal(err)
	}
	if _, err := conn.createRun(t.Context(), c.run); err != nil {
		t.Fatal(err)
	}
	if _, err := conn.js.Publish(t.Context(), originSubject(DefaultPool, c.run), origin); err != nil {
		t.Fatal(err)
	}
	for shard, open := range opens { // byte for byte, at the same places
		if _, err := conn.js.Publish(t.Context(), logSubject(DefaultPool, c.run, shard, coordinatorName), open); err != nil {
			t.Fatal(err)
		}
	}
	if err := again(state); !errors.Is(err, errDamaged) {
		t.Errorf("the shard in another log: %v", err)
	}
	if err := again(t.TempDir()); !errors.Is(err, errOtherLog) { // this machine has no mark of it
		t.Errorf("on another machine, in another log: %v", err)
	}
	if report := s.check(results); report.Outcomes[fleet.OutcomeOK] != s.hosts {
		t.Errorf("outcomes %v", report.Outcomes)
	}
}

// Whoever may create logs lets a worker ask for a shard in its own log, where nobody has it yet, and puts another log in its
// place, record by record at the same places, before the worker has taken it: another may run the shard in the first meanwhile.
func TestLogIsExchangedBeforeTake(t *testing.T) {
	s := newSite(t, simfleet.Options{Hosts: 1})
	conn := s.conn()
	defer conn.Close()
	ctx := t.Context()
	c, err := NewCoordinator(conn, CoordinatorOptions{Signer: s.signer})
	if err != nil {
		t.Fatal(err)
	}
	defer c.cancel()
	c.run = "r"
	if _, err := conn.createRun(ctx, c.run); err != nil {
		t.Fatal(err)
	}
	for target := range s.fleet.Targets() {
		target.User, target.Command, target.Port = s.connect.User, "true", s.fleet.Port()
		h := &host{c: c, attempt: &ssh.Attempt{Progress: new(ssh.Progress), Target: ssh.Target{Target: target}}, pool: DefaultPool}
		if err := h.attempt.Intend(); err != nil {
			t.Fatal(err)
		}
		c.open(c.newShardLocked(DefaultPool, []*host{h}))
	}
	liar, err := conn.nc.Subscribe(askSubject(DefaultPool, c.run, "*"), func(m *nats.Msg) { reply(m, answer{Go: true}) })
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = liar.Unsubscribe() }()
	exchange := sync.OnceFunc(func() {
		var all []*nats.Msg
		for _, filter := range []string{originSubject(DefaultPool, c.run), logSubject(DefaultPool, c.run, 0, "*")} {
			if err := conn.stored(ctx, runStream(c.run), filter, 1, func(_ *nats.MsgMetadata, m *nats.Msg) error {
				all = append(all, m)
				return nil
			}); err != nil {
				t.Error(err)
			}
		}
		if err := conn.js.DeleteStream(ctx, runStream(c.run)); err != nil {
			t.Error(err)
		}
		if _, err := conn.createRun(ctx, c.run); err != nil {
			t.Error(err)
		}
		for _, m := range all {
			if _, err := conn.js.Publish(ctx, m.Subject, m.Data); err != nil {
				t.Error(err)
			}
		}
	})
	inner, err := Connect(ConnectOptions{URL: s.hub.URL(), Inbox: WorkerInbox(DefaultPool, "one")})
	if err != nil {
		t.Fatal(err)
	}
	defer inner.Close()
	w, err := NewWorker(inner, WorkerOptions{Pool: DefaultPool, Name: "one", Signers: s.signers, Connect: s.connect, hook: func(r *Record) {
		if r.Kind == KindTake {
			exchange()
		}
	}})
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := w.tryBegin(ctx, hintOf{c.run, 0}); !errors.Is(err, errOtherLog) {
		t.Errorf("taken in another log: %v", err)
	}
	w.stopping()
	w.engines.Wait()
	_ = s.fleet.Close()
	if n := len(s.fleet.Log()); n != 0 {
		t.Errorf("%d commands ran", n)
	}
}
