package cli_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"shoal/hosts/expr"
	"shoal/internal/cli"
	"shoal/internal/cli/console"
	"shoal/simfleet"
)

// A watchedTick is what the test reads of a line of shoal watch --json.
type watchedTick struct {
	Tick, Missed, Held int
	Outcomes           map[string]int
	Changes            []struct {
		Kind, Hosts string
		Targets     int
		Now         struct{ Stdout *string }
	}
}

// Over many ticks of hosts of which a tenth misbehave and reboot, no command is started twice in a
// tick, every change of an answer is told, and so is what stops and comes back.
func TestWatchAgreesWithTheOracle(t *testing.T) {
	t.Parallel()
	const hosts, ticks, bad = 200, 50, 20
	var mu sync.Mutex
	random := rand.New(rand.NewPCG(3, 4)) //nolint:gosec // a test
	states := make([][]int, hosts)        // that each host has answered with
	faults := []simfleet.Fault{
		simfleet.FaultNone, simfleet.FaultNone, simfleet.FaultNone, simfleet.FaultReset, simfleet.FaultCloseAfterKexinit, simfleet.FaultSessionRefused,
		simfleet.FaultExecRefused, simfleet.FaultDropMidOutput, simfleet.FaultNoExitStatus, simfleet.FaultDropAfterExit,
	}
	var f *simfleet.Fleet
	started, dir := startFleet(t, simfleet.Options{
		Hosts: hosts, Seed: "watch",
		Fault: func(i int) simfleet.Fault {
			if i >= bad {
				return simfleet.FaultNone
			}
			mu.Lock()
			defer mu.Unlock()
			return faults[random.IntN(len(faults))]
		},
		Play: func(i int, _ string, _ io.Reader, stdout, _ io.Writer) (uint32, bool) {
			mu.Lock()
			state := 0
			if n := len(states[i]); n > 0 {
				state = states[i][n-1]
			}
			if random.IntN(10) == 0 {
				state++
			}
			states[i] = append(states[i], state)
			reboot, all := i < bad && random.IntN(20) == 0, f
			mu.Unlock()
			_, _ = fmt.Fprintf(stdout, "state %d\n", state)
			if reboot {
				all.Reboot(i, 20*time.Millisecond)
			}
			return 0, true
		},
	})
	mu.Lock()
	f = started
	mu.Unlock()
	var out, errs bytes.Buffer
	args := pushArgs(dir, "watch", "--every", "10ms", "--ticks", fmt.Sprint(ticks), "--attempts", "1", "--timeout", "5s", "--dial-timeout", "5s", "--json",
		"--hostfile", filepath.Join(dir, "hosts"), "ask")
	cli.Main(t.Context(), args, console.Stdio{In: strings.NewReader(""), Out: &out, Err: &errs})

	told := make(map[string]string) // what the lines have said of each host so far
	changed := make(map[string]int)
	n, held, ran, maybe := 0, 0, 0, 0
	for line := range bytes.Lines(out.Bytes()) {
		var tick watchedTick
		if err := json.Unmarshal(line, &tick); err != nil {
			t.Fatal(err)
		}
		if n++; tick.Tick != n {
			t.Errorf("line %d is of tick %d", n, tick.Tick)
		}
		held += tick.Held
		targets := 0
		for outcome, count := range tick.Outcomes {
			targets += count
			switch outcome {
			case "ok", "failed", "signalled":
				ran += count
			case "unknown":
				maybe += count
			}
		}
		if targets != hosts {
			t.Errorf("tick %d: %d results", n, targets)
		}
		for _, c := range tick.Changes {
			names, err := expr.Expand(c.Hosts)
			if err != nil || len(names) != c.Targets {
				t.Fatalf("%q: %d, %v", c.Hosts, c.Targets, err)
			}
			for _, name := range names {
				if c.Kind == "changed" {
					changed[name]++
				}
				if told[name] = "nothing"; c.Now.Stdout != nil {
					told[name] = *c.Now.Stdout
				}
			}
		}
	}
	if n != ticks || held < (hosts-bad)*(ticks-1) {
		t.Errorf("%d ticks, %d times on a held connection\n%.2000s", n, held, errs.String())
	}
	execs := make([]int, hosts)
	all := 0
	for _, e := range endedLog(f) {
		if e.Accepted {
			execs[e.Index]++
			all++
		}
	}
	if all < ran || all > ran+maybe {
		t.Errorf("the servers saw %d commands; %d ran, and %d may have", all, ran, maybe)
	}
	mu.Lock()
	defer mu.Unlock()
	for i := range hosts {
		name := f.Host(i).String()
		if execs[i] > ticks || i >= bad && execs[i] != ticks {
			t.Errorf("%s: %d commands in %d ticks", name, execs[i], ticks)
		}
		if i < bad {
			if told[name] != "nothing" && !strings.HasPrefix(told[name], "state ") {
				t.Errorf("%s: told %q", name, told[name])
			}
			continue
		}
		steps := states[i][ticks-1] - states[i][0]
		if last := fmt.Sprintf("state %d\n", states[i][ticks-1]); told[name] != last || changed[name] != steps {
			t.Errorf("%s: told %q and %d changes, want %q and %d", name, told[name], changed[name], last, steps)
		}
	}
}

// The first signal lets the tick end, however long that takes; a second one aborts it, and what it
// has started is unknown.
func TestAbortWatch(t *testing.T) {
	ours := make(chan os.Signal, 100) // signals after the end of the watch must not end the test
	signal.Notify(ours, syscall.SIGTERM)
	defer signal.Stop(ours)
	f, dir := startFleet(t, simfleet.Options{Hosts: 3})
	var out, errs bytes.Buffer
	code := make(chan int)
	args := pushArgs(dir, "watch", "--every", "1h", "--json", "--hostfile", filepath.Join(dir, "hosts"), "sleep 3600")
	go func() {
		code <- cli.Main(t.Context(), args, console.Stdio{In: strings.NewReader(""), Out: &out, Err: &errs})
	}()
	for f.Stats().Execs < 3 {
		time.Sleep(time.Millisecond)
	}
	for ended := false; !ended; {
		if err := syscall.Kill(os.Getpid(), syscall.SIGTERM); err != nil {
			t.Fatal(err)
		}
		select {
		case got := <-code:
			if ended = true; got != console.ExitInterrupted {
				t.Errorf("exit code %d", got)
			}
		case <-time.After(50 * time.Millisecond): // signals closer together may be merged
		}
	}
	for _, want := range []string{`"tick":1,`, `"outcomes":{"unknown":3}`} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("no %s in\n%s", want, out.String())
		}
	}
	for _, want := range []string{"terminated: the watch ends with the tick that goes on", "aborting: ", "; last 3 unknown"} {
		if !strings.Contains(errs.String(), want) {
			t.Errorf("no %q in\n%s", want, errs.String())
		}
	}
}

// A real server is logged in to once.
func TestWatchOnAServer(t *testing.T) {
	t.Parallel()
	f := newFarSide(t)
	code, stdout, stderr := f.shoal(t, "watch", "--every", "50ms", "--ticks", "5", "--timeout", "60", "--dial-timeout", "60", "--mask", "all", "-w", f.host(), "date; echo same >&2")
	expect(t, "watch", 0, code, stdout, stderr, "tick 1: first answers; 1 ok", "same")
	if strings.Contains(stdout, "tick 2") || !strings.Contains(stderr, "5 ticks in ") {
		t.Errorf("%s%s", stdout, stderr)
	}
	if n := strings.Count(f.server.Log(), "Accepted publickey"); n != 1 {
		t.Errorf("%d logins", n)
	}
}
