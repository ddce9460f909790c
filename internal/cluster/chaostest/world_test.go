package chaostest

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	xssh "golang.org/x/crypto/ssh"

	"shoal/fleet"
	"shoal/internal/cli/console"
	"shoal/internal/journal"
	"shoal/simfleet"
)

// A world is a fleet, its NATS servers, its workers, and one run.
type world struct {
	t       testing.TB
	dir     string
	hosts   int
	room    int // of each worker
	command string
	fleet   *simfleet.Fleet
	servers []*natsServer
	front   *line // the coordinator's

	mu          sync.Mutex
	began       int        // commands
	grew        sync.Cond  // signalled when began grows, or over is set
	over        bool       // the run has ended
	workers     []*worker  // that are there
	coordinator *process   // nil between two
	processes   []*process // all that were started
	started     int
	events      []*event
	unbegun     int // unknown hosts that an owner had written down, and that ran nothing
}

// An event is what a fault did, and when.
type event struct {
	fault    string
	from, to time.Time
	text     string
	unknown  bool // hosts whose commands ran then may stay unknown

	// The unknown hosts that it explains: their commands ran when it happened, or had ended before.
	running, ended int
	longest        time.Duration // of those that had ended, before the fault
}

// A natsServer is a process that is started again under the same name.
type natsServer struct {
	w       *world
	name    string
	config  string // a file; "" means one server alone
	listen  string
	process *process
	fronts  []*proxy // that stand before it
}

// A line is how a process reaches the servers: a proxy for each.
type line struct{ proxies []*proxy }

func (l *line) url() string {
	urls := make([]string, len(l.proxies))
	for i, p := range l.proxies {
		urls[i] = p.url()
	}
	return strings.Join(urls, ",")
}

type worker struct {
	process *process
	line    *line
}

// newWorld starts a fleet, one server or three, and three workers.
func newWorld(t *testing.T, hosts, room, servers int, command string) *world {
	t.Helper()
	w := newFleet(t, hosts, room, command)
	w.startServers(servers)
	w.front = w.newLine()
	for range 3 {
		w.startWorker()
	}
	return w
}

// newFleet starts a fleet, and writes what reaching it needs.
func newFleet(t testing.TB, hosts, room int, command string) *world {
	t.Helper()
	w := &world{t: t, dir: t.TempDir(), hosts: hosts, room: room, command: command}
	w.grew.L = &w.mu
	t.Cleanup(w.end)
	var err error
	w.fleet, err = simfleet.Start(t.Context(), simfleet.Options{Hosts: hosts, Oracle: func(e simfleet.Exec) {
		if e.Ended.IsZero() {
			w.mu.Lock()
			defer w.mu.Unlock()
			w.began++
			w.grew.Broadcast()
		}
	}})
	if err != nil {
		t.Fatal(err)
	}
	for name, write := range map[string]func(io.Writer) error{"key": w.fleet.WriteKey, "known_hosts": w.fleet.WriteKnownHosts, "hosts": w.fleet.WriteHosts} {
		var text strings.Builder
		if err := write(&text); err != nil {
			t.Fatal(err)
		}
		w.write(name, text.String())
	}
	key, err := os.ReadFile(w.in("key"))
	if err != nil {
		t.Fatal(err)
	}
	signer, err := xssh.ParsePrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	w.write("signers", "ops "+string(xssh.MarshalAuthorizedKey(signer.PublicKey())))
	return w
}

func (w *world) in(name string) string { return filepath.Join(w.dir, name) }

func (w *world) write(name, text string) {
	w.t.Helper()
	if err := os.WriteFile(w.in(name), []byte(text), 0o600); err != nil {
		w.t.Fatal(err)
	}
}

// startServers starts this many servers. Several have an address each, on which nobody else has a port.
func (w *world) startServers(n int) {
	w.t.Helper()
	var routes []string
	for i := range n {
		s := &natsServer{w: w, name: fmt.Sprint("server", i), listen: "127.0.0.1:0"}
		if n > 1 {
			address := fmt.Sprintf("127.88.%d.%d", os.Getpid()%250, i+1)
			l, err := net.Listen("tcp", address+":0")
			if err != nil {
				w.t.Skipf("three servers need an address each: %v", err)
			}
			routes = append(routes, "nats://"+l.Addr().String())
			_ = l.Close()
			s.listen, s.config = address+":0", w.in(s.name+".conf")
		}
		w.servers = append(w.servers, s)
	}
	for i, s := range w.servers {
		if n > 1 {
			w.write(s.name+".conf", fmt.Sprintf("cluster { name: chaos, listen: %q, routes: [%s] }\n", strings.TrimPrefix(routes[i], "nats://"), strings.Join(routes, ", ")))
		}
	}
	for _, s := range w.servers {
		s.start()
	}
	for _, s := range w.servers {
		s.ready()
	}
}

func (s *natsServer) start() {
	args := []string{"--listen", s.listen, "--store", s.w.in(s.name)}
	if s.config != "" {
		args = append(args, "--config", s.config, "--name", s.name)
	}
	s.process = s.w.start(asHub, s.name, args...)
}

// ready waits until the server serves, and has its proxies lead to it. A server of a cluster in which
// nobody else is serves too.
func (s *natsServer) ready() {
	s.w.t.Helper()
	url, _, _ := strings.Cut(s.process.says(s.w.t, "NATS is at nats://"), ",")
	s.w.mu.Lock()
	defer s.w.mu.Unlock()
	s.listen = url // the same port the next time
	for _, p := range s.fronts {
		p.to(url)
	}
}

func (s *natsServer) restart() {
	s.w.t.Helper()
	s.start()
	s.ready()
}

func (w *world) newLine() *line {
	l := new(line)
	for _, s := range w.servers {
		p := newProxy(w.t)
		p.to(s.listen)
		w.mu.Lock()
		s.fronts = append(s.fronts, p)
		w.mu.Unlock()
		l.proxies = append(l.proxies, p)
	}
	return l
}

func (w *world) startWorker() *worker {
	w.t.Helper()
	l := w.newLine()
	w.mu.Lock()
	name := fmt.Sprint("worker", w.started)
	w.mu.Unlock()
	p := w.start(asShoal, name, "worker", "--cluster", l.url(), "--allow-signers", w.in("signers"), "--name", name,
		"-F", "none", "--identity", w.in("key"), "--known-hosts", w.in("known_hosts"), "--no-agent", "-f", fmt.Sprint(w.room))
	made := &worker{p, l}
	w.mu.Lock()
	w.workers = append(w.workers, made)
	w.mu.Unlock()
	return made
}

// take removes a worker from those that faults may hit.
func (w *world) take(i int) *worker {
	w.mu.Lock()
	defer w.mu.Unlock()
	taken := w.workers[i%len(w.workers)]
	w.workers = slices.DeleteFunc(w.workers, func(other *worker) bool { return other == taken })
	return taken
}

func (w *world) giveBack(taken *worker) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.workers = append(w.workers, taken)
}

// await waits until this many commands have begun or the run has ended, and reports which.
func (w *world) await(commands int) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	for w.began < commands && !w.over {
		w.grew.Wait()
	}
	return !w.over
}

// pause waits for d, or until the run has ended.
func (w *world) pause(d time.Duration) {
	alarm := time.AfterFunc(d, func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.grew.Broadcast()
	})
	defer alarm.Stop()
	until := time.Now().Add(d)
	w.mu.Lock()
	defer w.mu.Unlock()
	for time.Now().Before(until) && !w.over {
		w.grew.Wait()
	}
}

// current returns the process that is the run's coordinator now, or nil.
func (w *world) current() *process {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.coordinator
}

// session runs shoal with these arguments as the coordinator.
func (w *world) session(args ...string) *process {
	w.t.Helper()
	p := w.start(asShoal, args[0], append([]string{args[0], "--cluster", w.front.url(), "--state-dir", w.in("state")}, args[1:]...)...)
	w.mu.Lock()
	w.coordinator = p
	w.mu.Unlock()
	p.wait()
	w.mu.Lock()
	w.coordinator = nil
	w.mu.Unlock()
	return p
}

// run runs the command on all hosts, and attaches to and resumes the run until nothing is left.
func (w *world) run() {
	w.t.Helper()
	run := []string{"run", "--sign-key", w.in("key"), "-F", "none", "-l", "chaos", "--hostfile", w.in("hosts"), w.command}
	last := w.session(run...)
	attach := last.wasKilled()
	for sessions := 0; ; sessions++ {
		entries := w.read()
		left, unknown := 0, 0
		for i := range entries {
			if journal.Resumable(&entries[i]) {
				left++
			} else if journal.Unknown(&entries[i]) {
				unknown++
			}
		}
		switch {
		case sessions > 40:
			w.t.Fatalf("after %d sessions %d hosts are left, %d unknown", sessions, left, unknown)
		case len(entries) == 0: // killed before it had a run
			if last = w.session(run...); last.cmd.ProcessState.ExitCode() == console.ExitUsage {
				w.t.Fatalf("the run does not begin: %s", last.said())
			}
			attach = last.wasKilled()
			continue
		case unknown > 0 && attach:
			last = w.session("attach", "last")
			if strings.Contains(last.said(), "has a coordinator, which is alive") { // NATS has not noticed that it is gone
				time.Sleep(100 * time.Millisecond)
				sessions--
			} else {
				attach = last.wasKilled()
			}
			continue
		}
		if left == 0 {
			return
		}
		last = w.session("resume", "last", "--sign-key", w.in("key"))
		attach = last.wasKilled()
	}
}

// collect gets what workers know of hosts that are unknown, from all logs of the run, now that nothing is
// broken any more.
func (w *world) collect() {
	w.t.Helper()
	for range 20 {
		entries := w.read()
		if !slices.ContainsFunc(entries, func(e journal.Entry) bool { return journal.Unknown(&e) }) {
			return
		}
		if p := w.session("attach", "--forget", "last"); strings.Contains(p.said(), "NATS has no log") {
			return
		}
	}
	w.t.Error("the logs of the run stay in NATS")
}

// finish tells the faults that the run has ended.
func (w *world) finish() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.over = true
	w.grew.Broadcast()
}

// read reads the journal.
func (w *world) read() (entries []journal.Entry) {
	w.t.Helper()
	if !journal.Exists(w.in("state")) {
		return nil
	}
	j, err := journal.Open(w.t.Context(), w.in("state"), journal.Options{})
	if err != nil {
		w.t.Fatal(err)
	}
	defer func() { _ = j.Close() }()
	for info, err := range j.Runs(w.t.Context(), journal.Filter{Limit: 1}) {
		if err != nil {
			w.t.Fatal(err)
		}
		if info.State == journal.Incomplete {
			return nil
		}
		for e, err := range j.Show(w.t.Context(), info.Run, journal.All) {
			if err != nil {
				w.t.Fatal(err)
			}
			entries = append(entries, e)
		}
		report, err := j.Verify(w.t.Context(), info.Run)
		if err != nil {
			w.t.Fatal(err)
		}
		if !report.OK() {
			w.t.Errorf("the journal is damaged: %v", report.Problems)
		}
	}
	return entries
}

// note records what a fault did from then until now.
func (w *world) note(from time.Time, fault string, unknown bool, format string, args ...any) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.events = append(w.events, &event{fault: fault, from: from, to: time.Now(), text: fmt.Sprintf(format, args...), unknown: unknown})
}

// suffered returns the number of faults that have hit something and are over.
func (w *world) suffered() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.events)
}

// slack is how long before a fault, and after it, what it hit may have been under way: records wait for
// others, and signs of life are looked for at intervals.
const slack = 8 * time.Second

// check compares the journal with what the hosts saw, and returns the number of unknown hosts.
func (w *world) check(entries []journal.Entry) (unknown int) {
	w.t.Helper()
	_ = w.fleet.Close()
	log := w.fleet.Log()
	results := make([]fleet.Result, len(entries))
	for i := range entries {
		results[i] = entries[i].Result
	}
	report := simfleet.Check(log, slices.Values(results), w.hosts)
	if !report.OK() {
		w.t.Error(report)
	}
	ran := make(map[int]simfleet.Exec)
	for _, e := range log {
		ran[e.Index] = e
	}
	for _, r := range results {
		switch {
		case r.Outcome == fleet.OutcomeOK:
		case r.Outcome != fleet.OutcomeUnknown:
			w.t.Errorf("host %d is %s, %s: %v", r.Target.Index, r.Outcome, r.Reason, r.Err)
		default:
			unknown++
			if e, did := ran[r.Target.Index]; !w.explained(e, did) {
				w.t.Errorf("host %d is unknown, %s, without a fault that explains it: %v; it ran: %t, from %v to %v", r.Target.Index, r.Reason, r.Err, did, e.Received, e.Ended)
			}
		}
	}
	if len(results) != w.hosts {
		w.t.Errorf("%d results of %d hosts", len(results), w.hosts)
	}
	return unknown
}

// explained reports whether a fault was so near the command that nobody can know what came of it, and counts the host as that of
// the nearest.
func (w *world) explained(e simfleet.Exec, did bool) bool {
	var nearest *event
	distance := slack
	for _, v := range w.events {
		if !v.unknown {
			continue
		}
		if !did {
			w.unbegun++
			return true
		}
		if d := max(0, w.stalledSince(v.from).Sub(e.Ended), e.Received.Sub(v.from)); d < distance {
			nearest, distance = v, d
		}
	}
	if nearest == nil {
		return false
	}
	if before := nearest.from.Sub(e.Ended); before > 0 {
		nearest.ended, nearest.longest = nearest.ended+1, max(nearest.longest, before)
	} else {
		nearest.running++
	}
	return true
}

// stalledSince returns from when on workers may have held results at this time that they could not store: a command that
// ended long before its worker was killed is not known if the server was stopped in between.
func (w *world) stalledSince(at time.Time) time.Time {
	since := at
	for moved := true; moved; {
		moved = false
		for _, v := range w.events {
			stalls := slices.ContainsFunc(faults, func(f fault) bool { return f.stalls && f.name == v.fault })
			if stalls && v.from.Before(since) && v.to.After(since.Add(-slack)) {
				since, moved = v.from, true
			}
		}
	}
	return since
}

// explanations says which faults explain the unknown hosts, as check has found.
func (w *world) explanations() string {
	var list []string
	for _, e := range w.events {
		if e.running > 0 {
			list = append(list, fmt.Sprintf("%s: %d ran", e.text, e.running))
		}
		if e.ended > 0 {
			list = append(list, fmt.Sprintf("%s: %d had ended at most %d ms before", e.text, e.ended, e.longest.Milliseconds()))
		}
	}
	if w.unbegun > 0 {
		list = append(list, fmt.Sprintf("%d were written down and did not begin", w.unbegun))
	}
	if len(list) == 0 {
		return ""
	}
	return " (" + strings.Join(list, "; ") + ")"
}

// end ends all processes. What they said is shown if the test has failed, and kept if the environment says where.
func (w *world) end() {
	w.mu.Lock()
	w.over = true
	w.grew.Broadcast()
	all := slices.Clone(w.processes)
	w.mu.Unlock()
	for _, p := range all {
		_ = p.cmd.Process.Signal(syscall.SIGKILL)
		<-p.ended
	}
	if w.fleet != nil {
		_ = w.fleet.Close()
	}
	if !w.t.Failed() {
		return
	}
	for _, e := range w.events {
		w.t.Logf("%s to %s: %s", e.from.Format("15:04:05.000"), e.to.Format("15:04:05.000"), e.text)
	}
	for _, p := range all {
		if said := p.said(); said != "" {
			w.t.Logf("%s: %s", p.name, said[:min(len(said), 4000)])
		}
	}
	if to := os.Getenv("CHAOS_KEEP"); to != "" && w.fleet != nil {
		if err := w.keep(to); err != nil {
			w.t.Errorf("keeping what the run has left: %v", err)
		}
	}
}

// keep moves everything that the run has left to a directory: what the processes said, the stores of the servers, the journal,
// and what the hosts saw.
func (w *world) keep(to string) error {
	saw, err := os.Create(w.in("saw.jsonl"))
	if err != nil {
		return err
	}
	if err := errors.Join(simfleet.WriteLog(saw, w.fleet.Log()), saw.Close(), os.MkdirAll(to, 0o700)); err != nil {
		return err
	}
	kept := filepath.Join(to, strings.ReplaceAll(w.t.Name(), "/", "-"))
	if err := os.Rename(w.dir, kept); err != nil { // on the same file system, where TMPDIR says
		return err
	}
	w.t.Logf("kept in %s", kept)
	return nil
}

// asks connects to a server that lives, for what only an administrator of NATS does.
func (w *world) asks(do func(nc *nats.Conn, js jetstream.JetStream) error) error {
	w.mu.Lock()
	var urls []string
	for _, s := range w.servers {
		urls = append(urls, "nats://"+s.listen)
	}
	w.mu.Unlock()
	nc, err := nats.Connect(strings.Join(urls, ","), nats.Timeout(2*time.Second))
	if err != nil {
		return err
	}
	defer nc.Close()
	js, err := jetstream.New(nc)
	if err != nil {
		return err
	}
	return do(nc, js)
}
