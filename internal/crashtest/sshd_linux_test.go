package crashtest

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"shoal/fleet"
	"shoal/internal/sshdtest"
	"shoal/simfleet"
)

const (
	sshdHosts = 24
	// failing is the number of failing targets, which come first and trigger
	// brakes.
	failing = 3
	// oneWay is the delay per direction. It has to be long enough that the
	// client's last bytes reach the server before an RST comes back.
	oneWay = 50 * time.Millisecond
	// outputSize is large enough to be cut in many places.
	outputSize = 3000
)

// A serverKind is one of the servers under test.
type serverKind struct {
	start    func(testing.TB, ...sshdtest.Option) *sshdtest.Server
	opts     []sshdtest.Option
	early    bool // sent the command together with the authentication once remembered
	forwards bool // can be a jump host
	long     bool // takes a command of longCommand bytes
}

// A network is how a trial reaches the servers.
type network struct {
	jump   bool // through one of the servers as jump host
	bursts bool // bytes from several servers arrive at the same time
	long   bool // commands exceed what TCP accepts while nobody reads
	big    bool // and Linux's limit for one argument: they go through standard input
}

var (
	openSSH = serverKind{sshdtest.OpenSSH, []sshdtest.Option{sshdtest.WithConfig("MaxStartups 1000")}, true, true, true}
	// Dropbear allows 30 logins at once, and 5 from one address; the relay has
	// many. It closes the connection at a packet above 35,000 bytes.
	dropbear = serverKind{sshdtest.Dropbear, nil, true, true, false}
	// AsyncSSH gets the authentication early, but the command only after its
	// success.
	asyncSSH = serverKind{sshdtest.AsyncSSH, nil, false, false, true}
)

// realServers are one server behind a relay with one address per host.
type realServers struct {
	*sshdtest.Server
	relay   *relay
	witness string // a file to which each command first appends its index
	text    string
}

// newRealTrial starts a server and runs once on every host, so that later
// commands are sent as early as possible. rate is the percentage of connections
// with a fault.
func newRealTrial(t *testing.T, k serverKind, n network, random *rand.Rand, rate int) *trial {
	t.Helper()
	n.jump, n.long = n.jump && k.forwards, n.long && k.long
	n.big = n.long && random.IntN(2) == 0
	x := prepareTrial(t, sshdHosts, "")
	x.usual = []string{"-f", "16"}
	s := &realServers{Server: k.start(t, append([]sshdtest.Option{sshdtest.WithSubreaper()}, k.opts...)...)}
	x.behindRelay(s, n)
	x.learn()
	// The learning connections had no delay and no faults.
	s.relay.mu.Lock()
	defer s.relay.mu.Unlock()
	s.relay.delay = oneWay
	if n.bursts {
		s.relay.burst = oneWay
	}
	s.relay.fault = func() fault {
		if x.healed.Load() || random.IntN(100) >= rate {
			return fault{}
		}
		f := someFault(random)
		if n.long && random.IntN(2) == 0 { // the command cannot be sent whole before that
			f = fault{from: fromClient, afterNewKeys: true, offset: random.Int64N(longCommand), stops: 4 * oneWay, cuts: random.IntN(2) == 0, reset: f.reset}
		}
		return f
	}
	return x
}

// behindRelay puts a server behind a relay, and writes what its client needs.
func (x *trial) behindRelay(s *realServers, n network) {
	x.t.Helper()
	s.witness = filepath.Join(filepath.Dir(s.KeyFile), "witness") // in the home directory
	s.text = "echo {index} >>~/witness; printf '%0" + strconv.Itoa(outputSize) + "d\\n' {index}; sleep 0.0{index}; echo end {index} >&2; [ {index} -ge " + strconv.Itoa(failing) + " ]" +
		" # " + strings.Repeat("long ", 150) // makes early data visible by its size
	x.fleet, x.text = s, s.text
	s.relay = &relay{
		server:    net.JoinHostPort(s.Host.Name, strconv.Itoa(int(s.Host.Port))),
		fault:     func() fault { return fault{} },
		encrypted: func(int) { x.watch.count(false) },
		narrow:    n.long,
	}
	if n.long {
		size := longCommand
		if n.big {
			size *= 3
		}
		s.text += strings.Repeat(strings.Repeat("x", 999)+" ", size/1000) + "x"
		x.text = s.text
	}
	startRelay(x.t, s.relay, x.hosts+1)
	var hosts, known bytes.Buffer
	for i, l := range s.relay.listeners {
		name, port, err := net.SplitHostPort(l.Addr().String())
		x.check(err)
		switch {
		case i < x.hosts:
			fmt.Fprintf(&hosts, "%s:%s\n", name, port)
		case n.jump:
			x.flags = append(x.flags, "-J", name+":"+port)
		}
		fmt.Fprintf(&known, "[%s]:%s %s %s\n", name, port, s.HostKey.Type(), base64.StdEncoding.EncodeToString(s.HostKey.Marshal()))
	}
	key, err := os.ReadFile(s.KeyFile)
	x.check(err)
	x.check(os.WriteFile(x.in("hosts"), hosts.Bytes(), 0o600))
	x.check(os.WriteFile(x.in("kh"), known.Bytes(), 0o600))
	x.check(os.WriteFile(x.in("key"), key, 0o600))
}

// learn connects to every host once, and keeps only the host cache of that.
func (x *trial) learn() {
	x.t.Helper()
	s := x.start(trigger{}, append(x.connecting("run", "--hostfile", x.in("hosts")), "true {index}"))
	s.wait()
	if a := s.account(); a.summary == nil || a.summary.Outcomes[fleet.OutcomeOK] != x.hosts {
		x.t.Fatalf("meeting the hosts: exit code %d: %s", s.code(), s.said())
	}
	x.fleet.settle(x.t)
	x.check(os.Rename(x.in("state/recall"), x.in("recall")))
	x.check(os.RemoveAll(x.in("state")))
	x.check(os.Mkdir(x.in("state"), 0o700))
	x.check(os.Rename(x.in("recall"), x.in("state/recall")))
	x.sessions = 0
}

// settle waits until the relay has no connections and the server no children.
func (s *realServers) settle(t *testing.T) {
	t.Helper()
	s.relay.waitIdle(t)
	s.WaitIdle(t)
}

// Log returns an Exec for each line in the witness, as a simulated fleet
// records a command that ran to its end.
func (s *realServers) Log() []simfleet.Exec {
	text, err := os.ReadFile(s.witness)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		panic(err) // of the test's own file
	}
	var log []simfleet.Exec
	for line := range strings.Lines(string(text)) {
		i, err := strconv.Atoi(strings.TrimSuffix(line, "\n"))
		if err != nil || i >= len(s.relay.listeners) {
			panic(fmt.Sprintf("%q in the witness", line))
		}
		stdout, stderr := fmt.Appendf(nil, "%0*d\n", outputSize, i), fmt.Appendf(nil, "end %d\n", i)
		e := simfleet.Exec{
			ID: uint64(len(log) + 1), Index: i, Host: hostOf(s.relay.listeners[i]),
			Command: strings.ReplaceAll(s.text, "{index}", strconv.Itoa(i)), Accepted: true, Ended: time.Now(),
			Stdout: simfleet.WrittenOf(stdout), Stderr: simfleet.WrittenOf(stderr), HasStatus: true,
		}
		e.Prefixes = [fleet.NumStreams]simfleet.Prefix{fleet.Stdout: simfleet.PrefixOf(stdout), fleet.Stderr: simfleet.PrefixOf(stderr)}
		if i < failing {
			e.Status = 1
		}
		log = append(log, e)
	}
	return log
}

// Close does nothing: the servers end with the test.
func (s *realServers) Close() error { return nil }

func hostOf(l net.Listener) string { return l.Addr().(*net.TCPAddr).IP.String() }

// someFault returns a random fault of a connection.
func someFault(random *rand.Rand) fault {
	f := fault{from: fromServer, afterNewKeys: true, cuts: true, reset: random.IntN(2) == 0}
	inserts := func() []byte { return bytes.Repeat([]byte{byte(random.IntN(256))}, 1+random.IntN(64)) }
	switch random.IntN(6) {
	case 0: // the client's first messages, and the command
		f.from, f.offset = fromClient, random.Int64N(2000)
	case 1:
		f.from, f.afterNewKeys, f.offset = fromClient, false, random.Int64N(4000)
	case 2: // the server's replies, and the output
		f.offset = random.Int64N(outputSize + 2000)
	case 3: // the client reads it together with what triggers the command
		f.inserts, f.cuts = inserts(), false
	case 4:
		f.offset, f.inserts, f.cuts = random.Int64N(1500), inserts(), false
	case 5:
		f.from, f.offset, f.inserts, f.cuts = fromClient, random.Int64N(2000), inserts(), false
	}
	return f
}

// undisturbedRun asserts that a run without faults is correct and that, for
// kinds that allow it, commands are sent before the server can have answered
// the authentication. It returns the duration of the run.
func undisturbedRun(t *testing.T, k serverKind) time.Duration {
	t.Helper()
	x := newRealTrial(t, k, network{}, rand.New(rand.NewPCG(0, 0)), 0)
	r := x.fleet.(*realServers).relay
	var early []int
	r.mu.Lock()
	r.encrypted = func(n int) { early = append(early, n) }
	r.mu.Unlock()
	begin := time.Now()
	s := x.start(trigger{}, x.runArgs())
	s.wait()
	x.verify(s)
	whole, want := 0, 0
	for _, n := range early {
		if n > len(x.text) {
			whole++
		}
	}
	if k.early {
		want = x.hosts
	}
	if len(early) != x.hosts || whole != want {
		t.Errorf("of %d clients, %d sent the command with the authentication, want %d of %d: %v bytes, and the command has %d",
			len(early), whole, want, x.hosts, early, len(x.text))
	}
	x.finish()
	return s.ended.Sub(begin)
}

// A run over real servers in the host cache, which get the command together
// with the authentication, is killed, interrupted or stopped by brakes at
// random times, while connections are cut and altered; then it is resumed. The
// commands themselves count how often they run.
func TestRealServers(t *testing.T) {
	n := int(knob(t, "CRASHTEST_SSHD", 8))
	var length time.Duration
	t.Run("undisturbed", func(t *testing.T) {
		t.Run("OpenSSH", func(t *testing.T) { t.Parallel(); length = undisturbedRun(t, openSSH) })
		t.Run("Dropbear", func(t *testing.T) { t.Parallel(); undisturbedRun(t, dropbear) })
		t.Run("AsyncSSH", func(t *testing.T) { t.Parallel(); undisturbedRun(t, asyncSSH) })
	})
	if t.Failed() {
		return
	}
	disturbances := []struct {
		what string
		do   func(x *trial, random *rand.Rand, length time.Duration, again bool)
	}{
		{"killed", (*trial).killedSometime},
		{"killed at a write", (*trial).killedAtWrite},
		{"told to stop", (*trial).toldToStop},
		{"stopped by a brake", (*trial).braked},
		{"left alone but for its connections", (*trial).undisturbed},
	}
	networks := []network{{bursts: true}, {jump: true}, {}, {long: true}}
	// Periods of four, five and seven produce all pairs.
	kinds := []serverKind{openSSH, openSSH, openSSH, dropbear, openSSH, openSSH, asyncSSH}
	var c executions
	trials(t, n, func(t *testing.T, i int, random *rand.Rand) {
		b := disturbances[i%len(disturbances)]
		x := newRealTrial(t, kinds[i%len(kinds)], networks[i%len(networks)], rand.New(rand.NewPCG(random.Uint64(), 0)), []int{10, 30, 60}[random.IntN(3)])
		for again := 0; again == 0 || !t.Failed() && random.IntN(3) == 0 && !x.whole(x.open()) && !x.lost(x.open()); again++ {
			b.do(x, random, length, again > 0)
			c.add(x.open())
		}
		x.finish()
		if t.Failed() {
			t.Logf("the run was %s", b.what)
		}
	})
	t.Logf("a run takes %v\n%v", length, &c)
}

// executions counts targets by outcome and by how often their command ran. It
// is safe for concurrent use.
type executions struct {
	mu    sync.Mutex
	count map[string]int
}

func (c *executions) add(f finding) {
	runs := make(map[string]int)
	for _, e := range f.log {
		runs[e.Host]++
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.count == nil {
		c.count = make(map[string]int)
	}
	for _, e := range f.entries {
		c.count[fmt.Sprintf("%v (%v), ran %d times", e.Outcome, e.Progress, runs[e.Target.Host.Name])]++
	}
}

func (c *executions) String() string {
	var b strings.Builder
	b.WriteString("targets after each session:")
	for _, kind := range slices.Sorted(maps.Keys(c.count)) {
		fmt.Fprintf(&b, "\n  %5d %s", c.count[kind], kind)
	}
	return b.String()
}

// args returns the arguments of the first session, or of one that resumes it.
func (x *trial) args(again bool) []string {
	if again {
		return x.resumeArgs()
	}
	return x.runArgs()
}

func (x *trial) killedSometime(random *rand.Rand, length time.Duration, again bool) {
	s := x.start(someTrigger(random, length, x.hosts), x.args(again))
	if s.await(length) {
		s.send(syscall.SIGKILL)
	}
	s.wait()
	x.verify(s)
}

func (x *trial) killedAtWrite(random *rand.Rand, _ time.Duration, again bool) {
	s, tr := x.trace(write{nth: 1 + random.IntN(4*x.hosts), after: random.IntN(2) == 0}, x.args(again))
	x.verify(s)
	if x.t.Failed() {
		x.t.Logf("killed at %s", tr.dying)
	}
}

func (x *trial) toldToStop(random *rand.Rand, length time.Duration, again bool) {
	w := ways[random.IntN(len(ways))]
	s := x.start(someTrigger(random, length, x.hosts), x.args(again))
	x.stop(s, w, length, random)
	x.verify(s)
	if x.t.Failed() {
		x.t.Logf("%s, exit code %d: %s", w.name, s.code(), s.said())
	}
}

// brakes stop a run at its first or second failure.
var brakes = [][]string{{"--fail-fast"}, {"--max-fail", "2"}, {"--max-fail", "1"}, {"--fail-fast", "--rollout", "1,30%,100%"}}

func (x *trial) braked(random *rand.Rand, _ time.Duration, again bool) {
	args := x.args(again)
	if !again {
		brake := brakes[random.IntN(len(brakes))]
		args = slices.Insert(args, 1, brake...)
	}
	s := x.start(trigger{}, args)
	s.wait()
	x.verify(s)
}

func (x *trial) undisturbed(_ *rand.Rand, _ time.Duration, again bool) {
	s := x.start(trigger{}, x.args(again))
	s.wait()
	x.verify(s)
}
