package crashtest

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"shoal/fleet"
	"shoal/record"
	"shoal/simfleet"
)

// limit is the time limit of each phase in BenchmarkMixed and BenchmarkAlone. A thousand
// floods on the link that they share may reach it before the fault's own end: see check.
const limit = 5 * time.Second

// BenchmarkMixed runs on 9,000 good hosts alone, and on them among 25 hosts for each fault of the
// protocol, with another seed each time. It compares when 99 % of the good hosts had their results,
// and when the last had, with the same in the run without the others. The oracle judges every result.
//
// CRASHTEST_GOOD and CRASHTEST_EACH are the numbers of hosts, CRASHTEST_SEED the first seed.
func BenchmarkMixed(b *testing.B) {
	good, each, first := int(knob(b, "CRASHTEST_GOOD", 9000)), int(knob(b, "CRASHTEST_EACH", 25)), knob(b, "CRASHTEST_SEED", 1)
	for n := range uint64(5) {
		b.Run(fmt.Sprint("seed-", first+n), func(b *testing.B) {
			for b.Loop() {
				benchmarkMixed(b, good, each, fmt.Sprint(first+n))
			}
		})
	}
}

func benchmarkMixed(b *testing.B, good, each int, seed string) {
	one, err := simfleet.Mix(seed, 1000, 1)
	if err != nil {
		b.Fatal(err)
	}
	kinds := len(badOf(1000, one))
	total := good + kinds*each
	fault, err := simfleet.Mix(seed, total, each)
	if err != nil {
		b.Fatal(err)
	}
	isGood := func(host int) bool { return fault(host) == simfleet.FaultNone }
	args := []string{"--hosts", strconv.Itoa(total), "--seed", seed, "--each-fault", strconv.Itoa(each)}
	var seen [2]timing
	for i, mixed := range []bool{false, true} {
		f := serve(b, args...)
		hostfile := filepath.Join(f.dir, "hosts")
		if !mixed {
			f.keep(hostfile, isGood)
		}
		seen[i] = f.run(hostfile, isGood)
		seen[i].others = f.check(args...)
		seen[i].serving = f.cmd.ProcessState.UserTime() + f.cmd.ProcessState.SystemTime()
		if len(seen[i].good) != good {
			b.Errorf("%d of %d good hosts are ok", len(seen[i].good), good)
		}
	}
	clean, mixed := seen[0], seen[1]
	b.ReportMetric(float64(kinds), "kinds")
	b.ReportMetric(float64(mixed.results), "results")
	b.ReportMetric(float64(mixed.others), "others")
	b.ReportMetric(clean.at(0.99).Seconds(), "clean-p99-s")
	b.ReportMetric(clean.at(1).Seconds(), "clean-last-s")
	b.ReportMetric(mixed.at(0.99).Seconds()/clean.at(0.99).Seconds(), "p99-ratio")
	b.ReportMetric(mixed.at(1).Seconds()/clean.at(1).Seconds(), "last-ratio")
	b.ReportMetric(clean.cpu.Seconds(), "clean-client-cpu-s")
	b.ReportMetric(mixed.cpu.Seconds(), "mixed-client-cpu-s")
	b.ReportMetric(clean.serving.Seconds(), "clean-servers-cpu-s")
	b.ReportMetric(mixed.serving.Seconds(), "mixed-servers-cpu-s")
	b.ReportMetric(mixed.at(0.5).Seconds()/clean.at(0.5).Seconds(), "p50-ratio")
	b.ReportMetric(float64(clean.peak>>20), "clean-MiB")
	b.ReportMetric(float64(mixed.peak>>20), "mixed-MiB")
}

// BenchmarkAlone runs on many hosts that all have the same fault, for each fault of the protocol,
// after a run on as many good ones. It reports the client's memory as a multiple of theirs (the output
// that is kept is a part of it), and how long after the last deadline of a host the run ended, which is negative if no host needed its
// deadline. The oracle judges every result.
//
// CRASHTEST_ALONE is the number of hosts.
func BenchmarkAlone(b *testing.B) {
	hosts := int(knob(b, "CRASHTEST_ALONE", 300))
	all, everywhere := func(int) bool { return true }, addresses(b, 0, hosts)
	run := func(b *testing.B, fault simfleet.Fault) timing {
		args := []string{"--hosts", strconv.Itoa(hosts), "--seed", "alone"}
		if fault != simfleet.FaultNone {
			args = append(args, "--fault", string(fault)+"="+everywhere)
		}
		f := serve(b, args...)
		seen := f.run(filepath.Join(f.dir, "hosts"), all)
		seen.others = f.check(args...)
		seen.serving = f.cmd.ProcessState.UserTime() + f.cmd.ProcessState.SystemTime()
		if seen.results != hosts {
			b.Errorf("%d results of %d hosts", seen.results, hosts)
		}
		return seen
	}
	var good timing
	for _, fault := range append([]simfleet.Fault{simfleet.FaultNone}, simfleet.Faults()...) {
		name := string(fault)
		if fault == simfleet.FaultNone {
			name = "good"
		}
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				seen := run(b, fault)
				if fault == simfleet.FaultNone {
					good = seen
				}
				b.ReportMetric(float64(seen.peak>>10)/1024, "MiB")
				b.ReportMetric(float64(seen.kept>>10)/1024, "output-MiB")
				if good.peak > 0 {
					b.ReportMetric(float64(seen.peak)/float64(good.peak), "of-good")
				}
				b.ReportMetric(float64(seen.cpu.Microseconds())/float64(hosts), "client-cpu-µs/host")
				b.ReportMetric(float64(seen.serving.Microseconds())/float64(hosts), "server-cpu-µs/host")
				b.ReportMetric(seen.took.Seconds(), "run-s")
				b.ReportMetric((seen.took - seen.deadline).Seconds(), "late-s")
				b.ReportMetric(float64(seen.others), "others")
			}
		})
	}
}

// badOf returns the numbers of the hosts that have a fault.
func badOf(hosts int, fault func(int) simfleet.Fault) (bad []int) {
	for i := range hosts {
		if fault(i) != simfleet.FaultNone {
			bad = append(bad, i)
		}
	}
	return bad
}

// An outside is a fleet in a process of its own.
type outside struct {
	b   *testing.B
	dir string // hosts, kh, key; seen.jsonl is the oracle's, results.jsonl the run's
	cmd *exec.Cmd
}

// program is a command line of shoal.
func program(b *testing.B, args ...string) *exec.Cmd {
	b.Helper()
	cmd := exec.CommandContext(b.Context(), os.Args[0], args...)
	cmd.Env = append(os.Environ(), asShoal+"=1")
	cmd.WaitDelay = guard
	return cmd
}

// serve starts a fleet.
func serve(b *testing.B, args ...string) *outside {
	b.Helper()
	f := &outside{b: b, dir: b.TempDir()}
	in := func(name string) string { return filepath.Join(f.dir, name) }
	f.cmd = program(b, append([]string{
		"fleet", "--latency", "2ms", "--jitter", "1ms", "--oracle", in("seen.jsonl"),
		"--write-known-hosts", in("kh"), "--write-hosts", in("hosts"), "--write-key", in("key"),
	}, args...)...)
	stdout, err := f.cmd.StdoutPipe()
	if err == nil {
		err = f.cmd.Start()
	}
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(f.stop)
	if line, err := bufio.NewReader(stdout).ReadString('\n'); err != nil { // it serves
		b.Fatal(line, err)
	}
	return f
}

// stop ends the fleet, after which the oracle's log is whole.
func (f *outside) stop() {
	if f.cmd.ProcessState == nil {
		_ = f.cmd.Process.Signal(syscall.SIGINT)
		_ = f.cmd.Wait() // its exit status says that it was interrupted
	}
}

// keep removes hosts from a file of hosts.
func (f *outside) keep(hostfile string, which func(host int) bool) {
	f.b.Helper()
	text, err := os.ReadFile(hostfile)
	if err != nil {
		f.b.Fatal(err)
	}
	var kept []string
	for _, name := range strings.Fields(string(text)) {
		if i, err := simfleet.Index(name); err != nil {
			f.b.Fatal(err)
		} else if which(i) {
			kept = append(kept, name)
		}
	}
	writeLines(f.b, hostfile, kept)
}

// A timing is what a run looked like from outside.
type timing struct {
	results  int
	kept     int64           // bytes of output
	others   int             // results that are not what the faults lead to on a quiet machine
	good     []time.Duration // when the results of good hosts came, from the start
	took     time.Duration
	deadline time.Duration // the last of those that its hosts had, from the start
	peak     int64         // bytes of memory
	cpu      time.Duration // of the client
	serving  time.Duration // processor time of the servers
}

// at returns when this share of the good hosts had their results.
func (t timing) at(share float64) time.Duration {
	return t.good[int(share*float64(len(t.good)))-1]
}

// run runs on the hosts in a file, whose results go to results.jsonl.
func (f *outside) run(hostfile string, good func(host int) bool) timing {
	f.b.Helper()
	in := func(name string) string { return filepath.Join(f.dir, name) }
	cmd := program(f.b, "run", "-F", "none", "--hostfile", hostfile, "--no-agent", "--known-hosts", in("kh"), "--identity", in("key"),
		"--state-dir", in("state"), "--attempts", "1", "--max-output", "1M", "--dial-timeout", limit.String(), "--kex-timeout", limit.String(),
		"--auth-timeout", limit.String(), "--session-timeout", limit.String(), "--command-timeout", limit.String(), "--json", "echo hello {index}")
	cmd.Env = append(cmd.Env, "HOME="+f.dir)
	var said strings.Builder
	cmd.Stderr = &said
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		f.b.Fatal(err)
	}
	kept, err := os.Create(in("results.jsonl"))
	if err != nil {
		f.b.Fatal(err)
	}
	defer func() { _ = kept.Close() }()
	begin := time.Now()
	if err := cmd.Start(); err != nil {
		f.b.Fatal(err)
	}
	var t timing
	for entry, err := range record.Read(io.TeeReader(stdout, kept)) {
		if err != nil {
			f.b.Error(err)
			continue
		}
		if entry.Summary != nil || t.results%100 == 0 {
			t.peak = max(t.peak, peakOf(cmd.Process.Pid))
		}
		r := entry.Result
		if r == nil {
			continue
		}
		t.results++
		t.kept += int64(len(r.Stdout.Bytes) + len(r.Stderr.Bytes))
		t.deadline = max(t.deadline, deadline(r).Sub(begin))
		if i, err := simfleet.Index(r.Target.Host.Name); err == nil && good(i) && r.Outcome == fleet.OutcomeOK {
			t.good = append(t.good, time.Since(begin))
		}
	}
	err = cmd.Wait()
	t.took = time.Since(begin)
	t.cpu = cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()
	if exit, ok := errors.AsType[*exec.ExitError](err); err != nil && (!ok || exit.ExitCode() == 2) {
		f.b.Fatalf("%v: %s", err, said.String())
	}
	return t
}

// deadline is that of the phase in which a host's last attempt ended.
func deadline(r *fleet.Result) time.Time {
	last := r.Phase
	if last == fleet.PhaseNone { // it was not kept from anything
		last = fleet.PhaseRun
	}
	begins, limit := last, limit
	switch last {
	case fleet.PhaseResolve, fleet.PhaseDial:
		begins = fleet.PhaseResolve
	case fleet.PhaseBanner, fleet.PhaseKex, fleet.PhaseHostkey:
		begins = fleet.PhaseBanner
	case fleet.PhaseSession, fleet.PhaseExec:
		begins = fleet.PhaseSession
	case fleet.PhaseRun:
		limit += time.Second // to end after TERM
	}
	at := r.Started.Add(limit)
	for p := range begins {
		at = at.Add(r.Took[p])
	}
	return at
}

// peakOf returns the most memory that a process has had, in bytes.
func peakOf(pid int) int64 {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0 // it has ended, or this is no Linux
	}
	_, after, _ := strings.Cut(string(text), "VmHWM:")
	size, _, _ := strings.Cut(strings.TrimSpace(after), " ")
	kilobytes, err := strconv.ParseInt(size, 10, 64)
	if err != nil {
		return 0
	}
	return kilobytes << 10
}

// check has the oracle compare the results of the last run with what the servers saw. It returns
// how many results have another outcome or reason than their fault has on a machine that is not
// busy: the deadline of a phase that the machine had no time for.
func (f *outside) check(args ...string) (others int) {
	f.b.Helper()
	f.stop()
	oracle := []string{"fleet", "check", "--oracle", filepath.Join(f.dir, "seen.jsonl"), filepath.Join(f.dir, "results.jsonl")}
	if out, err := program(f.b, oracle...).CombinedOutput(); err != nil {
		f.b.Errorf("%v\n%.4000s", err, out)
	}
	out, err := program(f.b, append(oracle, args...)...).CombinedOutput()
	if err == nil {
		return 0
	}
	first, _, _ := strings.Cut(string(out), "\n")
	if _, err := fmt.Sscanf(first[strings.LastIndex(first, ",")+1:], "%d violations", &others); err != nil {
		f.b.Errorf("%v: %.4000s", err, out)
	}
	f.b.Logf("%.600s", out)
	return others
}
