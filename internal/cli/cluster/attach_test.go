package cluster

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"shoal/fleet"
	"shoal/internal/cli/console"
	"shoal/internal/cluster"
	"shoal/internal/cluster/hub"
	"shoal/internal/journal"
)

// A host did not run in the session that began a run, and may have run in the one that resumed it. NATS has the logs of
// both: what the first says of the host is over, and would have it run a second time.
func TestAttachToResumedRun(t *testing.T) {
	h, err := hub.Start(hub.Options{Listen: "127.0.0.1:0", Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	defer h.Close()
	dir := t.TempDir()
	j, err := journal.Open(t.Context(), dir, journal.Options{})
	if err != nil {
		t.Fatal(err)
	}
	targets := slices.Values([]fleet.Target{{Index: 0, Host: fleet.Host{Name: "a"}, User: "u", Port: 22, Command: "true"}})
	r, err := j.Begin(t.Context(), journal.RunInfo{}, targets)
	if err != nil {
		t.Fatal(err)
	}
	id := r.ID()
	intend := func() {
		t.Helper()
		if err := r.Intend(0, 1, netip.AddrPort{}); err != nil {
			t.Fatal(err)
		}
	}
	intend()
	if err := r.Result(fleet.Result{Target: fleet.Target{Index: 0}, Attempt: 1, End: fleet.End{Outcome: fleet.OutcomeNeverStarted, Reason: fleet.ReasonInterrupted}}); err != nil {
		t.Fatal(err)
	}
	if err := r.End(journal.Ending{Interrupted: true}); err != nil {
		t.Fatal(err)
	}
	if r, err = j.Resume(t.Context(), id); err != nil {
		t.Fatal(err)
	}
	intend()
	if err := j.Close(); err != nil { // as if it was killed
		t.Fatal(err)
	}

	nc, err := nats.Connect(h.URL())
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	log := func(run string, number int, records ...cluster.Record) {
		t.Helper()
		if _, err := js.CreateStream(t.Context(), jetstream.StreamConfig{Name: "SHOAL_RUN_" + run, Subjects: []string{"log.*." + run + ".*.*", "late.*." + run + ".*.*"}}); err != nil {
			t.Fatal(err)
		}
		prev := ""
		for _, r := range records {
			r.Nonce, r.Prev = "n", prev
			message := r.Encode()
			prev = fmt.Sprintf("%x", sha256.Sum256(message))
			if _, err := js.Publish(t.Context(), fmt.Sprintf("log.default.%s.%d.%s", run, number, cmp.Or(r.Worker, "@")), message); err != nil {
				t.Fatal(err)
			}
		}
	}
	open := func(run string, number int) cluster.Record {
		shard, err := json.Marshal(cluster.Shard{Format: cluster.ShardFormat, Run: run, Number: number, Pool: "default", Expires: time.Now().Add(time.Hour), Hosts: []cluster.Host{
			{Host: fleet.Host{Name: "a"}, User: "u", Port: 22, Command: []byte("true")},
		}})
		if err != nil {
			t.Fatal(err)
		}
		return cluster.Record{Kind: cluster.KindOpen, Body: append([]byte("-----END SSH SIGNATURE-----\n"), shard...)}
	}
	log(id, 0, open(id, 0), cluster.Record{Kind: cluster.KindClose, Epoch: 1})
	log(id, 1, open(id, 1)) // which nobody has taken, nor will
	log(id+"-2", 0, open(id+"-2", 0), cluster.Record{Kind: cluster.KindTake, Epoch: 1, Worker: "w"},
		cluster.Record{Kind: cluster.KindWork, Epoch: 1, Worker: "w", Body: []byte(`{"intents":[0]}` + "\n")}, cluster.Record{Kind: cluster.KindClose, Epoch: 2})

	// A worker would take the shard, and asks whether it may, all the time.
	asking, over := context.WithCancel(t.Context())
	var worker sync.WaitGroup
	worker.Go(func() {
		for ; asking.Err() == nil; time.Sleep(time.Millisecond) {
			m, err := nc.Request("ask.default."+id+".w", []byte(`{"shard":1,"seq":1000}`), 100*time.Millisecond)
			if err == nil && strings.Contains(string(m.Data), "true") {
				t.Error("a worker may run again what a later session has run")
				return
			}
		}
	})
	defer func() { over(); worker.Wait() }()

	var stdout, stderr bytes.Buffer
	cmd := NewAttach(console.Stdio{In: strings.NewReader(""), Out: &stdout, Err: &stderr})
	cmd.SetArgs([]string{"--cluster", h.URL(), "--state-dir", dir, id})
	cmd.SilenceErrors, cmd.SilenceUsage = true, true
	if err := cmd.ExecuteContext(t.Context()); err == nil {
		t.Error("a host that may have run is no success")
	}
	if j, err = journal.Open(t.Context(), dir, journal.Options{}); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = j.Close() }()
	again, err := j.Select(t.Context(), id, journal.Resumable)
	if err != nil || len(again) > 0 {
		t.Errorf("shoal resume would run it again: %v, %v\n%s%s", again, err, &stdout, &stderr)
	}
	if !strings.Contains(stderr.String(), "1 unknown") || strings.Contains(stderr.String(), "never started") {
		t.Errorf("it says\n%s%s", &stdout, &stderr)
	}
}
