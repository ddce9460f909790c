package crashtest

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"shoal/fleet"
	"shoal/record"
	"shoal/simfleet"
)

// BenchmarkBadHosts runs on 9,000 good hosts, alone and together with 500 black
// holes and 500 slow-loris hosts. It measures the time until the last good host
// has its result, with and without the bad ones.
func BenchmarkBadHosts(b *testing.B) {
	const good, bad = 9000, 500
	dir := b.TempDir()
	holes := make([]string, bad)
	for i := range holes {
		addr, free, err := simfleet.Blackhole()
		if err != nil {
			b.Fatal(err)
		}
		defer func() { _ = free() }()
		holes[i] = addr.String()
	}
	all := serveOutside(b, dir, good+bad, fmt.Sprintf("%s=%s", simfleet.FaultSlowBanner, addresses(b, good, bad)))
	clean, mixed := filepath.Join(dir, "clean"), filepath.Join(dir, "mixed")
	writeLines(b, clean, all[:good])
	writeLines(b, mixed, interleave(all[:good], all[good:], holes))
	var without, with, worst float64
	for b.Loop() {
		c, m := lastGood(b, dir, clean, good), lastGood(b, dir, mixed, good)
		without += c.Seconds()
		with += m.Seconds()
		worst = max(worst, m.Seconds()/c.Seconds())
	}
	b.ReportMetric(without/float64(b.N), "clean-s/op")
	b.ReportMetric(with/float64(b.N), "mixed-s/op")
	b.ReportMetric(with/without, "ratio")
	b.ReportMetric(worst, "worst-ratio")
}

// addresses returns the fleet's addresses from first on.
func addresses(b *testing.B, first, n int) string {
	b.Helper()
	f, err := simfleet.Start(b.Context(), simfleet.Options{Hosts: first + n}) // only for its addresses
	if err != nil {
		b.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	names := make([]string, n)
	for i := range names {
		names[i] = f.Host(first + i).Name
	}
	return strings.Join(names, ",")
}

// interleave spreads the bad hosts evenly among the good ones.
func interleave(good []string, bad ...[]string) []string {
	var mixed []string
	for i, name := range good {
		mixed = append(mixed, name)
		for _, b := range bad {
			// When i passes a multiple of len(good)/len(b).
			if at := i * len(b) / len(good); i == 0 || at != (i-1)*len(b)/len(good) {
				mixed = append(mixed, b[at])
			}
		}
	}
	return mixed
}

// serveOutside starts a fleet in its own process, and returns its hosts.
func serveOutside(b *testing.B, dir string, hosts int, fault string) []string {
	b.Helper()
	cmd := exec.Command(os.Args[0], "fleet", "--hosts", fmt.Sprint(hosts), "--latency", "2ms", "--fault", fault,
		"--write-known-hosts", filepath.Join(dir, "kh"), "--write-hosts", filepath.Join(dir, "hosts"), "--write-key", filepath.Join(dir, "key"))
	cmd.Env = append(os.Environ(), asShoal+"=1")
	stdout, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM) // it may have exited
		_ = cmd.Wait()
	})
	if line, err := bufio.NewReader(stdout).ReadString('\n'); err != nil { // it is ready
		b.Fatal(line, err)
	}
	text, err := os.ReadFile(filepath.Join(dir, "hosts"))
	if err != nil {
		b.Fatal(err)
	}
	return strings.Fields(string(text))
}

func writeLines(b *testing.B, path string, lines []string) {
	b.Helper()
	if err := os.WriteFile(path, []byte(strings.Join(lines, "\n")+"\n"), 0o600); err != nil {
		b.Fatal(err)
	}
}

// lastGood runs on the hosts in a file, and returns the time until want of them
// are OK. It does not wait for the others.
func lastGood(b *testing.B, dir, hostfile string, want int) time.Duration {
	b.Helper()
	cmd := exec.CommandContext(b.Context(), os.Args[0], "run", "-F", "none", "--hostfile", hostfile, "--no-agent",
		"--known-hosts", filepath.Join(dir, "kh"), "--identity", filepath.Join(dir, "key"),
		"--state-dir", b.TempDir(), "--json", "echo hello {index}")
	cmd.Env = append(os.Environ(), asShoal+"=1", "HOME="+dir)
	cmd.WaitDelay = guard
	var said strings.Builder
	cmd.Stderr = &said
	stdout, err := cmd.StdoutPipe()
	begin := time.Now()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		b.Fatal(err)
	}
	hangs := time.AfterFunc(guard, func() { _ = cmd.Process.Kill() })
	defer hangs.Stop()
	ok, took := 0, time.Duration(0)
	for entry, err := range record.Read(stdout) {
		if err != nil || entry.Result == nil || entry.Result.Outcome != fleet.OutcomeOK {
			continue
		}
		if ok++; ok == want {
			took = time.Since(begin)
			_ = cmd.Process.Signal(syscall.SIGTERM) // it may have exited
		}
	}
	_, err = io.Copy(io.Discard, stdout)
	if err = errors.Join(err, ignoreExit(cmd.Wait())); err != nil || ok != want {
		b.Fatalf("%d of %d are ok, %v: %s", ok, want, err, said.String())
	}
	return took
}

// ignoreExit ignores an exit status: the process was told to stop.
func ignoreExit(err error) error {
	if _, ok := errors.AsType[*exec.ExitError](err); ok {
		return nil
	}
	return err
}
