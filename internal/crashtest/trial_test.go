package crashtest

import (
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"shoal/fleet"
	"shoal/simfleet"
)

const (
	hosts = 50
	// width is small enough for several rounds of commands: the first end long
	// before the last begin.
	width = "12"
	// text takes 0 to 90 ms and prints up to 5 KB that differ on every host;
	// the journal compresses some of them.
	text = "echo begin {index}; sleep 0.0{index}; head -c {index}00 /dev/urandom; echo end {index} >&2"
)

// longCommand is close to Linux's limit for one argument, 128 KiB.
const longCommand = 120 << 10

// faults are the hosts' faults until the fleet is healed, by number.
var faults = map[int]simfleet.Fault{
	3:  simfleet.FaultReset,
	7:  simfleet.FaultExecRefused,
	11: simfleet.FaultDropMidOutput,
	13: simfleet.FaultNoExitStatus,
	17: simfleet.FaultCloseAfterKexinit,
	19: simfleet.FaultDropAfterExit,
	23: simfleet.FaultAuthRefused,
	29: simfleet.FaultExitSignal,
}

// asked is the number of hosts that receive a command.
const asked = hosts - 3 // reset, close-after-kexinit, auth-refused

// variants are flags that change the order of events.
var variants = [][]string{
	nil, nil, nil,
	{"--client", "standard"},
	{"--pipeline", "off"},
	{"--rollout", "1,10%,50%"},
	{"--barrier", "-f", strconv.Itoa(hosts)},
}

// slow is the response time of slow hosts.
var slow = map[int]time.Duration{31: 20 * time.Millisecond, 37: 60 * time.Millisecond, 41: 150 * time.Millisecond}

// A trial is one run with everything that happens to it.
type trial struct {
	files  int // how many files a process may have open; 0: as usual
	t      *testing.T
	dir    string
	fleet  servers
	hosts  int // number of hosts
	watch  watch
	healed atomic.Bool // no host has a fault any more
	text   string      // the command
	usual  []string    // flags of run and resume
	flags  []string    // additional flags

	sessions int
	told     map[int]fleet.Result // what sessions printed about targets that ran, or may have
	intents  map[int]int          // number of intents per target when the journal was last read
}

// servers are the hosts of a trial's run.
type servers interface {
	// settle waits until the servers have finished all connections and commands
	// of ended sessions. Only then is Log complete.
	settle(t *testing.T)
	Log() []simfleet.Exec
	Close() error
}

// simulated is a fleet in the test's own process.
type simulated struct{ *simfleet.Fleet }

func (s simulated) settle(t *testing.T) {
	t.Helper()
	for by := time.Now().Add(guard); ; time.Sleep(time.Millisecond) {
		busy := s.Stats().Open > 0
		for _, e := range s.Log() {
			busy = busy || e.Ended.IsZero()
		}
		if !busy {
			return
		}
		if time.Now().After(by) {
			t.Fatalf("after %v the servers are not done: %+v", guard, s.Stats())
		}
	}
}

// prepareTrial makes a trial without servers.
func prepareTrial(t *testing.T, n int, text string) *trial {
	t.Helper()
	return &trial{
		t: t, dir: t.TempDir(), hosts: n, text: text,
		told: make(map[int]fleet.Result), intents: make(map[int]int),
	}
}

// newTrial starts a fleet with the usual faults and more.
func newTrial(t *testing.T, more map[int]simfleet.Fault) *trial {
	t.Helper()
	x := prepareTrial(t, hosts, text)
	x.usual = []string{"-f", width, "--attempts", "1"}
	f, err := simfleet.Start(t.Context(), simfleet.Options{
		Hosts: hosts, Seed: "crashtest", Latency: time.Millisecond, Jitter: 2 * time.Millisecond,
		Oracle: x.watch.record,
		Fault: func(i int) simfleet.Fault {
			time.Sleep(slow[i])
			if x.healed.Load() {
				return simfleet.FaultNone
			}
			if f, ok := more[i]; ok {
				return f
			}
			return faults[i]
		},
	})
	x.check(err)
	t.Cleanup(func() { _ = f.Close() })
	x.fleet = simulated{f}
	writeFleet(t, f, x.dir)
	return x
}

func (x *trial) in(name string) string { return filepath.Join(x.dir, name) }

func (x *trial) check(err error) {
	x.t.Helper()
	if err != nil {
		x.t.Fatal(err)
	}
}

// runArgs returns the arguments of the first run.
func (x *trial) runArgs() []string {
	args, text := x.connecting("run", "--hostfile", x.in("hosts")), x.text
	for len(text) > longCommand { // Linux's limit holds here too
		i := strings.LastIndexByte(text[:longCommand], ' ')
		args, text = append(args, text[:i]), text[i+1:]
	}
	return append(args, text)
}

// resumeArgs returns the arguments that resume the run.
func (x *trial) resumeArgs() []string { return append(x.connecting("resume", "--past-brake"), "last") }

func (x *trial) connecting(args ...string) []string {
	args = append(append(args, x.usual...), x.flags...)
	return append(args, "-F", "none", "--known-hosts", x.in("kh"), "--identity", x.in("key"), "--no-agent",
		"--state-dir", x.in("state"), "--json")
}
