package crashtest

import (
	"path/filepath"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"shoal/fleet"
	"shoal/simfleet"
)

const (
	hosts = 50
	// width leaves several rounds of commands, so that the first end long before
	// the last begin.
	width = "12"
	// text takes from 0 to 90 ms and prints up to 5 KB that no two hosts have in
	// common, some of them compressed in the journal.
	text = "echo begin {index}; sleep 0.0{index}; head -c {index}00 /dev/urandom; echo end {index} >&2"
)

// faults are what hosts do wrong until the fleet is healed, by their numbers.
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

// asked is how many hosts come to see a command.
const asked = hosts - 3 // reset, close-after-kexinit, auth-refused

// variants are flags that change the order of things.
var variants = [][]string{
	nil, nil, nil,
	{"--client", "standard"},
	{"--pipeline", "off"},
	{"--rollout", "1,10%,50%"},
	{"--barrier", "-f", strconv.Itoa(hosts)},
}

// slow is how long hosts take to answer.
var slow = map[int]time.Duration{31: 20 * time.Millisecond, 37: 60 * time.Millisecond, 41: 150 * time.Millisecond}

// A trial is one run and everything that befalls it.
type trial struct {
	t      *testing.T
	dir    string
	fleet  servers
	hosts  int // how many there are
	watch  watch
	healed atomic.Bool // every host is good from now on
	text   string      // the command
	usual  []string    // flags of run and resume
	flags  []string    // those beside them

	sessions int
	told     map[int]fleet.Result // what sessions said of targets that ran, or may have
	intents  map[int]int          // how many intents of each target the journal had when it was last read
}

// servers are what a trial's run meets.
type servers interface {
	// settle waits until they have done with every connection and command of
	// sessions that have ended. Only then is Log whole.
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

// newTrial starts a fleet; more faults are added to the usual ones.
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

// runArgs are the arguments of the run that is to be broken.
func (x *trial) runArgs() []string {
	return append(x.connecting("run", "--hostfile", x.in("hosts")), x.text)
}

// resumeArgs are those of the run that goes on with it.
func (x *trial) resumeArgs() []string { return append(x.connecting("resume", "--past-brake"), "last") }

func (x *trial) connecting(args ...string) []string {
	args = append(append(args, x.usual...), x.flags...)
	return append(args, "-F", "none", "--known-hosts", x.in("kh"), "--identity", x.in("key"), "--no-agent",
		"--state-dir", x.in("state"), "--json")
}
