package bench_test

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"shoal/internal/bench"
	"shoal/internal/bench/benchcli"
	"shoal/internal/bench/benchrecord"
	"shoal/internal/cli/console"
)

// startFleet starts a fleet in a child process that ends with the test.
func startFleet(t *testing.T, change func(*bench.FleetOptions)) (*bench.Fleet, context.Context) {
	t.Helper()
	t.Setenv(role, roleShoal)
	t.Setenv("TMPDIR", t.TempDir())
	o, err := fleetOptions(5)
	if err != nil {
		t.Fatal(err)
	}
	change(&o)
	f, serving, err := bench.StartFleet(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	return f, serving
}

func TestFleetInAChild(t *testing.T) {
	f, serving := startFleet(t, func(*bench.FleetOptions) {})
	const text = "echo hello {host} {index}"
	correct := map[string]int{}
	for p, err := range bench.Run(serving, bench.Options{
		Connect: f.Connect(), Targets: f.Targets, Command: text, Expect: bench.Expected(text),
		Sizes: []int{2, 7}, Strategies: append(benchrecord.Strategies(), benchrecord.Held),
	}) {
		if err != nil {
			t.Fatal(err)
		}
		correct[p.Strategy] += p.Correct
	}
	if diff := cmp.Diff(map[string]int{"serial": 9, "workers": 9, "concurrent": 9, "auto": 9, "held": 9}, correct); diff != "" {
		t.Error(diff)
	}
	if err := f.Close(); err != nil {
		t.Error(err)
	}
	if serving.Err() == nil {
		t.Error("the context goes on after the fleet")
	}
	left, err := os.ReadDir(os.TempDir())
	if err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

// A single server that drops every second connection shows in the points.
func TestFleetOfOneHostThatDrops(t *testing.T) {
	f, serving := startFleet(t, func(o *bench.FleetOptions) {
		o.Hosts, o.MaxStartups, o.Latency, o.Jitter = 1, "4", 5*time.Millisecond, time.Millisecond
	})
	defer func() { _ = f.Close() }()
	for p, err := range bench.Run(serving, bench.Options{
		Connect: f.Connect(), Targets: f.Targets, Command: "true",
		Sizes: []int{20}, Strategies: []benchrecord.Strategy{benchrecord.Concurrent, benchrecord.Auto},
	}) {
		if err != nil {
			t.Fatal(err)
		}
		// Auto starts no more at once than such a server accepts.
		if dropped := p.Reasons["throttled"]; (dropped > 0) != (p.Strategy == "concurrent") || dropped+p.Outcomes["ok"] != 20 {
			t.Errorf("%s: outcomes %v, reasons %v", p.Strategy, p.Outcomes, p.Reasons)
		}
	}
}

// If the fleet exits, the bench ends: later points would measure nothing.
func TestFleetThatDies(t *testing.T) {
	f, serving := startFleet(t, func(*bench.FleetOptions) {})
	if err := f.Kill(); err != nil {
		t.Fatal(err)
	}
	<-serving.Done()
	if cause := context.Cause(serving); !strings.Contains(cause.Error(), "the fleet ended: signal: killed") {
		t.Errorf("the cause is %v", cause)
	}
	if err := f.Close(); err == nil || !strings.Contains(err.Error(), "signal: killed") {
		t.Errorf("Close says %v", err)
	}
}

func TestFleetThatCannotStart(t *testing.T) {
	t.Setenv(role, roleShoal)
	o, err := fleetOptions(0)
	if err != nil {
		t.Fatal(err)
	}
	_, _, err = bench.StartFleet(t.Context(), o)
	if err == nil || !strings.HasPrefix(err.Error(), "starting the fleet: exit status 2: ") || !strings.Contains(err.Error(), "fleet of 0 hosts") {
		t.Errorf("no hosts: %v", err)
	}
	o.Program = []string{filepath.Join(t.TempDir(), "none")}
	if _, _, err = bench.StartFleet(t.Context(), o); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("no program: %v", err)
	}
	if _, _, err = bench.StartFleet(t.Context(), bench.FleetOptions{Hosts: 1}); err == nil {
		t.Error("an empty command line was taken")
	}
}

// The child exits when its parent is killed. The connection to the fleet shows
// it, since only the child's exit closes it.
func TestChildDiesWithItsParent(t *testing.T) {
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	parent := exec.CommandContext(t.Context(), program)
	parent.Env = append(os.Environ(), role+"="+roleParent, "TMPDIR="+t.TempDir())
	stdout, err := parent.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := parent.Start(); err != nil {
		t.Fatal(err)
	}
	address, err := bufio.NewReader(stdout).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	conn, err := new(net.Dialer).DialContext(t.Context(), "tcp", strings.TrimSpace(address))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	if _, err := io.ReadFull(conn, make([]byte, len("SSH-2.0-"))); err != nil {
		t.Fatal(err)
	}
	if err := parent.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = parent.Wait()
	// Only the child's exit closes it; without that, the deadline fails the
	// test.
	if err := conn.SetReadDeadline(time.Now().Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	if _, err := io.Copy(io.Discard, conn); errors.Is(err, os.ErrDeadlineExceeded) {
		t.Error("the child goes on without its parent")
	}
}

// TestCommand runs shoal-bench run from the command line, with its fleet in a
// child.
func TestCommand(t *testing.T) {
	t.Setenv(role, roleShoal)
	t.Setenv("TMPDIR", t.TempDir())
	path := filepath.Join(t.TempDir(), "b.jsonl")
	bench1 := func() (code int, stdout, stderr string) {
		var out, errs bytes.Buffer
		code = benchcli.Main(t.Context(), []string{
			"run", "--sizes", "3,2", "--repeats", "2", "--latency", "1ms", "--serial-max", "2", "--output", path,
		}, console.Stdio{In: strings.NewReader(""), Out: &out, Err: &errs})
		return code, out.String(), errs.String()
	}
	code, stdout, stderr := bench1()
	if code != 0 {
		t.Fatalf("exit code %d: %s", code, stderr)
	}
	var rows []string
	for line := range strings.Lines(stdout) {
		fields := strings.Fields(line)
		rows = append(rows, strings.Join([]string{fields[0], fields[1], fields[len(fields)-1]}, " "))
	}
	wantRows := []string{
		"strategy targets correct", "serial 2 2/2", "workers 2 2/2", "workers 3 3/3",
		"concurrent 2 2/2", "concurrent 3 3/3", "auto 2 2/2", "auto 3 3/3",
	}
	if diff := cmp.Diff(wantRows, rows); diff != "" {
		t.Errorf("%s\n%s", diff, stdout)
	}
	for _, says := range []string{"serial is not run at [3] targets", "1/18 serial, 2 targets: ", "18/18 ", "hint: shoal-bench plot "} {
		if !strings.Contains(stderr, says) {
			t.Errorf("standard error lacks %q:\n%s", says, stderr)
		}
	}
	file, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var entries []benchrecord.Entry
	for e, err := range benchrecord.Read(bytes.NewReader(file)) {
		if err != nil {
			t.Fatal(err)
		}
		entries = append(entries, e)
	}
	warm := 0
	for _, e := range entries[1:] {
		if e.Point.Warmup {
			warm++
		}
	}
	h := entries[0].Header
	if len(entries) != 1+18 || warm != 4 || h.Settings.Command != "echo hello world {index}" || h.Settings.Fleet.Hosts != 3 {
		t.Errorf("%d entries, %d warm-ups, settings %+v", len(entries), warm, h.Settings)
	}
	if code, _, stderr = bench1(); code != 2 || !strings.Contains(stderr, "file exists") {
		t.Errorf("a second time: exit code %d: %s", code, stderr)
	}
	if again, err := os.ReadFile(path); err != nil || !bytes.Equal(file, again) {
		t.Errorf("the file is not what it was: %v", err)
	}
}
