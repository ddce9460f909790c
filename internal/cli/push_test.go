package cli_test

import (
	"bytes"
	"crypto/sha256"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"shoal/fleet"
	"shoal/internal/cli"
	"shoal/internal/cli/console"
	"shoal/record"
	"shoal/simfleet"
)

// pushFaults are those of a tenth of the hosts, and the reasons that a push ends with there.
var pushFaults = []struct {
	fault   simfleet.Fault
	outcome fleet.Outcome
	reason  fleet.Reason
}{
	{simfleet.FaultDiskFull, fleet.OutcomeFailed, fleet.ReasonNoSpace},
	{simfleet.FaultPermissionDenied, fleet.OutcomeFailed, fleet.ReasonPermissionDenied},
	{simfleet.FaultReadOnly, fleet.OutcomeFailed, fleet.ReasonPermissionDenied},
	{simfleet.FaultQuota, fleet.OutcomeFailed, fleet.ReasonWriteFailed},
	{simfleet.FaultNoRename, fleet.OutcomeFailed, fleet.ReasonNoAtomicReplace},
	{simfleet.FaultShortWrite, fleet.OutcomeFailed, fleet.ReasonDigestMismatch},
	{simfleet.FaultDropMidTransfer, fleet.OutcomeUnknown, ""}, // closed or reset
	{simfleet.FaultNoisyLogin, fleet.OutcomeOK, fleet.ReasonNone},
	{simfleet.FaultReset, fleet.OutcomeNeverStarted, ""},
	{simfleet.FaultExecRefused, fleet.OutcomeRefused, ""},
	{simfleet.FaultNoExitStatus, fleet.OutcomeUnknown, ""},
}

// copies returns how many copies are killed in a test, few unless CRASHTEST_COPIES says more, and the
// size of fleets of which a tenth misbehaves.
func copies(t *testing.T, few, hosts int) (trials, size int) {
	t.Helper()
	text := os.Getenv("CRASHTEST_COPIES")
	if text == "" {
		return few, hosts
	}
	n, err := strconv.Atoi(text)
	if err != nil {
		t.Fatal(err)
	}
	return n, 1000
}

// pushFleet is a fleet of n hosts of which a tenth misbehaves until it is healed.
func pushFleet(t *testing.T, n int) (f *simfleet.Fleet, dir string) {
	t.Helper()
	return startFleet(t, simfleet.Options{Hosts: n, Seed: "push", RecordNames: true, Fault: func(i int) simfleet.Fault {
		if i%10 == 3 {
			return pushFaults[i/10%len(pushFaults)].fault
		}
		return simfleet.FaultNone
	}})
}

func pushArgs(dir string, args ...string) []string {
	return append([]string{
		args[0], "-F", "none", "--no-agent", "--state-dir", filepath.Join(dir, "state"),
		"--known-hosts", filepath.Join(dir, "kh"), "--identity", filepath.Join(dir, "key"),
	}, args[1:]...)
}

// checkPushed has the oracle say of every host that the file is whole or absent, as told, and
// that no temporary is left where nothing failed. A push that was killed may leave one until
// strangers are removed.
func checkPushed(t *testing.T, f *simfleet.Fleet, path string, text []byte, ok map[string]bool, killed bool) {
	t.Helper()
	sum, there := sha256.Sum256(text), 0
	for _, h := range f.Files() {
		file, found := h.Find(path)
		if found {
			there++
			if file.SHA256 != simfleet.Digest(sum) || file.Mode.Perm() != 0o640 {
				t.Errorf("%s: a file that was not sent is there: %+v", h.Host, file)
			}
		}
		if ok[h.Host] && !found {
			t.Errorf("%s: told to be there, and is not", h.Host)
		}
		delete(ok, h.Host)
		for _, file := range h.Files {
			if !killed && h.Index%10 != 3 && strings.Contains(file.Path, ".shoal-push.") {
				t.Errorf("%s: %s is left", h.Host, file.Path)
			}
		}
	}
	for h := range ok {
		t.Errorf("%s: told to be there, and nothing is known of it", h)
	}
	if there == 0 {
		t.Error("no host has the file")
	}
}

// The oracle agrees on every file after a push to many hosts of which a tenth misbehaves. Time
// limits are for a slow machine: they decide nothing here.
// faults.md: R19
func TestPushToBadHosts(t *testing.T) {
	t.Parallel()
	_, hosts := copies(t, 0, 400)
	f, dir := pushFleet(t, hosts)
	text := bytes.Repeat([]byte("0123456789abcdef"), 6000)
	src := filepath.Join(dir, "src")
	if err := os.WriteFile(src, text, 0o600); err != nil {
		t.Fatal(err)
	}
	var out, errs bytes.Buffer
	code := cli.Main(t.Context(), pushArgs(dir, "push", "--hostfile", filepath.Join(dir, "hosts"), "-f", "100", "--kex-timeout", "5m", "--auth-timeout", "5m", "--session-timeout", "5m",
		"--attempts", "1", "--mode", "640", "--json", src, "/tmp/pushed"),
		console.Stdio{In: strings.NewReader(""), Out: &out, Err: &errs})
	if code != 4 {
		t.Errorf("exit code %d\n%.2000s", code, errs.String())
	}
	ok, seen := make(map[string]bool), 0
	for e, err := range record.Read(&out) {
		if err != nil {
			t.Fatal(err)
		}
		if e.Result == nil {
			continue
		}
		r := e.Result
		seen++
		ok[r.Target.Host.Name] = r.Outcome == fleet.OutcomeOK
		want := struct {
			fault   simfleet.Fault
			outcome fleet.Outcome
			reason  fleet.Reason
		}{"", fleet.OutcomeOK, fleet.ReasonNone}
		if i := r.Target.Index; i%10 == 3 {
			want = pushFaults[i/10%len(pushFaults)]
		}
		if r.Outcome != want.outcome || want.reason != "" && r.Reason != want.reason {
			t.Errorf("%s, fault %q: %v, %s, %v", r.Target.Host, want.fault, r.Outcome, r.Reason, r.Err)
		}
		if r.Flags.Has(fleet.FlagNoisyLogin) != (want.fault == simfleet.FaultNoisyLogin) {
			t.Errorf("%s, fault %q: flags %v", r.Target.Host, want.fault, r.Flags)
		}
		if !ok[r.Target.Host.Name] {
			delete(ok, r.Target.Host.Name)
		}
	}
	if seen != hosts {
		t.Errorf("%d results", seen)
	}
	checkPushed(t, f, "/tmp/pushed", text, ok, false)
}

// A push whose shoal was killed goes on, and the oracle agrees, whatever way it goes.
// faults.md: R19
func TestPushKilledAndResumed(t *testing.T) {
	t.Parallel()
	trials, _ := copies(t, 4, 0)
	random := rand.New(rand.NewPCG(1, uint64(trials))) //nolint:gosec // any times do
	for trial := range trials {
		f, dir := pushFleet(t, 60)
		text := bytes.Repeat([]byte{byte(trial), 'x', '\n'}, 700_000) // 2 MiB, so that parts are kept
		src, dest, there := filepath.Join(dir, "src"), "/tmp/pushed", "/tmp/pushed"
		via := []string{"sh", "sftp"}[trial%2]
		if trial%4 > 1 { // in a tree
			src, dest, there = filepath.Join(dir, "tree", "src"), "/tmp", "/tmp/tree/src"
		}
		if err := os.MkdirAll(filepath.Dir(src), 0o750); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(src, text, 0o600); err != nil {
			t.Fatal(err)
		}
		if dest != there {
			src = filepath.Dir(src)
			if err := os.WriteFile(filepath.Join(src, "b"), text[:1000], 0o600); err != nil {
				t.Fatal(err)
			}
		}
		cmd := exec.CommandContext(t.Context(), "shoal", pushArgs(dir, "push", "--hostfile", filepath.Join(dir, "hosts"), "-f", "6", "--via", via, "--attempts", "1", "--mode", "640", src, dest)...)
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		for after := random.IntN(40); f.Stats().Execs+f.Stats().Subsystems < after && cmd.ProcessState == nil; {
			time.Sleep(time.Millisecond)
		}
		time.Sleep(time.Duration(random.IntN(20)) * time.Millisecond) // within a file
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		var out, errs bytes.Buffer
		code := cli.Main(t.Context(), pushArgs(dir, "resume", "--json", "last"), console.Stdio{In: strings.NewReader(""), Out: &out, Err: &errs})
		if code == 2 && strings.Contains(errs.String(), "no run") { // killed before the journal had it
			continue
		}
		ok := make(map[string]bool)
		for i := range 60 { // what is good has it, whoever pushed it there
			if i%10 != 3 {
				ok[f.Host(i).Name] = true
			}
		}
		for f.Stats().Open > 0 {
			time.Sleep(time.Millisecond)
		}
		checkPushed(t, f, there, text, ok, true)
		if t.Failed() {
			t.Fatalf("trial %d, %s: %.3000s", trial, via, errs.String())
		}
		_ = f.Close()
	}
}

// A tree goes to a real server, with owner, mode and times as asked, and is the same afterwards.
func TestPushToOpenSSH(t *testing.T) {
	t.Parallel()
	f := newFarSide(t)
	src := filepath.Join(t.TempDir(), "src")
	for name, size := range map[string]int{"a": 0, "b": 1, "c d": 300_000, "sub/e": 65536} {
		path := filepath.Join(src, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o750); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, bytes.Repeat([]byte{byte(size)}, size), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, want := range []string{"written: 6, the same already: 0", "written: 0, the same already: 4"} {
		code, stdout, stderr := f.shoal(t, "push", "-w", f.host(), "--times", "--mode", "604", src, f.dir)
		expect(t, "push", 0, code, stdout, stderr, want)
	}
	if err := filepath.WalkDir(src, func(at string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		rel, _ := filepath.Rel(filepath.Dir(src), at)
		here, _ := os.ReadFile(at)
		there, err := os.ReadFile(filepath.Join(f.dir, rel))
		if info, stat := os.Stat(filepath.Join(f.dir, rel)); stat != nil || info.Mode() != 0o604 || !bytes.Equal(here, there) {
			t.Errorf("%s: %v, %v, %d bytes of %d", rel, info, stat, len(there), len(here))
		}
		return err
	}); err != nil {
		t.Fatal(err)
	}
	code, stdout, stderr := f.shoal(t, "push", "-w", f.host(), filepath.Join(src, "b"), "/proc/none")
	expect(t, "to /proc", 1, code, stdout, stderr, "/proc/none")
}

// A host with SELinux whose label of the new file cannot be restored says so in the result.
func TestPushLosesLabel(t *testing.T) {
	t.Parallel()
	_, dir := startFleet(t, simfleet.Options{Hosts: 1, Seed: "label"})
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, []byte("text\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	shoal := func(verb string, args ...string) string {
		t.Helper()
		var out, errs bytes.Buffer
		args = append([]string{"--hostfile", filepath.Join(dir, "hosts"), "-l", "ada"}, args...)
		code := cli.Main(t.Context(), pushArgs(dir, append([]string{verb}, args...)...), console.Stdio{In: strings.NewReader(""), Out: &out, Err: &errs})
		expect(t, verb, 0, code, out.String(), errs.String())
		return out.String() + errs.String()
	}
	for _, want := range []bool{false, true} {
		if text := shoal("push", "--json", file, "pushed"); strings.Contains(text, `"label_lost"`) != want || strings.Contains(text, `"unverified"`) {
			t.Errorf("flagged %v: %s", !want, text)
		}
		shoal("run", "--become", "mkdir -p /sys/fs/selinux && touch /sys/fs/selinux/enforce; rm -f /home/ada/pushed")
	}
	if text := shoal("push", file, "pushed"); !strings.Contains(text, "SELinux label of a file") {
		t.Error(text)
	}
}
