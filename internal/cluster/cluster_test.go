package cluster

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"go.uber.org/goleak"
	xssh "golang.org/x/crypto/ssh"

	"shoal/fleet"
	"shoal/internal/cluster/hub"
	"shoal/internal/connect"
	"shoal/internal/remote/become"
	"shoal/simfleet"
)

func TestMain(m *testing.M) {
	if config := os.Getenv(workerEnv); config != "" {
		if err := beWorker(config); err != nil {
			fmt.Fprintln(os.Stderr, err)
		}
		os.Exit(1)
	}
	goleak.VerifyTestMain(m)
}

// A site is a hub, a fleet, and an operator who may sign.
type site struct {
	t       *testing.T
	hub     *hub.Hub
	store   string // its directory
	fleet   *simfleet.Fleet
	hosts   int
	connect connect.Options
	signer  xssh.Signer
	signers *Signers
	allowed string             // signers as a file has them
	room    int                // of workers that are processes; 0 means 60
	nkey    string             // a file with what connects to the hub; "" means nothing
	prepare func(*Coordinator) // before it begins; nil: nothing
	become  *become.Options    // nil: nobody else
}

func newSigner(t *testing.T) (xssh.Signer, string) {
	t.Helper()
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	signer, err := xssh.NewSignerFromKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return signer, strings.TrimSpace(string(xssh.MarshalAuthorizedKey(signer.PublicKey())))
}

// reaches returns an oracle of the fleet, and what it closes once this many commands have run.
func reaches(commands int32) (oracle func(simfleet.Exec), reached <-chan struct{}) {
	var ran atomic.Int32
	over := make(chan struct{})
	return func(simfleet.Exec) {
		if ran.Add(1) == commands {
			close(over)
		}
	}, over
}

func newSite(t *testing.T, o simfleet.Options) *site {
	t.Helper()
	s := &site{t: t, hosts: o.Hosts}
	var err error
	if s.fleet, err = simfleet.Start(t.Context(), o); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.fleet.Close() })
	dir := t.TempDir()
	s.connect = connect.Options{
		User: "someone", SSHConfig: "none", Agent: connect.NoAgent,
		Identities: []string{filepath.Join(dir, "key")}, KnownHosts: []string{filepath.Join(dir, "known_hosts")},
	}
	for path, write := range map[string]func(io.Writer) error{s.connect.Identities[0]: s.fleet.WriteKey, s.connect.KnownHosts[0]: s.fleet.WriteKnownHosts} {
		file, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY, 0o600)
		if err != nil {
			t.Fatal(err)
		}
		if err := errors.Join(write(file), file.Close()); err != nil {
			t.Fatal(err)
		}
	}
	s.store = t.TempDir()
	if s.hub, err = hub.Start(hub.Options{Listen: "127.0.0.1:0", Dir: s.store}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.hub.Close)
	var public string
	s.signer, public = newSigner(t)
	s.allowed = "ops " + public + "\n"
	if s.signers, err = parseSigners(strings.NewReader(s.allowed)); err != nil {
		t.Fatal(err)
	}
	return s
}

func (s *site) conn() *Conn {
	s.t.Helper()
	c, err := Connect(ConnectOptions{URL: s.hub.URL(), NKey: s.nkey})
	if err != nil {
		s.t.Fatal(err)
	}
	return c
}

// newRun is newSite with one host and the streams of the run "r", and a connection to its hub.
func newRun(t *testing.T) (s *site, conn *Conn, stream jetstream.Stream) {
	t.Helper()
	s = newSite(t, simfleet.Options{Hosts: 1})
	conn = s.conn()
	t.Cleanup(conn.Close)
	stream, err := conn.createRun(t.Context(), "r")
	if err != nil {
		t.Fatal(err)
	}
	return s, conn, stream
}

// worker starts a worker; the returned function makes it leave, waits for it, and may be called again.
func (s *site) worker(name string, change func(*WorkerOptions)) (leave func()) {
	s.t.Helper()
	conn, err := Connect(ConnectOptions{URL: s.hub.URL(), NKey: s.nkey, Inbox: WorkerInbox(DefaultPool, name)})
	if err != nil {
		s.t.Fatal(err)
	}
	o := WorkerOptions{Pool: DefaultPool, Name: name, Signers: s.signers, Connect: s.connect, Room: 100, beat: 50 * time.Millisecond, Notice: func(text string) { s.t.Logf("%s: %s", name, text) }}
	if change != nil {
		change(&o)
	}
	w, err := NewWorker(conn, o)
	if err != nil {
		s.t.Fatal(err)
	}
	drain, over := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(over)
		defer conn.Close()
		if err := w.Run(context.Background(), drain); err != nil {
			s.t.Errorf("worker %s: %v", name, err)
		}
	}()
	leave = sync.OnceFunc(func() { close(drain); <-over })
	s.t.Cleanup(leave)
	return leave
}

// run runs a command on the whole fleet through a coordinator.
func (s *site) run(ctx context.Context, command string, change func(*CoordinatorOptions, *connect.Options)) ([]fleet.Result, *Coordinator) {
	s.t.Helper()
	conn := s.conn()
	s.t.Cleanup(conn.Close)
	co := CoordinatorOptions{Signer: s.signer, ShardSize: 20, Lease: 300 * time.Millisecond, Notice: func(text string) { s.t.Logf("coordinator: %s", text) }}
	o := connect.Options{User: s.connect.User, SSHConfig: "none"}
	o.Engine.Attempts, o.Engine.Starts, o.Engine.Fanout, o.Engine.Targets = 1, -1, s.hosts, s.hosts
	if change != nil {
		change(&co, &o)
	}
	c, err := NewCoordinator(conn, co)
	if err != nil {
		s.t.Fatal(err)
	}
	if s.prepare != nil {
		s.prepare(c)
	}
	if err := c.Begin(ctx, "run-"+rand.Text()[:8]); err != nil {
		s.t.Fatal(err)
	}
	o.Engine.Dialer, o.Engine.Stopping = c, c.Stop
	if s.become != nil {
		o.Engine.Dialer = c.Become(*s.become)
	}
	var results []fleet.Result
	for res, err := range connect.Run(ctx, o, s.fleet.Targets(), command) {
		if err != nil {
			s.t.Fatal(err)
		}
		results = append(results, res)
	}
	c.Close()
	return results, c
}

// check asks the oracle.
func (s *site) check(results []fleet.Result) simfleet.Report {
	s.t.Helper()
	_ = s.fleet.Close()
	report := simfleet.Check(s.fleet.Log(), slices.Values(results), s.hosts)
	if !report.OK() {
		s.t.Error(report)
	}
	return report
}

func (s *site) streams(c *Conn) (names []string) {
	s.t.Helper()
	list := c.js.StreamNames(s.t.Context(), jetstream.WithStreamListSubject("log.>"))
	for name := range list.Name() {
		names = append(names, name)
	}
	return names
}

// Two workers run a fleet with faults: the oracle agrees with every result, and the log of a run
// of which everything is known is removed.
func TestTwoWorkers(t *testing.T) {
	faults := []simfleet.Fault{simfleet.FaultReset, simfleet.FaultAuthRefused, simfleet.FaultDropMidOutput, simfleet.FaultExitSignal, simfleet.FaultWrongHostkey}
	s := newSite(t, simfleet.Options{Hosts: 200, Fault: func(i int) simfleet.Fault {
		if i%20 == 7 {
			return faults[i/20%len(faults)]
		}
		return simfleet.FaultNone
	}})
	s.worker("one", nil)
	s.worker("two", nil)
	results, c := s.run(t.Context(), "echo {index} {host}; exit {index|sh}", func(_ *CoordinatorOptions, o *connect.Options) { o.Engine.Fanout = 80 })
	report := s.check(results)
	want := [fleet.NumOutcomes]int{fleet.OutcomeOK: 1, fleet.OutcomeFailed: 189, fleet.OutcomeSignalled: 2, fleet.OutcomeNeverStarted: 6, fleet.OutcomeUnknown: 2}
	if report.Outcomes != want {
		t.Errorf("outcomes %v, want %v", report.Outcomes, want)
	}
	for _, r := range results {
		if r.Outcome.Ran() && (r.Attempt == 0 || r.Took.Total() == 0 || r.Started.IsZero()) {
			t.Errorf("target %d: attempt %d, took %v", r.Target.Index, r.Attempt, r.Took)
		}
	}
	if left := s.streams(c.conn); len(left) > 0 {
		t.Errorf("the streams %v are left", left)
	}
}
