package cli_test

import (
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"shoal"
	"shoal/internal/cli"
	"shoal/internal/cli/console"
	"shoal/internal/sshdtest"
)

// A run through a jump host is resumed, rerun and queried through it (attack
// 12), with its keys and known hosts; flags given now win.
func TestAgainThroughTheJumpHost(t *testing.T) {
	target := sshdtest.OpenSSH(t)
	jump := sshdtest.OpenSSH(t, sshdtest.WithAuthorized(target.Signer.PublicKey()))
	state, known := t.TempDir(), filepath.Join(t.TempDir(), "known")
	var keys []byte
	for _, s := range []*sshdtest.Server{target, jump} {
		lines, err := os.ReadFile(s.KnownHosts)
		if err != nil {
			t.Fatal(err)
		}
		keys = append(keys, lines...)
	}
	if err := os.WriteFile(known, keys, 0o600); err != nil {
		t.Fatal(err)
	}
	shoal := func(args ...string) (int, string, string) {
		var out, errs strings.Builder
		args = append([]string{args[0], "--state-dir", state}, args[1:]...)
		code := cli.Main(t.Context(), args, console.Stdio{In: strings.NewReader(""), Out: &out, Err: &errs})
		return code, out.String(), errs.String()
	}
	address := func(s *sshdtest.Server) string { return fmt.Sprintf("%s@%s:%d", s.User, s.Host.Name, s.Host.Port) }
	jumps := func() int { return strings.Count(jump.Log(), "Accepted publickey") }

	code, stdout, stderr := shoal("run", "-F", "none", "--no-agent", "--known-hosts", known, "--identity", target.KeyFile,
		"-J", address(jump), "-w", address(target), "--repeat", "3", "--once", "--run-dir", filepath.Join(t.TempDir(), "marks"),
		"--fail-fast", "--rollout", "1", "exit {index}5")
	expect(t, "run", 1+2, code, stdout, stderr, "1 failed", "2 cancelled")
	if got := jumps(); got != 1 {
		t.Fatalf("%d connections to the jump host by the run", got)
	}
	code, stdout, stderr = shoal("resume", "--past-brake", "last")
	expect(t, "resume", 3, code, stdout, stderr, "1 failed", "1 cancelled")
	if got := jumps(); got != 2 {
		t.Errorf("%d connections to the jump host after resume, want 2", got)
	}
	code, stdout, stderr = shoal("rerun", "--dry-run", "last", "failed")
	expect(t, "rerun --dry-run", 0, code, stdout, stderr, "jump       "+address(jump)+"\n", "--jump="+address(jump))
	code, stdout, stderr = shoal("rerun", "--fail-fast=false", "last", "failed")
	expect(t, "rerun", 1, code, stdout, stderr, "2 failed")
	if got := jumps(); got != 3 {
		t.Errorf("%d connections to the jump host after rerun, want 3", got)
	}
	code, stdout, stderr = shoal("rerun", "-J", "none", "last", "failed")
	expect(t, "rerun -J none", 1, code, stdout, stderr, "2 failed", "given now, and not as the run had it: --jump")
	if got := jumps(); got != 3 {
		t.Errorf("%d connections to the jump host after -J none, want 3", got)
	}

	code, stdout, stderr = shoal("run", "-F", "none", "--no-agent", "--known-hosts", known, "--identity", target.KeyFile,
		"-J", address(jump), "-w", address(target), "--detach", "--run-dir", filepath.Join(t.TempDir(), "marks"), "echo was here")
	expect(t, "run --detach", 0, code, stdout, stderr, "1 detached")
	before := jumps()
	code, stdout, stderr = shoal("collect", "--wait", "last")
	expect(t, "collect", 0, code, stdout, stderr, "was here")
	if jumps() == before {
		t.Error("collect did not take the jump host")
	}
}

// The brakes of a run recorded by an older shoal are unknown.
func TestAgainWithoutSettings(t *testing.T) {
	state := t.TempDir()
	packed, err := os.Open("../journal/testdata/schema1.db.gz")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = packed.Close() }()
	z, err := gzip.NewReader(packed)
	if err != nil {
		t.Fatal(err)
	}
	db, err := os.OpenFile(filepath.Join(state, "journal.db"), os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	if _, err = io.Copy(db, z); errors.Join(err, db.Close()) != nil {
		t.Fatal(err)
	}
	shoal := func(args ...string) (int, string, string) {
		var out, errs strings.Builder
		code := cli.Main(t.Context(), args, console.Stdio{In: strings.NewReader(""), Out: &out, Err: &errs})
		return code, out.String(), errs.String()
	}
	before, err := os.ReadFile(db.Name())
	if err != nil {
		t.Fatal(err)
	}
	common := []string{"-F", "none", "--no-agent", "--state-dir", state}
	for _, c := range []struct {
		args  []string
		code  int
		texts []string
	}{
		{[]string{"resume", "--past-brake", "--dry-run", "last"}, 2, []string{"was made by shoal 8dce720, which kept neither", "hint: ", "--assume-defaults"}},
		{[]string{"rerun", "--dry-run", "last", "failed"}, 2, []string{"was made by shoal 8dce720", "--assume-defaults"}},
		{[]string{"resume", "--assume-defaults", "--dry-run", "last"}, 2, []string{"the run stopped itself", "--past-brake"}},
		{
			[]string{"resume", "--assume-defaults", "--past-brake", "--dry-run", "last"},
			0,
			[]string{"2\tops@127.1.0.3:2299\texit 2\n", "4\tops@127.1.0.5:2299\texit 4\n"},
		},
		{[]string{"rerun", "--assume-defaults", "--dry-run", "last", "failed"}, 0, []string{"0\tops@127.1.0.2:2299\texit 1\n"}},
	} {
		code, stdout, stderr := shoal(append(c.args[:1:1], append(common, c.args[1:]...)...)...)
		expect(t, strings.Join(c.args, " "), c.code, code, stdout, stderr, c.texts...)
	}
	if after, err := os.ReadFile(db.Name()); err != nil || string(after) != string(before) {
		t.Errorf("a dry run has changed the journal: %v", err)
	}
	none := filepath.Join(state, "none")
	code, stdout, stderr := shoal("resume", "--dry-run", "--state-dir", none, "last")
	expect(t, "resume --dry-run", 2, code, stdout, stderr, "there is no journal in")
	if _, err := os.Stat(none); err == nil {
		t.Error("a dry run has made a journal")
	}
}

// A run of a program that uses the library has no settings, but directory, variables and umask
// of its command, which are not taken for defaults.
func TestAgainOfTheLibrary(t *testing.T) {
	f := newFarSide(t)
	j, err := shoal.OpenJournal(t.Context(), f.state)
	if err != nil {
		t.Fatal(err)
	}
	targets, err := shoal.Hosts(f.host())
	if err != nil {
		t.Fatal(err)
	}
	for res, err := range shoal.Run(t.Context(), targets, "pwd; umask; echo $WORD; exit 3", shoal.Options{
		Login: shoal.Login{Identities: []string{f.server.KeyFile}, Agent: shoal.NoAgent}, Config: shoal.Config{File: "none"},
		HostKeys: shoal.HostKeys{Files: []string{f.server.KnownHosts}}, Journal: j,
		Remote: shoal.Remote{Chdir: "/usr", Umask: "0071", Env: []string{"WORD=it's", "MORE=2"}},
	}) {
		if err != nil || res.Status != 3 {
			t.Fatalf("%+v, %v", res, err)
		}
	}
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
	code, stdout, stderr := f.shoal(t, "rerun", "--assume-defaults", "-N", "last", "failed")
	expect(t, "rerun", 1, code, stdout, stderr, "/usr\n0071\nit's\n")
	code, stdout, stderr = f.shoal(t, "rerun", "--assume-defaults", "-N", "--chdir", "/", "last~1", "failed")
	expect(t, "rerun --chdir", 1, code, stdout, stderr, "/\n0071\nit's\n")
}
