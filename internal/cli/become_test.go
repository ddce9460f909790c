package cli_test

import (
	"bytes"
	"crypto/sha256"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"shoal/fleet"
	"shoal/internal/cli"
	"shoal/internal/cli/console"
	"shoal/internal/needs"
	"shoal/internal/sshdtest"
	"shoal/record"
	"shoal/simfleet"
)

// becomeSide is a server whose account Worker may become others.
func becomeSide(t *testing.T, u sshdtest.Users) (f *farSide, host string) {
	t.Helper()
	needs.Program(t, "sudo")
	f = newFarSide(t, sshdtest.WithUsers(t, u))
	f.server.User = sshdtest.Worker
	return f, f.host()
}

// secretFile is a file that a password is read from.
func secretFile(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(path, []byte(text+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// Everything that runs or copies does so as the other user, with and without a password.
func TestBecome(t *testing.T) {
	for name, rule := range map[string]string{"no password": "NOPASSWD: ALL", "password": "ALL"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f, host := becomeSide(t, sshdtest.Users{Sudoers: "Defaults use_pty\nworker ALL=(ALL:ALL) " + rule + "\n"})
			common := []string{"-w", host, "--become", "--become-user", "other"}
			if name == "password" {
				common = append(common, "--become-password-file", secretFile(t, sshdtest.WorkerPassword))
			}
			shoal := func(what string, want int, verb string, args []string, texts ...string) string {
				t.Helper()
				code, stdout, stderr := f.shoal(t, append(append([]string{verb}, common...), args...)...)
				expect(t, what, want, code, stdout, stderr, texts...)
				return stdout + stderr
			}
			dir := t.TempDir()
			script, data := filepath.Join(dir, "s.sh"), filepath.Join(dir, "data")
			text := strings.Repeat("0123456789abcdef\n", 20_000)
			for path, text := range map[string]string{script: "#!/bin/sh\nid -un; echo \"$1\"; cat\n", data: text} {
				if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			home := func() string { // of the account that logs in
				t.Helper()
				code, stdout, stderr := f.shoal(t, "run", "-w", host, "-N", "pwd; ls -AR")
				expect(t, "the home", 0, code, stdout, stderr)
				return stdout
			}
			before := home()
			shoal("a command", 0, "run", []string{"-N", "id -un; pwd"}, "other\n/home/other\n")
			shoal("a long command", 0, "run", []string{"-N", "id -un; : " + strings.Repeat("x", 300_000)}, "other\n")
			shoal("a place", 0, "run", []string{"-N", "--env", "A=it's", "--chdir", "/tmp", "--umask", "0077", "echo $A; pwd; umask"}, "it's\n/tmp\n0077\n")
			shoal("no such place", 3, "run", []string{"--chdir", "nosuch", "id"}, "chdir_failed")
			shoal("input", 0, "run", []string{"-N", "--stdin-from", data, "id -un; wc -c"}, "other\n340000\n")
			shoal("a secret", 0, "run", []string{
				"-N", "--env-secret", "TOKEN@" + secretFile(t, "Canary-4719"), "--stdin-from", data, "--chdir", "/tmp",
				`id -un; echo "$TOKEN" | tr a-z A-Z; ps axww -o args= | grep -c "Canary[-]4719"; wc -c`,
			}, "other\nCANARY-4719\n0\n340000\n")
			shoal("a script", 0, "script", []string{"-N", "--stdin-from", data, "--max-output", "1M", script, "--", "it's"}, "other\nit's\n0123", text[len(text)-40:])
			shoal("a push", 0, "push", []string{"--mode", "0640", data, "pushed"})
			shoal("what was pushed", 0, "run", []string{"-N", "stat -c '%U %a %s' /home/other/pushed; sha256sum <pushed"}, "other 640 340000\n")
			pulled := t.TempDir()
			shoal("a pull", 0, "pull", []string{"pushed", pulled})
			found, err := filepath.Glob(pulled + "/*/*pushed")
			if err != nil || len(found) != 1 {
				t.Fatalf("pulled: %v, %v", found, err)
			}
			if got, err := os.ReadFile(found[0]); err != nil || string(got) != text {
				t.Errorf("pulled %d bytes, %v", len(got), err)
			}
			if after := home(); after != before {
				t.Errorf("the account that logs in has\n%s\nand had\n%s", after, before)
			}
			shoal("a marker", 0, "run", []string{"-N", "--once", "--kill-on-cancel", "echo once; id -un"}, "once\nother\n")
			shoal("its place", 0, "run", []string{"-N", "ls -A .local/state/shoal/marks"}, "-0\n")
			shoal("a detached command", 0, "run", []string{"--detach", "--stdin-from", data, "id -un; cat"})
			code, stdout, stderr := f.shoal(t, "collect", "--wait", "last")
			expect(t, "collect", 0, code, stdout, stderr, ": other\n", "0123456789abcdef\n")
			shoal("an old marker", 0, "run", []string{"touch -d '3 days ago' .local/state/shoal/marks/*"})
			code, stdout, stderr = f.shoal(t, append([]string{"sweep", "--days", "1"}, common...)...)
			expect(t, "sweep", 0, code, stdout, stderr, "1 removed, 0 left")
			shoal("a command that is given up", 1, "run", []string{"--kill-on-cancel", "--command-timeout", "3s", "id -un; trap : TERM; sleep 1000; sleep 1000"}, "killed")
			code, stdout, stderr = f.shoal(t, "rerun", "last", "all", "--dry-run")
			expect(t, "rerun", 0, code, stdout, stderr, "the user other by sudo", "--become-user=other")
		})
	}
}

// What a terminal would change is refused where doas and su need one for the password, before any of it is sent: no command
// of it comes to the host.
func TestBecomeNeedsTerminal(t *testing.T) {
	t.Parallel()
	needs.Program(t, "doas")
	f, host := becomeSide(t, sshdtest.Users{Sudoers: "root ALL=(ALL) ALL\n"})
	script := filepath.Join(t.TempDir(), "s.sh")
	if err := os.WriteFile(script, []byte("#!/bin/sh\nid\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, method := range []string{"doas", "su"} {
		secret := map[string]string{"doas": sshdtest.WorkerPassword, "su": sshdtest.OtherPassword}[method]
		common := []string{"-w", host, "--attempts", "1", "--become", "--become-method", method, "--become-user", "other", "--become-password-file", secretFile(t, secret)}
		for _, args := range [][]string{
			{"script", script},
			{"run", "--stdin-from", script, "cat"},
			{"run", "--once", "id"},
			{"run", "--detach", "id"},
			{"run", "--kill-on-cancel", "id"},
			{"run", "--remote-timeout", "1m", "id"},
			{"run", "--chdir", "/tmp", "id"},
			{"run", "--env-secret", "A@" + script, "id"},
			{"push", script, "pushed"},
			{"push", "--dry-run", script, "pushed"},
			{"pull", "f", t.TempDir()},
		} {
			code, stdout, stderr := f.shoal(t, append(append([]string{args[0]}, common...), args[1:]...)...)
			expect(t, method+" "+strings.Join(args, " "), 2, code, stdout, stderr, "doas and su read a password from a terminal only, which has no standard input")
		}
	}
	if log := f.server.Log(); strings.Contains(log, "Starting session: command") {
		t.Errorf("a command was sent:\n%s", log)
	}
}

// With sudoers that allow one command only it runs by --become-direct, and nothing that needs a
// shell goes with that.
func TestBecomeDirect(t *testing.T) {
	t.Parallel()
	f, host := becomeSide(t, sshdtest.Users{Sudoers: "worker ALL=(other) /usr/bin/id -un, /bin/cat *\n"})
	common := []string{"run", "-w", host, "--become", "--become-direct", "--become-user", "other", "--become-password-file", secretFile(t, sshdtest.WorkerPassword), "-N"}
	shoal := func(what string, want int, args []string, texts ...string) {
		t.Helper()
		code, stdout, stderr := f.shoal(t, append(slices.Clone(common), args...)...)
		expect(t, what, want, code, stdout, stderr, texts...)
	}
	shoal("what is allowed", 0, []string{"id", "-un"}, "other\n")
	shoal("what is not", 3, []string{"id"}, "become_not_allowed")
	shoal("what needs a shell", 3, []string{"id -un; id"}, "only a shell understands")
	shoal("what may be sudo's failure", 4, []string{"--become-direct", "cat /nosuch"}, "become_unproven", "No such file")
	for _, flag := range []string{"--once", "--kill-on-cancel", "--env=A=1", "--stdin-from=" + f.server.KeyFile, "--pty", "--remote-timeout=1m"} {
		shoal(flag, 2, []string{flag, "id -un"}, "--become-direct")
	}
	code, stdout, stderr := f.shoal(t, "sweep", "-w", host, "--become", "--become-direct")
	expect(t, "sweep", 2, code, stdout, stderr, "--become-direct runs none")
	shoal("another method", 2, []string{"--become-method", "doas", "id -un"}, "--become-direct is for sudo")
	shoal("again", 0, []string{"id", "-un"})
	code, stdout, stderr = f.shoal(t, "rerun", "last", "all", "-N")
	expect(t, "rerun", 0, code, stdout, stderr, "other\n")
}

// What the password is told to ends nowhere else.
func TestBecomePasswordHidden(t *testing.T) {
	t.Parallel()
	f, host := becomeSide(t, sshdtest.Users{})
	for _, secret := range []string{sshdtest.WorkerPassword, "Canary-4711-wrong"} {
		code, stdout, stderr := f.shoal(t, "run", "-w", host, "--become", "--become-password-file", secretFile(t, secret), "-v", "--json",
			"env; tr '\\0' '\\n' </proc/$PPID/environ; ps axww -o args=; ls -la /proc/self/fd")
		if want := map[bool]int{true: 0, false: 3}[secret == sshdtest.WorkerPassword]; code != want {
			t.Errorf("exit code %d, want %d\n%s\n%s", code, want, stdout, stderr)
		}
		if strings.Contains(stdout+stderr, secret) {
			t.Errorf("the password is in the output")
		}
		noTrace(t, f.state, secret)
	}
	if strings.Contains(f.server.Log(), sshdtest.WorkerPassword) {
		t.Error("the password is in the server's log")
	}
}

// Many simulated hosts of which a part has a sudo that is hostile or refuses. The oracle
// agrees, and nothing but the password, once, goes to a host before the command's user is
// another.
// faults.md: A14
func TestBecomeOnAFleet(t *testing.T) {
	t.Parallel()
	const secret = "Canary-4712"
	hosts := 200
	if os.Getenv("CI") == "" {
		hosts = 1000
	}
	cases := []struct {
		sudo    simfleet.Sudo
		outcome fleet.Outcome
		reason  fleet.Reason
		taken   string // what the host has read
	}{
		{simfleet.SudoRust, fleet.OutcomeOK, "", ""},
		{simfleet.SudoMissing, fleet.OutcomeNeverStarted, fleet.ReasonBecomeUnavailable, ""},
		{simfleet.SudoDenies, fleet.OutcomeNeverStarted, fleet.ReasonBecomeNotAllowed, ""},
		{simfleet.SudoTwice, fleet.OutcomeNeverStarted, fleet.ReasonBecomePrompt, secret + "\n"},
		{simfleet.SudoEndless, fleet.OutcomeNeverStarted, fleet.ReasonBecomePasswordWrong, secret + "\n"},
		{simfleet.SudoEchoes, fleet.OutcomeNeverStarted, fleet.ReasonBecomeNotAllowed, secret + "\n"},
	}
	special := func(i int) int { // of the first, which has to accept the password, nothing is
		if i%10 == 3 {
			return i / 10 % len(cases)
		}
		return -1
	}
	faults := []simfleet.Fault{simfleet.FaultNoisyLogin, simfleet.FaultReset, simfleet.FaultExecRefused, simfleet.FaultNoExitStatus}
	faultOf := func(i int) simfleet.Fault {
		if i%10 == 6 {
			return faults[i/10%len(faults)]
		}
		return simfleet.FaultNone
	}
	f, dir := startFleet(t, simfleet.Options{Hosts: hosts, Seed: "become", SudoPassword: secret, Fault: faultOf, Sudo: func(i int) simfleet.Sudo {
		if c := special(i); c >= 0 {
			return cases[c].sudo
		}
		return simfleet.SudoPlain
	}})
	input := filepath.Join(dir, "input")
	if err := os.WriteFile(input, []byte("what is sent\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	var out, errs bytes.Buffer
	code := cli.Main(t.Context(), pushArgs(dir, "run", "--hostfile", filepath.Join(dir, "hosts"), "-l", "ada", "-f", "50", "--kex-timeout", "5m", "--auth-timeout", "5m", "--session-timeout", "5m",
		"--attempts", "1", "--json", "--become", "--become-password-file", secretFile(t, secret), "--become-timeout", "5m", "--become-first=false", "--stdin-from", input,
		"id -un; cat; echo {index} >&2"),
		console.Stdio{In: strings.NewReader(""), Out: &out, Err: &errs})
	if code != 4 {
		t.Errorf("exit code %d\n%.2000s", code, errs.String())
	}
	if strings.Contains(out.String()+errs.String(), secret) {
		t.Error("the password is in the output")
	}
	var results []fleet.Result
	for e, err := range record.Read(&out) {
		if err != nil {
			t.Fatal(err)
		}
		if e.Result == nil {
			continue
		}
		r := *e.Result
		results = append(results, r)
		want, reason := fleet.OutcomeOK, fleet.Reason("")
		if c := special(r.Target.Index); c >= 0 {
			want, reason = cases[c].outcome, cases[c].reason
		}
		if fault := faultOf(r.Target.Index); fault != simfleet.FaultNone && fault != simfleet.FaultNoisyLogin {
			continue // the oracle says whether it is true
		}
		if r.Outcome != want || r.Reason != reason {
			t.Errorf("%d: %v(%s), want %v(%s): %v", r.Target.Index, r.Outcome, r.Reason, want, reason, r.Err)
		}
		if want == fleet.OutcomeOK && r.Flags.Has(fleet.FlagNoisyLogin) != (faultOf(r.Target.Index) == simfleet.FaultNoisyLogin) {
			t.Errorf("%d: flags %v", r.Target.Index, r.Flags)
		}
		if out := string(r.Stdout.Bytes); want == fleet.OutcomeOK && out != "root\nwhat is sent\n" {
			t.Errorf("%d: %q", r.Target.Index, out)
		}
	}
	for _, h := range f.Files() {
		file, found := h.Find("/tmp/taken")
		c := special(h.Index)
		if want := c >= 0 && cases[c].taken != ""; found && !want && file.Size > 0 {
			t.Errorf("%d has read %d bytes", h.Index, file.Size)
		} else if want && file.SHA256 != simfleet.Digest(sha256.Sum256([]byte(cases[c].taken))) {
			t.Errorf("%d, %s: it has read %d bytes", h.Index, cases[c].sudo, file.Size)
		}
	}
	if err := f.Close(); err != nil {
		t.Error(err)
	}
	if report := simfleet.Check(f.Log(), slices.Values(results), hosts); !report.OK() {
		t.Error(report)
	}
}

// Nothing of a script or a file goes to a sudo that asks for the password, or for something else, or says nothing.
func TestBecomeSendsNothingBefore(t *testing.T) {
	t.Parallel()
	const secret = "Canary-4721"
	sudos := []simfleet.Sudo{simfleet.SudoTwice, simfleet.SudoEndless, simfleet.SudoEchoes, simfleet.SudoDenies, simfleet.SudoSilent}
	for _, args := range [][]string{{"script", "FILE"}, {"push", "--checksum=never", "FILE", "pushed"}, {"push", "FILE", "pushed"}, {"run", "--env-secret", "A@FILE", "id"}} {
		f, dir := startFleet(t, simfleet.Options{Hosts: len(sudos), Seed: "before", SudoPassword: secret, Sudo: func(i int) simfleet.Sudo { return sudos[i] }})
		file := filepath.Join(dir, "file")
		if err := os.WriteFile(file, []byte("#!/bin/sh\n# "+strings.Repeat("0123456789abcdef", 2000)), 0o600); err != nil {
			t.Fatal(err)
		}
		if args[0] == "run" {
			file = secretFile(t, "Canary-4722")
		}
		all := pushArgs(dir, args[0], "--hostfile", filepath.Join(dir, "hosts"), "-l", "ada", "--attempts", "1", "--become", "--become-password-file", secretFile(t, secret),
			"--become-timeout", "5s", "--become-first=false")
		for _, arg := range args[1:] {
			all = append(all, strings.Replace(arg, "FILE", file, 1))
		}
		var out, errs bytes.Buffer
		code := cli.Main(t.Context(), all, console.Stdio{In: strings.NewReader(""), Out: &out, Err: &errs})
		expect(t, strings.Join(args, " "), 3, code, out.String(), errs.String(), "5 never started")
		for _, h := range f.Files() {
			if taken, found := h.Find("/tmp/taken"); found && taken.Size > 0 && taken.SHA256 != simfleet.Digest(sha256.Sum256([]byte(secret+"\n"))) {
				t.Errorf("%q, %s: it has read %d bytes", args, sudos[h.Index], taken.Size)
			}
		}
	}
}

// No second host gets a password before one has accepted it, nor any after a rejection.
func TestBecomeFirst(t *testing.T) {
	t.Parallel()
	const secret = "Canary-4717"
	f, dir := startFleet(t, simfleet.Options{Hosts: 30, Seed: "first", SudoPassword: "x", Sudo: func(int) simfleet.Sudo { return simfleet.SudoEndless }})
	var out, errs bytes.Buffer
	code := cli.Main(t.Context(), pushArgs(dir, "run", "--hostfile", filepath.Join(dir, "hosts"), "-l", "ada", "--become", "--become-password-file", secretFile(t, secret),
		"--become-timeout", "5m", "--attempts", "1", "id"), console.Stdio{In: strings.NewReader(""), Out: &out, Err: &errs})
	expect(t, "the run", 3, code, out.String(), errs.String(), "30 never started", "29 never started, become_password_needed", "1 never started, become_password_wrong")
	given := 0
	for _, h := range f.Files() {
		if file, found := h.Find("/tmp/taken"); found && file.Size > 0 {
			given++
		}
	}
	if given != 1 {
		t.Errorf("%d hosts got the password", given)
	}
}

// A sudo that says nothing gets nothing, and the time for it ends.
func TestBecomeTimeout(t *testing.T) {
	t.Parallel()
	f, dir := startFleet(t, simfleet.Options{Hosts: 3, Seed: "silent", SudoPassword: "x", Sudo: func(int) simfleet.Sudo { return simfleet.SudoSilent }})
	var out, errs bytes.Buffer
	code := cli.Main(t.Context(), pushArgs(dir, "run", "--hostfile", filepath.Join(dir, "hosts"), "-l", "ada", "--become", "--become-password-file", secretFile(t, "x"),
		"--become-timeout", "1s", "--stdin-from", filepath.Join(dir, "hosts"), "cat"), console.Stdio{In: strings.NewReader(""), Out: &out, Err: &errs})
	expect(t, "the run", 3, code, out.String(), errs.String(), "3 never started", "become_timeout")
	for _, h := range f.Files() {
		if file, found := h.Find("/tmp/taken"); found && file.Size > 0 {
			t.Errorf("%d has read %d bytes", h.Index, file.Size)
		}
	}
}
