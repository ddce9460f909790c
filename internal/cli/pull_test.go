package cli_test

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"shoal/fleet"
	"shoal/internal/cli"
	"shoal/internal/cli/console"
	"shoal/internal/sshdtest"
	"shoal/record"
	"shoal/simfleet"
)

const sumOfData = "3a6eb0790f39ac87c94f3856b2dd2c5d110e6811602261a9a923d3bb23adc8b7"

func pullFile(path string) string { return "@f 4 6777 0 " + sumOfData + "\n" + path + "\x00data" }

// pullFaults are those of a tenth of the hosts: of the fleet, or what a host answers to a pull of
// /etc, where @ stands for the mark; what is said again is said until the client has gone.
var pullFaults = []struct {
	fault   simfleet.Fault
	says    string
	again   string
	outcome fleet.Outcome
	reason  fleet.Reason
}{
	{fault: simfleet.FaultReset, outcome: fleet.OutcomeNeverStarted},
	{fault: simfleet.FaultExecRefused, outcome: fleet.OutcomeRefused},
	{fault: simfleet.FaultDropMidTransfer, outcome: fleet.OutcomeUnknown},
	{fault: simfleet.FaultNoExitStatus, outcome: fleet.OutcomeUnknown},
	{fault: simfleet.FaultNoisyLogin, outcome: fleet.OutcomeOK},
	{fault: simfleet.FaultSlowFiles, outcome: fleet.OutcomeOK},
	{says: "@s 0\n" + pullFile("/etc/../../../../out") + "@end 2\n", outcome: fleet.OutcomeFailed, reason: fleet.ReasonBadAnswer},
	{says: "@s 0\n" + pullFile("//out") + "@end 2\n", outcome: fleet.OutcomeFailed, reason: fleet.ReasonBadAnswer},
	{says: "@s 0\n" + pullFile("out") + "@end 2\n", outcome: fleet.OutcomeFailed, reason: fleet.ReasonBadAnswer},
	{says: "@s 0\n@l\n/etc/l\x00../../..\x00" + pullFile("/etc/l/out") + "@end 3\n", outcome: fleet.OutcomeFailed, reason: fleet.ReasonNameCollision},
	{says: "@s 0\n" + pullFile("/etc/hostname") + pullFile("/etc/hostname") + "@end 3\n", outcome: fleet.OutcomeFailed, reason: fleet.ReasonNameCollision},
	{says: "@s 0\n@f 999999999999 644 0 -\n/etc/f\x00", again: "\x00\x00\x00\x00", outcome: fleet.OutcomeFailed, reason: fleet.ReasonTooLarge},
	{says: "@s 0\n@f 4 644 0 " + sumOfData + "\n/etc/f\x00", again: "more", outcome: fleet.OutcomeFailed, reason: fleet.ReasonBadAnswer},
	{says: "@s 0\n@f 9 644 0 " + sumOfData + "\n/etc/f\x00data@end 2\n", outcome: fleet.OutcomeFailed, reason: fleet.ReasonChangedWhileRead},
	{says: "@s 0\n@f 4 644 0 " + sumOfData + "\n/etc/f\x00dutu@end 2\n", outcome: fleet.OutcomeFailed, reason: fleet.ReasonChangedWhileRead},
	{says: "@s 0\n", again: "@o\n/etc/x\x00", outcome: fleet.OutcomeFailed, reason: fleet.ReasonTooManyFiles},
	{says: "@s 0\n@d 755\n", again: "/etc/x", outcome: fleet.OutcomeFailed, reason: fleet.ReasonBadAnswer},
	{says: "no mark", again: "and none", outcome: fleet.OutcomeFailed, reason: fleet.ReasonBadAnswer},
	{says: "@s 0\n@x permission_denied\n/etc/shadow\x00" + pullFile("/etc/hostname") + "@end 3\n", outcome: fleet.OutcomeFailed, reason: fleet.ReasonPermissionDenied},
	{says: "@s 0\n" + pullFile("/etc/hostname"), outcome: fleet.OutcomeFailed, reason: fleet.ReasonNoReceipt},
}

// pullFleet is a fleet of n hosts of which a tenth misbehaves.
func pullFleet(t *testing.T, n int) (f *simfleet.Fleet, dir string) {
	t.Helper()
	return startFleet(t, simfleet.Options{
		Hosts: n, Seed: "pull",
		Fault: func(i int) simfleet.Fault {
			if i%10 == 3 {
				return pullFaults[i/10%len(pullFaults)].fault
			}
			return simfleet.FaultNone
		},
		Play: func(i int, _ string, stdin io.Reader, stdout, _ io.Writer) (uint32, bool) {
			play := pullFaults[i/10%len(pullFaults)]
			if i%10 != 3 || play.says == "" {
				return 0, false
			}
			nonce, err := bufio.NewReader(stdin).ReadString('\n')
			if err != nil {
				return 1, true
			}
			mark := strings.NewReplacer("@", "shoal/1 "+strings.TrimSpace(nonce)+" ")
			_, err = mark.WriteString(stdout, play.says)
			for again := strings.Repeat(mark.Replace(play.again), 100); again != "" && err == nil; {
				_, err = io.WriteString(stdout, again)
			}
			return 0, true
		},
	})
}

// checkPulled has the oracle say that every file is in the directory of its host and is what the
// host has, that the hosts in whole have all, and that nothing else is anywhere in dir.
func checkPulled(t *testing.T, f *simfleet.Fleet, dir string, whole map[int]bool) {
	t.Helper()
	hosts := make(map[string]simfleet.HostFiles)
	for _, h := range f.Files() {
		hosts[fmt.Sprintf("%s:%d", h.Host, f.Port())] = h
		if !whole[h.Index] {
			continue
		}
		for _, file := range h.Files {
			if !strings.HasPrefix(file.Path, "/etc/") || !file.Mode.IsRegular() {
				continue
			}
			text, err := os.ReadFile(filepath.Join(dir, "in", fmt.Sprintf("%s:%d", h.Host, f.Port()), file.Path))
			if err != nil || sha256.Sum256(text) != file.SHA256 {
				t.Errorf("%s: %s: %d bytes, %v", h.Host, file.Path, len(text), err)
			}
		}
		delete(whole, h.Index)
	}
	for i := range whole {
		t.Errorf("host %d: told to be here, and nothing is known of it", i)
	}
	played := sha256.Sum256([]byte("data"))
	err := filepath.WalkDir(dir, func(at string, d fs.DirEntry, err error) error {
		rel, _ := filepath.Rel(dir, at)
		parts := strings.SplitN(rel, "/", 3)
		switch {
		case err != nil:
			return err
		case parts[0] == "state" || !strings.Contains(rel, "/") && parts[0] != "out":
			return nil
		case parts[0] != "in":
			t.Errorf("%s: outside", rel)
			return nil
		case d.IsDir() && len(parts) == 3 && (parts[2] == "etc" || strings.HasPrefix(parts[2], "etc/")), d.IsDir() && len(parts) == 2 && !strings.HasPrefix(parts[1], "."):
			return nil
		case d.IsDir() || len(parts) < 3:
			t.Errorf("%s is left", rel)
			return nil
		}
		text, err := os.ReadFile(at)
		sum := sha256.Sum256(text)
		file, found := hosts[parts[1]].Find("/" + parts[2])
		if err != nil || (!found || sum != file.SHA256) && sum != played {
			t.Errorf("%s: what is here is not what is there: %v", rel, err)
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
}

// The oracle agrees on every file after a pull from many hosts of which a tenth misbehaves, and
// nothing is written outside its directory.
// faults.md: R19
func TestPullFromBadHosts(t *testing.T) {
	t.Parallel()
	_, hosts := copies(t, 0, 200)
	f, dir := pullFleet(t, hosts)
	var out, errs bytes.Buffer
	code := cli.Main(t.Context(), pushArgs(dir, "pull", "--hostfile", filepath.Join(dir, "hosts"), "-f", "100", "--kex-timeout", "5m", "--auth-timeout", "5m", "--session-timeout", "5m",
		"--attempts", "1", "--json", "/etc", filepath.Join(dir, "in")),
		console.Stdio{In: strings.NewReader(""), Out: &out, Err: &errs})
	if code != 4 {
		t.Errorf("exit code %d\n%.2000s", code, errs.String())
	}
	whole, seen := make(map[int]bool), 0
	for e, err := range record.Read(&out) {
		if err != nil {
			t.Fatal(err)
		}
		if e.Result == nil {
			continue
		}
		r := e.Result
		seen++
		want, reason, play := fleet.OutcomeOK, fleet.ReasonNone, ""
		if i := r.Target.Index; i%10 == 3 {
			p := pullFaults[i/10%len(pullFaults)]
			want, reason, play = p.outcome, p.reason, string(p.fault)+p.says
		}
		if whole[r.Target.Index] = r.Outcome == fleet.OutcomeOK; !whole[r.Target.Index] {
			delete(whole, r.Target.Index)
		}
		if r.Outcome != want || reason != "" && r.Reason != reason {
			t.Errorf("%s, %.60q: %v, %s, %v", r.Target.Host, play, r.Outcome, r.Reason, r.Err)
		}
		if r.Outcome == fleet.OutcomeOK && r.Flags.Has(fleet.FlagNoisyLogin) != (play == string(simfleet.FaultNoisyLogin)) {
			t.Errorf("%s, %.60q: flags %v", r.Target.Host, play, r.Flags)
		}
	}
	if seen != hosts {
		t.Errorf("%d results", seen)
	}
	checkPulled(t, f, dir, whole)
}

// A pull whose shoal was killed goes on, and the oracle agrees; what was half written is removed.
func TestPullKilledAndResumed(t *testing.T) {
	t.Parallel()
	trials, _ := copies(t, 3, 0)
	random := rand.New(rand.NewPCG(3, uint64(trials))) //nolint:gosec // any times do
	for trial := range trials {
		f, dir := pullFleet(t, 40)
		cmd := exec.CommandContext(t.Context(), "shoal", pushArgs(dir, "pull", "--hostfile", filepath.Join(dir, "hosts"), "-f", "6", "--via", []string{"sh", "sftp"}[trial%2], "--attempts", "1", "/etc", filepath.Join(dir, "in"))...)
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		for after := random.IntN(30); f.Stats().Execs+f.Stats().Subsystems < after && cmd.ProcessState == nil; {
			time.Sleep(time.Millisecond)
		}
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		var out, errs bytes.Buffer
		code := cli.Main(t.Context(), pushArgs(dir, "resume", "--json", "last"), console.Stdio{In: strings.NewReader(""), Out: &out, Err: &errs})
		if code == 2 && strings.Contains(errs.String(), "no run") { // killed before the journal had it
			continue
		}
		whole := make(map[int]bool)
		for i := range 40 { // what is good is here, whoever pulled it
			if i%10 != 3 {
				whole[i] = true
			}
		}
		checkPulled(t, f, dir, whole)
		if t.Failed() {
			t.Fatalf("trial %d: %d, %.3000s", trial, code, errs.String())
		}
	}
}

// A tree comes from real servers as it is, and is shown; what is not there has its reason.
func TestPullFromServers(t *testing.T) {
	t.Parallel()
	for name, start := range map[string]func(testing.TB, ...sshdtest.Option) *sshdtest.Server{"openssh": sshdtest.OpenSSH, "dropbear": sshdtest.Dropbear} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := &farSide{server: start(t), state: t.TempDir(), dir: t.TempDir()}
			src := filepath.Join(f.dir, "src")
			for name, size := range map[string]int{"a": 0, "b": 1, "it's c\nd": 300_000, "sub/e": 65536} {
				path := filepath.Join(src, name)
				if err := os.MkdirAll(filepath.Dir(path), 0o750); err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(path, bytes.Repeat([]byte{byte(size)}, size), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			if err := errors.Join(os.Symlink("sub/e", src+"/link"), os.Symlink("/etc", src+"/out")); err != nil {
				t.Fatal(err)
			}
			in := filepath.Join(f.dir, "in")
			for range 2 {
				code, stdout, stderr := f.shoal(t, "pull", "-w", f.host(), "--times", src+"/*", src, in)
				expect(t, "pull", 0, code, stdout, stderr, ": 5 files, 431073 bytes, 1 names with", ", 1 links left out")
			}
			if err := filepath.WalkDir(src, func(at string, d os.DirEntry, err error) error {
				if err != nil || !d.Type().IsRegular() {
					return err
				}
				there, _ := os.ReadFile(at)
				place := filepath.Join(in, f.host(), strings.ReplaceAll(at, "\n", "%0a"))
				here, err := os.ReadFile(place)
				was, _ := os.Stat(at)
				if info, stat := os.Stat(place); stat != nil || info.Mode() != 0o600 || info.ModTime().Unix() != was.ModTime().Unix() || !bytes.Equal(here, there) {
					t.Errorf("%s: %v, %v, %d bytes of %d", at, info, stat, len(here), len(there))
				}
				return err
			}); err != nil {
				t.Fatal(err)
			}
			code, stdout, stderr := f.shoal(t, "pull", "-w", f.host(), "-b", src+"/b")
			expect(t, "shown", 0, code, stdout, stderr, "\x01")
			code, stdout, stderr = f.shoal(t, "pull", "-w", f.host(), src+"/none", in)
			expect(t, "none", 1, code, stdout, stderr, "no_file")
		})
	}
}
