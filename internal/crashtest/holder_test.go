package crashtest

import (
	"bytes"
	"math/rand/v2"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"shoal/simfleet"
)

// heldServers are a fleet whose connections stay open when a session has ended: they are settled
// when no run uses the holder and no command runs.
type heldServers struct {
	simulated
	x *trial
}

func (s heldServers) settle(t *testing.T) {
	t.Helper()
	for by := time.Now().Add(guard); ; time.Sleep(time.Millisecond) {
		_, runs := s.x.holder()
		busy := runs > 0
		for _, e := range s.Log() {
			busy = busy || e.Ended.IsZero()
		}
		if !busy {
			return
		}
		if time.Now().After(by) {
			t.Fatalf("after %v the holder or the servers are not done: %+v", guard, s.Stats())
		}
	}
}

// warm is a command that has all hosts' connections held.
const warm = "echo warm"

// Log implements servers. It leaves out the commands that warmed the connections.
func (s heldServers) Log() []simfleet.Exec {
	return slices.DeleteFunc(s.simulated.Log(), func(e simfleet.Exec) bool { return e.Command == warm })
}

// holder returns the process that holds the trial's connections, 0 if there is none, and how many
// runs use it.
func (x *trial) holder() (pid, runs int) {
	x.t.Helper()
	out, err := x.persist("list").Output()
	x.check(err)
	for line := range strings.Lines(string(out)) {
		fields := strings.Fields(line)
		if len(fields) < 5 || fields[len(fields)-1] != x.in("state") {
			continue
		}
		pid, err = strconv.Atoi(fields[0])
		x.check(err)
		runs, _ = strconv.Atoi(fields[3]) // "?" if it is ending
	}
	return pid, runs
}

func (x *trial) persist(args ...string) *exec.Cmd {
	cmd := exec.Command(os.Args[0], append([]string{"persist"}, args...)...)
	cmd.Env = x.environ()
	return cmd
}

// The run, the process that holds its connections, or both are killed at any time, and the run is
// resumed: nothing is lost, and nothing runs twice.
// faults.md: R17
func TestHolderKilledAtRandomTimes(t *testing.T) {
	n := knob(t, "CRASHTEST_HOLDER", 4)
	length := pace(t)
	held, killed := 0, 0
	for i := range int(n) { // one at a time: each has its directory of sockets in the environment
		seed := knob(t, "CRASHTEST_SEED", rand.Uint64())
		t.Run(strconv.Itoa(i), func(t *testing.T) {
			dir, err := os.MkdirTemp("/tmp", "ct") //nolint:usetesting // sockets need a short path
			if err != nil {
				t.Fatal(err)
			}
			t.Setenv("XDG_RUNTIME_DIR", dir)
			random := rand.New(rand.NewPCG(seed, uint64(i))) // not negative
			x := newTrial(t, nil)
			x.fleet = heldServers{x.fleet.(simulated), x}
			x.flags = []string{"--persist", "10m"}
			t.Cleanup(func() {
				if t.Failed() {
					t.Logf("CRASHTEST_SEED=%d", seed)
				}
				_ = x.persist("stop", "--state-dir", x.in("state")).Run() // there may be none
				_ = os.RemoveAll(dir)
			})
			args := x.runArgs()
			first := x.start(trigger{}, append(append(args[:len(args)-1:len(args)-1], "--no-journal"), warm))
			first.wait()
			x.sessions = 0
			for again := 1; again > 0; again = random.IntN(3) {
				s := x.start(someTrigger(random, length+length/10, asked), args)
				if alive := s.await(length); alive {
					what := random.IntN(3)
					if pid, _ := x.holder(); what > 0 && pid > 1 {
						x.check(syscall.Kill(pid, syscall.SIGKILL))
						killed++
					}
					if what < 2 {
						s.send(syscall.SIGKILL)
					}
				}
				s.wait()
				f := x.verify(s)
				for _, r := range s.account().results {
					if c := r.Connection; c != nil && c.Held {
						held++
					}
				}
				if f.notBegun || t.Failed() {
					break
				}
				args = x.resumeArgs()
			}
			x.finish()
			if out, err := x.persist("list").Output(); err != nil || bytes.Contains(out, []byte("?")) {
				t.Errorf("in the end: %s, %v", out, err)
			}
		})
	}
	t.Logf("%d holders were killed, %d results are of held connections", killed, held)
	if held == 0 {
		t.Error("no connection was held")
	}
}
