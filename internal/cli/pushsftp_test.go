package cli_test

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"shoal/fleet"
	"shoal/internal/cli"
	"shoal/internal/cli/console"
	"shoal/internal/sshdtest"
	"shoal/record"
	"shoal/simfleet"
)

// An account that may do nothing but SFTP gets files all the same.
func TestPushToSFTPAccount(t *testing.T) {
	t.Parallel()
	f := newFarSide(t, sshdtest.WithForceCommand("internal-sftp"), sshdtest.WithConfig("Subsystem sftp internal-sftp"))
	src := filepath.Join(t.TempDir(), "src")
	text := bytes.Repeat([]byte("0123456789abcdef"), 100_000)
	for _, name := range []string{"a", "sub/b"} {
		if err := os.MkdirAll(filepath.Dir(filepath.Join(src, name)), 0o750); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(src, name), text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for via, want := range map[string]string{"sftp": "the same already: ", "auto": "the same already: "} {
		code, stdout, stderr := f.shoal(t, "push", "-w", f.host(), "--via", via, "--bandwidth", "1G", "--mode", "604", src, f.dir)
		expect(t, "push", 0, code, stdout, stderr, want)
	}
	for _, name := range []string{"a", "sub/b"} {
		path := filepath.Join(f.dir, "src", name)
		got, err := os.ReadFile(path)
		if info, stat := os.Stat(path); err != nil || stat != nil || info.Mode() != 0o604 || !bytes.Equal(got, text) {
			t.Errorf("%s: %v, %v, %d bytes of %d", name, err, info, len(got), len(text))
		}
	}
	code, stdout, stderr := f.shoal(t, "push", "-w", f.host(), "--via", "auto", src, f.dir)
	expect(t, "again", 0, code, stdout, stderr, "written: 0, the same already: 2")
	// What worked is remembered: the second time there is no session of sh.
	in := t.TempDir()
	for _, args := range [][]string{{"pull", "--via", "auto"}, {"pull", "--via", "sftp", "--require-verified"}, {"pull", "--via", "auto", "-v"}} {
		code, stdout, stderr = f.shoal(t, append(args, "-w", f.host(), src+"/*", in)...)
		expect(t, "pull", 0, code, stdout, stderr, ": 2 files, 3200000 bytes")
		if strings.Contains(stderr, "sh has not answered") {
			t.Errorf("%q: %s", args, stderr)
		}
	}
	for _, name := range []string{"a", "sub/b"} {
		if got, err := os.ReadFile(filepath.Join(in, f.host(), src, name)); err != nil || !bytes.Equal(got, text) {
			t.Errorf("%s: %d bytes, %v", name, len(got), err)
		}
	}
	code, stdout, stderr = f.shoal(t, "pull", "-w", f.host(), "--via", "sftp", "--diff", "/etc/passwd")
	expect(t, "shown", 0, code, stdout, stderr, "reference: 1 of 1", "root:")
	code, stdout, stderr = f.shoal(t, "pull", "-w", f.host(), "--via", "auto", "--become", src+"/a", in)
	expect(t, "become", 2, code, stdout, stderr, "works as the account that logs in")
	code, stdout, stderr = f.shoal(t, "push", "-w", f.host(), src, f.dir)
	expect(t, "without", 4, code, stdout, stderr, "unless --via sftp")
	left, _ := filepath.Glob(f.dir + "/*/.shoal-push.*")
	if len(left) > 0 {
		t.Errorf("left: %q", left)
	}
}

// A push by SFTP to hosts that misbehave tells the truth.
func TestPushBySFTPToBadHosts(t *testing.T) {
	t.Parallel()
	faults := []struct {
		fault   simfleet.Fault
		outcome fleet.Outcome
		reason  fleet.Reason // "" means any
	}{
		{simfleet.FaultSFTPOnly, fleet.OutcomeOK, fleet.ReasonNone},
		{simfleet.FaultNone, fleet.OutcomeOK, fleet.ReasonNone},
		{simfleet.FaultDiskFull, fleet.OutcomeFailed, fleet.ReasonNoSpace},
		{simfleet.FaultPermissionDenied, fleet.OutcomeFailed, fleet.ReasonPermissionDenied},
		{simfleet.FaultReadOnly, fleet.OutcomeFailed, ""},
		{simfleet.FaultQuota, fleet.OutcomeFailed, fleet.ReasonWriteFailed},
		{simfleet.FaultNoRename, fleet.OutcomeFailed, fleet.ReasonNoAtomicReplace},
		{simfleet.FaultShortWrite, fleet.OutcomeFailed, fleet.ReasonDigestMismatch},
		{simfleet.FaultDropMidTransfer, fleet.OutcomeUnknown, ""},
		{simfleet.FaultNoSFTP, fleet.OutcomeRefused, fleet.ReasonExecRefused},
		{simfleet.FaultSFTPCloses, fleet.OutcomeUnknown, fleet.ReasonNoReceipt},
		{simfleet.FaultNoisyLogin, fleet.OutcomeUnknown, fleet.ReasonNoReceipt},
	}
	f, dir := startFleet(t, simfleet.Options{Hosts: len(faults), Seed: "sftp", RecordNames: true, Fault: func(i int) simfleet.Fault { return faults[i].fault }})
	text := bytes.Repeat([]byte("0123456789abcdef"), 70_000) // it is read back while it is written
	src := filepath.Join(dir, "src")
	if err := os.WriteFile(src, text, 0o600); err != nil {
		t.Fatal(err)
	}
	var out, errs bytes.Buffer
	cli.Main(t.Context(), pushArgs(dir, "push", "--hostfile", filepath.Join(dir, "hosts"), "--via", "sftp", "--attempts", "1", "--mode", "640", "--json", src, "/tmp/pushed"),
		console.Stdio{In: strings.NewReader(""), Out: &out, Err: &errs})
	ok := make(map[string]bool)
	for e, err := range record.Read(&out) {
		if err != nil {
			t.Fatal(err)
		}
		if e.Result == nil {
			continue
		}
		r, want := e.Result, faults[e.Result.Target.Index]
		ok[r.Target.Host.Name] = r.Outcome == fleet.OutcomeOK
		if r.Outcome != want.outcome || want.reason != "" && r.Reason != want.reason {
			t.Errorf("%v: %v, %v: %v", want.fault, r.Outcome, r.Reason, r.Err)
		}
	}
	if len(ok) != len(faults) {
		t.Errorf("%d results\n%s", len(ok), errs.String())
	}
	for _, h := range f.Files() {
		file, found := h.Find("/tmp/pushed")
		if found != ok[h.Host] || found && file.Size != int64(len(text)) {
			t.Errorf("%s: found %v, told %v, %+v", h.Host, found, ok[h.Host], file)
		}
	}
}

// With --via auto files go where one of the ways works, without a warning, and that way is taken at
// once the next time.
func TestEitherWay(t *testing.T) {
	t.Parallel()
	faults := []simfleet.Fault{simfleet.FaultNone, simfleet.FaultSFTPOnly, simfleet.FaultNoSFTP, simfleet.FaultSFTPCloses, simfleet.FaultNoisyLogin}
	f, dir := startFleet(t, simfleet.Options{Hosts: len(faults), Seed: "either", RecordNames: true, Fault: func(i int) simfleet.Fault { return faults[i] }})
	src := filepath.Join(dir, "src")
	if err := os.WriteFile(src, bytes.Repeat([]byte("0123456789abcdef"), 20_000), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		args  []string
		execs int
	}{
		{[]string{"push", src, "/tmp/pushed"}, len(faults)}, // one is refused
		{[]string{"pull", "/tmp/pushed", filepath.Join(dir, "in")}, len(faults) - 1},
		{[]string{"push", src, "/tmp/pushed"}, len(faults) - 1},
	} {
		before := f.Stats()
		var out, errs bytes.Buffer
		args := append([]string{c.args[0], "--hostfile", filepath.Join(dir, "hosts"), "--via", "auto", "--attempts", "1"}, c.args[1:]...)
		if code := cli.Main(t.Context(), pushArgs(dir, args...), console.Stdio{In: strings.NewReader(""), Out: &out, Err: &errs}); code != 0 || strings.Contains(errs.String(), "warning") || strings.Contains(errs.String(), "SFTP") {
			t.Errorf("%q: %d\n%s\n%s", c.args, code, &out, &errs)
		}
		after := f.Stats()
		if after.Subsystems-before.Subsystems != 1 || after.Execs-before.Execs != c.execs {
			t.Errorf("%q: %d subsystems, %d execs", c.args, after.Subsystems-before.Subsystems, after.Execs-before.Execs)
		}
	}
	refused := 0
	for _, entry := range f.Log() {
		if entry.Command != "" && !entry.Accepted {
			refused++
		}
	}
	if refused != 1 {
		t.Errorf("%d times a host was asked for a shell that it does not have", refused)
	}
}
