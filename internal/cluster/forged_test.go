package cluster

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	xssh "golang.org/x/crypto/ssh"

	"shoal/fleet"
	"shoal/internal/connect"
	"shoal/simfleet"
)

// A signerAfter does something before it signs.
type signerAfter struct {
	xssh.Signer
	before func()
}

func (s signerAfter) Sign(r io.Reader, data []byte) (*xssh.Signature, error) {
	s.before()
	return s.Signer.Sign(r, data) //nolint:wrapcheck // of a test
}

// Somebody else opens a shard, with more hosts, and tells of them: nothing of it is believed.
func TestShardOpenedByAnother(t *testing.T) {
	s := newSite(t, simfleet.Options{Hosts: 2})
	conn := s.conn()
	t.Cleanup(conn.Close)
	var c *Coordinator
	s.prepare = func(made *Coordinator) { c, made.linger = made, time.Second/2 } // the one shard has all hosts
	forge := func() {
		shard := Shard{Format: ShardFormat, Run: c.run, Pool: DefaultPool}
		for i := range 3 {
			shard.Hosts = append(shard.Hosts, Host{Host: fleet.Host{Name: "h"}, Index: i, User: "u", Port: 22, Command: []byte("true")})
		}
		prev := ""
		for _, r := range []Record{
			{Kind: KindOpen, Body: joinSigned(encode(shard), []byte("-----END SSH SIGNATURE-----\n"))},
			{Kind: KindTake, Epoch: 1, Worker: "w"},
			{Kind: KindWork, Epoch: 1, Worker: "w", Body: conn.pack.encode(&Work{Intents: []int{2}})[0]},
		} {
			r.Nonce, r.Prev = newNonce(), prev
			message := r.Encode()
			prev = digest(message)
			if _, err := conn.js.Publish(context.Background(), logSubject(DefaultPool, c.run, 0, cmp.Or(r.Worker, coordinatorName)), message); err != nil {
				t.Error(err)
			}
		}
	}
	results, _ := s.run(t.Context(), "true", func(co *CoordinatorOptions, _ *connect.Options) { co.Signer = signerAfter{s.signer, forge} })
	for _, r := range results {
		if r.Outcome != fleet.OutcomeUnknown || r.Reason != fleet.ReasonLogDamaged {
			t.Errorf("target %d: %s, %s, %v", r.Target.Index, r.Outcome, r.Reason, r.Err)
		}
	}
	if len(results) != s.hosts {
		t.Errorf("%d results", len(results))
	}
}

// Without TLS a server cannot send us to one on another machine.
func TestNoOtherServerWithoutTLS(t *testing.T) {
	s := newSite(t, simfleet.Options{Hosts: 1})
	conn := s.conn()
	defer conn.Close()
	if !conn.nc.Opts.IgnoreDiscoveredServers {
		t.Errorf("%s may name other servers", s.hub.URL())
	}
}

// A run is aborted while a shard is being signed: its hosts did not start, and the shard is not in the log, where
// somebody who attaches would have it run.
func TestAbortedWhileSigning(t *testing.T) {
	s := newSite(t, simfleet.Options{Hosts: 2})
	var c *Coordinator
	s.prepare = func(made *Coordinator) { c = made; c.Keep() }
	ctx, abort := context.WithCancel(t.Context())
	sign := func() {
		abort()
		for given := false; !given; time.Sleep(time.Millisecond) { // the abort has ended the hosts
			c.mu.Lock()
			given = c.givenUp
			c.mu.Unlock()
		}
	}
	results, _ := s.run(ctx, "true", func(co *CoordinatorOptions, _ *connect.Options) { co.Signer = signerAfter{s.signer, sign} })
	for _, r := range results {
		if r.Outcome.Ran() {
			t.Errorf("target %d: %s", r.Target.Index, r.Outcome)
		}
	}
	conn := s.conn()
	defer conn.Close()
	if err := conn.messages(t.Context(), runStream(c.run), logSubject(DefaultPool, c.run, 0, "*"), 1, func(uint64, string, []byte) error {
		t.Error("a record is in the log")
		return nil
	}); err != nil {
		t.Error(err)
	}
}

// A worker of another pool has the server deliver what it has written where coordinators stop runs: the server does not
// ask who may publish there, and the subject of the message tells. Nobody takes it for a coordinator's.
func TestRunIsStoppedByItsCoordinatorOnly(t *testing.T) {
	const hosts = 4
	all, stopped := make(chan struct{}), make(chan struct{})
	var running atomic.Int32
	s := newSite(t, simfleet.Options{Hosts: hosts, Oracle: func(e simfleet.Exec) {
		if !e.Ended.IsZero() {
			return
		}
		if running.Add(1) == hosts {
			close(all)
		}
		<-stopped
	}})
	s.worker("one", nil)
	conn := s.conn()
	t.Cleanup(conn.Close)
	var c *Coordinator
	s.prepare = func(made *Coordinator) { c = made }
	go func() {
		defer close(stopped)
		<-all
		control := controlSubject(DefaultPool, c.run)
		heard, err := conn.nc.SubscribeSync(control)
		if err != nil {
			t.Error(err)
			return
		}
		from := logSubject("other", c.run, 0, "evil")
		if _, err := conn.js.Publish(context.Background(), from, []byte(stateAbort)); err != nil {
			t.Error(err)
			return
		}
		body := encode(reading{runStream(c.run), readingConfig{
			Name: "evil", Deliver: control, Policy: "by_start_sequence", From: 1, Filter: from, Ack: "none", Replay: "instant", Threshold: time.Minute, Memory: true, Replicas: 1,
		}})
		if _, err := conn.nc.Request("$JS.API.CONSUMER.CREATE."+runStream(c.run)+".evil."+from, body, requestTimeout); err != nil {
			t.Error(err)
			return
		}
		for {
			m, err := heard.NextMsg(time.Minute)
			if err != nil {
				t.Error(err)
				return
			}
			if string(m.Data) == stateAbort {
				return
			}
		}
	}()
	results, _ := s.run(t.Context(), "sleep 0.5; echo {index}", nil)
	if report := s.check(results); report.Outcomes[fleet.OutcomeOK] != hosts {
		t.Errorf("outcomes %v", report.Outcomes)
	}
}

// A worker to which a shoal of another version gives a shard refuses it, and says to both sides that it is the version: nobody
// waits until the shard expires. Whoever attaches to such a run is told too, and the log stays for the right version.
// faults.md: R18
func TestShardOfAnotherVersion(t *testing.T) {
	for format, says := range map[int]string{ShardFormat - 1: "an older shoal", ShardFormat + 1: "a newer shoal"} {
		t.Run(says, func(t *testing.T) {
			s, conn, _ := newRun(t)
			shard := fmt.Sprintf(`{"format":%d,"run":"r","shard":0,"pool":"default","what_else":1,"hosts":[]}`, format)
			logRecords(t, conn, "r", []Record{{Kind: KindOpen, Body: joinSigned([]byte(shard), []byte("-----END SSH SIGNATURE-----\n"))}, {Kind: KindTake, Epoch: 1, Worker: "w"}})
			refused := make(chan question, 1)
			boss, err := conn.nc.Subscribe(askSubject(DefaultPool, "r", "*"), func(m *nats.Msg) {
				q, _ := decode[question](m.Data)
				refused <- q
				reply(m, answer{})
			})
			if err != nil {
				t.Fatal(err)
			}
			w, err := NewWorker(conn, WorkerOptions{Pool: DefaultPool, Name: "one", Signers: s.signers, Connect: s.connect})
			if err != nil {
				t.Fatal(err)
			}
			_, _, err = w.tryBegin(t.Context(), hintOf{"r", 0})
			_, other := errors.AsType[formatError](err)
			select {
			case q := <-refused:
				if !other || q.Shard != 0 || !strings.Contains(q.Refused, says) || !strings.Contains(q.Refused, "the same version") {
					t.Errorf("asked: %+v", q)
				}
			default:
				t.Error("nobody was told")
			}
			if err := boss.Unsubscribe(); err != nil {
				t.Fatal(err)
			}
			var alarms []string
			c, err := NewCoordinator(conn, CoordinatorOptions{Notice: func(text string) { alarms = append(alarms, text) }})
			if err != nil {
				t.Fatal(err)
			}
			if err := c.Attach(t.Context(), "r"); err != nil {
				t.Fatal(err)
			}
			for res := range c.Results(t.Context()) {
				t.Errorf("a result: %+v", res)
			}
			incomplete := c.Incomplete()
			c.Close()
			if len(alarms) != 1 || !strings.Contains(alarms[0], says) || !incomplete {
				t.Errorf("alarms %q; %t", alarms, incomplete)
			}
			if left := s.streams(conn); len(left) != 1 {
				t.Errorf("the streams %v are left: it has what nobody has read", left)
			}
		})
	}
}
