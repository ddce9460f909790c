package cli_test

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"shoal/internal/cli"
	"shoal/internal/cli/console"
	"shoal/internal/journal"
	"shoal/internal/sshdtest"
)

// farSide is a real server, with a local state directory and a remote run
// directory.
type farSide struct {
	server *sshdtest.Server
	state  string
	marks  string
	dir    string // for files that commands write
}

func newFarSide(t *testing.T, opts ...sshdtest.Option) *farSide {
	t.Helper()
	dir := t.TempDir()
	return &farSide{server: sshdtest.OpenSSH(t, opts...), state: t.TempDir(), marks: filepath.Join(dir, "marks"), dir: dir}
}

// shoal runs the command line against the server.
func (f *farSide) shoal(t *testing.T, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	var out, errs bytes.Buffer
	common := []string{
		args[0], "-F", "none", "--no-agent", "--state-dir", f.state,
		"--known-hosts", f.server.KnownHosts, "--identity", f.server.KeyFile,
	}
	if args[0] == "show" || args[0] == "verify" {
		common = []string{args[0], "--state-dir", f.state}
	}
	code = cli.Main(t.Context(), append(common, args[1:]...), console.Stdio{In: strings.NewReader(""), Out: &out, Err: &errs})
	return code, out.String(), errs.String()
}

func (f *farSide) host() string {
	return fmt.Sprintf("%s@%s:%d", f.server.User, f.server.Host.Name, f.server.Host.Port)
}

// run is shoal run with three targets, all on the server.
func (f *farSide) run(t *testing.T, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	return f.shoal(t, append([]string{"run", "-w", f.host(), "--repeat", "3", "--run-dir", f.marks, "-N"}, args...)...)
}

// expect asserts the exit code and that the output contains all texts.
func expect(t *testing.T, what string, want, code int, stdout, stderr string, texts ...string) {
	t.Helper()
	all := stdout + stderr
	for _, text := range texts {
		if !strings.Contains(all, text) {
			t.Errorf("%s: %q is not in the output", what, text)
		}
	}
	if code != want || t.Failed() {
		t.Fatalf("%s: exit code %d, want %d\n%s\n%s", what, code, want, stdout, stderr)
	}
}

// lines counts the lines of a file that commands write to.
func (f *farSide) lines(t *testing.T, name string) int {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(f.dir, name))
	if err != nil {
		t.Fatal(err)
	}
	return bytes.Count(text, []byte("\n"))
}

func eventually(t *testing.T, what string, condition func() bool) {
	t.Helper()
	for range 3000 {
		if condition() {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Fatalf("%s did not come", what)
}

// A run is given up while its commands continue: their results are unknown
// until the host is asked. Nothing runs a second time.
func TestResolve(t *testing.T) {
	f := newFarSide(t)
	gate := filepath.Join(f.dir, "gate")
	command := fmt.Sprintf("echo {index} >> %s/ran; while [ ! -e %s ]; do sleep 0.1; done; echo {index} >> %s/ended; exit {index}",
		f.dir, gate, f.dir)
	code, stdout, stderr := f.run(t, "--once", "--timeout", "5", command)
	expect(t, "run", 130, code, stdout, stderr, "3 unknown")
	code, stdout, stderr = f.shoal(t, "resolve", "last")
	expect(t, "resolve", 4, code, stdout, stderr, "unknown: it still runs", "3 of 3 are still unknown")
	if err := os.WriteFile(gate, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the end of the commands", func() bool {
		text, _ := os.ReadFile(filepath.Join(f.dir, "ended"))
		return strings.Count(string(text), "\n") == 3
	})
	eventually(t, "what became of them", func() bool {
		code, stdout, stderr = f.shoal(t, "resolve", "last")
		return code == 0
	})
	expect(t, "resolve", 0, code, stdout, stderr)
	code, stdout, stderr = f.shoal(t, "show", "last")
	expect(t, "show", 0, code, stdout, stderr, "1 ok, 2 failed", "exit status 1", "exit status 2", "3 with output incomplete")
	code, stdout, stderr = f.shoal(t, "resolve", "last")
	expect(t, "resolve", 0, code, stdout, stderr, "nothing is unknown")
	code, stdout, stderr = f.shoal(t, "resume", "last")
	expect(t, "resume", 0, code, stdout, stderr, "nothing is left to run")
	code, stdout, stderr = f.shoal(t, "verify", "last")
	expect(t, "verify", 0, code, stdout, stderr, " 0 problems")
	if n := f.lines(t, "ran"); n != 3 {
		t.Errorf("%d starts, want 3", n)
	}
}

// Commands that a marker proves never started are run by resume, again with a
// marker, which a second resume does not start again.
func TestResolveAndResume(t *testing.T) {
	// The server drops its first three commands with their connections, so that
	// it is unknown here that they did not run.
	f := newFarSide(t)
	swallow := filepath.Join(f.dir, "swallow")
	if err := os.WriteFile(swallow, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	f = &farSide{state: f.state, marks: f.marks, dir: f.dir, server: sshdtest.OpenSSH(t, sshdtest.WithForceCommand(
		fmt.Sprintf(`if [ -e %s ]; then kill -9 $PPID; else sh -c "$SSH_ORIGINAL_COMMAND"; fi`, swallow)))}
	command := fmt.Sprintf("echo {index} >> %s/ran", f.dir)
	code, stdout, stderr := f.run(t, "--once", command)
	expect(t, "run", 4, code, stdout, stderr, "3 unknown")
	if err := os.Remove(swallow); err != nil {
		t.Fatal(err)
	}
	code, stdout, stderr = f.shoal(t, "resolve", "last")
	expect(t, "resolve", 0, code, stdout, stderr, "never started, and never will")
	for _, flag := range []string{"--run-dir=/elsewhere", "--once=false", "-l=other", "-o=User=other", "--cluster=nats://127.0.0.1:1"} {
		code, stdout, stderr = f.shoal(t, "resume", flag, "last")
		expect(t, "resume "+flag, 2, code, stdout, stderr, "cannot change when a run is resumed")
	}
	code, stdout, stderr = f.shoal(t, "resume", "last")
	expect(t, "resume", 0, code, stdout, stderr, "3 ok")
	if n := f.lines(t, "ran"); n != 3 {
		t.Errorf("%d starts, want 3", n)
	}
	if markers, err := os.ReadDir(f.marks); len(markers) != 9 || err != nil {
		t.Errorf("%d markers, want three for each target, of the run, of resolve and of resume: %v", len(markers), err)
	}
}

// Two operators: runs from two state directories are two runs, and both run.
// Copies of one state directory are the same run: of several that resume it at
// once, one starts each command (audit P4). The same holds for later sessions
// that know less.
func TestCopiesOfOneRun(t *testing.T) {
	f := newFarSide(t)
	other := *f
	other.state = t.TempDir()
	var both sync.WaitGroup
	for _, side := range []*farSide{f, &other} {
		both.Go(func() {
			if code, stdout, stderr := side.run(t, "--once", fmt.Sprintf("echo {index} >> %s/each", f.dir)); code != 0 {
				t.Errorf("run: exit code %d\n%s\n%s", code, stdout, stderr)
			}
		})
	}
	both.Wait()
	if n := f.lines(t, "each"); n != 6 {
		t.Errorf("%d starts of two runs, want 3 of each", n)
	}

	code, stdout, stderr := f.run(t, "--once", "-f", "1", "--fail-fast", fmt.Sprintf("echo {index} >> %s/ran; [ {index} != 0 ]", f.dir))
	expect(t, "run", 3, code, stdout, stderr, "1 failed", "2 cancelled")
	sides := []*farSide{f, {}, {}, {}}
	for i, side := range sides {
		if side != f {
			*side = *f
			side.state = filepath.Join(t.TempDir(), fmt.Sprint(i))
			if err := os.CopyFS(side.state, os.DirFS(f.state)); err != nil {
				t.Fatal(err)
			}
		}
	}
	for session := range 3 {
		var all sync.WaitGroup
		said := make([]string, len(sides))
		for i, side := range sides {
			all.Go(func() {
				_, stdout, stderr := side.shoal(t, "resume", "--past-brake", "--fail-fast=false", "last")
				said[i] = stdout + stderr
			})
		}
		all.Wait()
		text, err := os.ReadFile(filepath.Join(f.dir, "ran"))
		lines := strings.Fields(string(text))
		if slices.Sort(lines); err != nil || !slices.Equal(lines, []string{"0", "1", "2"}) {
			t.Fatalf("session %d: the starts were %q, %v; want each once:\n%s", session+1, lines, err, strings.Join(said, "\n"))
		}
	}
	// The others report that they did not start it, and learn its result.
	started := 0
	for _, side := range sides {
		_, _, stderr := side.shoal(t, "show", "last")
		started += 2 - strings.Count(stderr, "unknown: already_started")
		if code, stdout, stderr := side.shoal(t, "resolve", "last"); code != 0 {
			t.Errorf("resolve: exit code %d\n%s\n%s", code, stdout, stderr)
		}
		code, stdout, stderr := side.shoal(t, "show", "last")
		expect(t, "show", 0, code, "", stdout+stderr, "2 ok, 1 failed")
	}
	if started != 2 {
		t.Errorf("%d starts were told of, want 2", started)
	}
}

func TestDetachAndCollect(t *testing.T) {
	f := newFarSide(t)
	gate := filepath.Join(f.dir, "gate")
	code, stdout, stderr := f.run(t, "--detach",
		fmt.Sprintf("while [ ! -e %s ]; do sleep 0.1; done; echo out {index}; echo err >&2; head -c 3000000 /dev/zero; exit {index}", gate))
	expect(t, "run", 0, code, stdout, stderr, "3 detached")
	code, stdout, stderr = f.shoal(t, "collect", "last")
	expect(t, "collect", 4, code, stdout, stderr, "not collected: ", ": it still runs", "no targets")
	if err := os.WriteFile(gate, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	out := filepath.Join(f.dir, "out")
	code, stdout, stderr = f.shoal(t, "collect", "--wait", "--max-output", "10M", "--outdir", out, "-N", "last")
	expect(t, "collect", 1, code, "", stderr, "1 ok, 2 failed")
	for i := range 3 {
		want := append(fmt.Appendf(nil, "out %d\n", i), make([]byte, 3_000_000)...)
		if !bytes.Contains([]byte(stdout), want) {
			t.Errorf("the output of target %d is not among %d bytes", i, len(stdout))
		}
	}
	code, stdout, stderr = f.shoal(t, "collect", "last")
	expect(t, "collect", 0, code, stdout, stderr, "nothing is left to collect")
	if markers, err := os.ReadDir(f.marks); len(markers) != 0 || err != nil {
		t.Errorf("%d markers are left: %v", len(markers), err)
	}
	code, stdout, stderr = f.run(t, "true")
	expect(t, "run", 2, code, stdout, stderr, "--run-dir is for markers")
	code, _, stderr = f.shoal(t, "run", "-w", f.host(), "true")
	expect(t, "run", 0, code, "", stderr)
	code, stdout, stderr = f.shoal(t, "collect", "last")
	expect(t, "collect", 2, code, stdout, stderr, "left no markers", "hint: ")
}

// collect names files by the hosts, as run does.
func TestCollectOutdir(t *testing.T) {
	f := newFarSide(t)
	code, stdout, stderr := f.shoal(t, "run", "-w", f.host(), "--run-dir", f.marks, "--detach", "echo collected")
	expect(t, "run", 0, code, stdout, stderr, "1 detached")
	out := filepath.Join(f.dir, "out")
	code, stdout, stderr = f.shoal(t, "collect", "--wait", "--outdir", out, "last")
	expect(t, "collect", 0, code, stdout, stderr, "1 ok")
	if text, err := os.ReadFile(filepath.Join(out, f.server.Host.Name+".out")); string(text) != "collected\n" {
		t.Errorf("%q, %v", text, err)
	}
}

// Commands that were given up are killed on their hosts, with all processes
// that they started; where that is unproven, the host is named.
func TestKillOnCancel(t *testing.T) {
	f := newFarSide(t)
	command := fmt.Sprintf("sleep 1000 & echo $! >> %s/pids; wait", f.dir)
	code, stdout, stderr := f.run(t, "--kill-on-cancel", "--command-timeout", "3", command)
	expect(t, "run", 1, code, stdout, stderr, "3 signalled (killed: ", "given up (timeout), and killed there")
	f.allGone(t)
	code, stdout, stderr = f.run(t, "--kill-on-cancel", "--timeout", "3", command)
	expect(t, "run", 130, code, stdout, stderr, "3 signalled (killed: ", "given up (interrupted), and killed there")
	f.allGone(t)

	forced := newFarSide(t, sshdtest.WithForceCommand("exec sleep 1000"))
	code, stdout, stderr = forced.run(t, "--kill-on-cancel", "--command-timeout", "1", "--timeout", "3", "true")
	expect(t, "run", 130, code, stdout, stderr, "3 unknown (timeout: ", "given up, and may still run: ")
}

// allGone fails if a process that commands recorded still exists.
func (f *farSide) allGone(t *testing.T) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(f.dir, "pids"))
	if err != nil {
		t.Fatal(err)
	}
	for pid := range strings.FieldsSeq(string(text)) {
		if status, err := os.ReadFile("/proc/" + pid + "/status"); err == nil && !bytes.Contains(status, []byte("State:\tZ")) {
			t.Errorf("process %s still runs", pid)
		}
	}
}

func TestSweep(t *testing.T) {
	f := newFarSide(t)
	code, stdout, stderr := f.run(t, "--once", "true")
	expect(t, "run", 0, code, stdout, stderr)
	code, stdout, stderr = f.shoal(t, "sweep", "-w", f.host(), "--run-dir", f.marks)
	expect(t, "sweep", 0, code, stdout, stderr, "0 removed, 0 left")
	old := time.Now().Add(-31 * 24 * time.Hour)
	markers, err := filepath.Glob(f.marks + "/*")
	if err != nil || len(markers) != 3 {
		t.Fatalf("%d markers: %v", len(markers), err)
	}
	for _, m := range markers {
		if err := os.Chtimes(m, old, old); err != nil {
			t.Fatal(err)
		}
	}
	code, stdout, stderr = f.shoal(t, "sweep", "-w", f.host(), "--run-dir", f.marks)
	expect(t, "sweep", 0, code, stdout, stderr, "3 removed, 0 left")

	// What it does not do, it says.
	if err := os.Chmod(f.marks, 0o750); err != nil {
		t.Fatal(err)
	}
	code, stdout, stderr = f.shoal(t, "sweep", "-w", f.host(), "--run-dir", f.marks)
	expect(t, "sweep", 3, code, stdout, stderr, "not swept: the run directory is not")
	// 213,504 days are 25 minutes in a Duration.
	for _, days := range []string{"0", "-1", "213504"} {
		code, stdout, stderr = f.shoal(t, "sweep", "-w", f.host(), "--run-dir", f.marks, "--days="+days)
		expect(t, "sweep", 2, code, stdout, stderr, "--days "+days+": want 1 to 36500")
	}
}

// Markers of commands that have ended are removed by the run itself; one that cannot be is said.
func TestMarkersAreRemoved(t *testing.T) {
	f := newFarSide(t)
	for _, c := range []struct {
		flags string
		want  int
	}{
		{"--kill-on-cancel", 0},
		{"--kill-on-cancel --client standard", 0},
		{"--kill-on-cancel --barrier", 0},
		{"--kill-on-cancel --no-journal", 3}, // the last: these stay
	} {
		flags, want := c.flags, c.want
		code, stdout, stderr := f.run(t, append(strings.Fields(flags), "echo out {index}")...)
		expect(t, flags, 0, code, stdout, stderr, "out 0\n", "out 1\n", "out 2\n")
		markers, err := filepath.Glob(f.marks + "/*")
		if err != nil || len(markers) != want || strings.Contains(stderr, "marker") {
			t.Errorf("%s: %v are left, want %d: %v\n%s", flags, markers, want, err, stderr)
		}
	}
	code, stdout, stderr := f.run(t, "--kill-on-cancel", "-f", "1", "[ {index} != 2 ] || chmod 755 "+f.marks)
	expect(t, "run", 0, code, stdout, stderr, "shoal: 1 marker stays on its host until shoal sweep: the host did not remove it\n")
}

func TestRemoteFlags(t *testing.T) {
	for _, c := range []struct{ flags, want string }{
		{"--once --no-journal", "need the journal"},
		{"--detach --state-dir none", "need the journal"},
		{"--detach --kill-on-cancel", "nothing to kill"},
		{"--once --run-dir marks", "absolute path"},
		{"--once --run-dir /a/../b", "absolute path"},
		{"--run-dir /marks", "is for markers"},
	} {
		var out, errs bytes.Buffer
		args := append([]string{"run", "-F", "none", "--no-agent", "-w", "a"}, strings.Fields(c.flags)...)
		code := cli.Main(t.Context(), append(args, "true"), console.Stdio{In: strings.NewReader(""), Out: &out, Err: &errs})
		if code != 2 || !strings.Contains(errs.String(), c.want) {
			t.Errorf("%s: exit code %d, want 2 and %q:\n%s", c.flags, code, c.want, errs.String())
		}
	}
}

// Markers are looked for where the run left them: at another account or machine
// they would seem to be missing.
func TestCollectElsewhere(t *testing.T) {
	f := newFarSide(t)
	host, port := f.server.Host.Name, fmt.Sprint(f.server.Host.Port)
	code, stdout, stderr := f.shoal(t, "run", "--detach", "-w", host, "-p", port, "--run-dir", f.marks, "echo out")
	expect(t, "run", 0, code, stdout, stderr, "1 detached")
	for flag, want := range map[string]string{
		"-l=other":                 "--user would ask other@" + host + ":" + port,
		"-p=1":                     "--port would ask " + f.server.User + "@" + host + ":1;",
		"-J=jump":                  "--jump would ask " + f.server.User + "@" + host + ":" + port + " through ",
		"-o=User=other":            "--option would ask other@",
		"-o=ProxyCommand=nc %h %p": "--option would ask ",
		"-o=HostName=other":        "--option would ask " + f.server.User + "@other:",
	} {
		for _, command := range []string{"collect", "resolve"} {
			code, stdout, stderr = f.shoal(t, command, flag, "last")
			expect(t, command+" "+flag, 2, code, stdout, stderr, want, "the run's marker is at "+f.server.User+"@"+host+":"+port, "hint: ")
		}
	}
	code, stdout, stderr = f.shoal(t, "collect", "--wait", "-l", f.server.User, "-p", port, "-o", "ConnectTimeout=60", "last")
	expect(t, "collect", 0, code, stdout, stderr, "1 ok", "out")

	// Where there is nothing to ask, nothing is written into the journal.
	before := f.sessions(t)
	for command, want := range map[string]string{"collect": "nothing is left to collect", "resolve": "nothing is unknown"} {
		code, stdout, stderr = f.shoal(t, command, "last")
		expect(t, command, 0, code, stdout, stderr, want)
	}
	if n := f.sessions(t); n != before {
		t.Errorf("%d sessions of the run, want %d", n, before)
	}
}

// sessions returns the number of sessions of the last run.
func (f *farSide) sessions(t *testing.T) int { return len(f.lastRun(t).Sessions) }

// lastRun returns the last run in the journal.
func (f *farSide) lastRun(t *testing.T) *journal.RunInfo {
	t.Helper()
	j, err := journal.OpenReadOnly(t.Context(), f.state, journal.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = j.Close() }()
	id, err := j.Resolve(t.Context(), "last")
	if err != nil {
		t.Fatal(err)
	}
	info, err := j.Run(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	return info
}

// A detached command whose marker is gone will never have a result: --wait says
// so and ends.
func TestCollectWaitEnds(t *testing.T) {
	f := newFarSide(t)
	code, stdout, stderr := f.run(t, "--detach", "true")
	expect(t, "run", 0, code, stdout, stderr, "3 detached")
	// The commands may still write into the markers.
	eventually(t, "the removal of the markers", func() bool { return os.RemoveAll(f.marks) == nil })
	code, stdout, stderr = f.shoal(t, "collect", "--wait", "last")
	expect(t, "collect", 4, code, stdout, stderr, "not collected: ", "no marker")
}

// What was collected but could not be shown stays on the hosts, which may have
// more than the journal (audit, suspected). Gathered output is written last.
func TestCollectKeepsWhatIsNotShown(t *testing.T) {
	f := newFarSide(t)
	code, stdout, stderr := f.run(t, "--detach", "echo out")
	expect(t, "run", 0, code, stdout, stderr, "3 detached")
	var errs bytes.Buffer
	code = cli.Main(t.Context(), []string{
		"collect", "-F", "none", "--no-agent", "--state-dir", f.state, "--known-hosts", f.server.KnownHosts, "--identity", f.server.KeyFile,
		"--wait", "-b", "last",
	}, console.Stdio{In: strings.NewReader(""), Out: fullDisk{}, Err: &errs})
	expect(t, "collect", 4, code, "", errs.String(), "no space left on device", "stay on the hosts", "3 ok")
	if markers, err := os.ReadDir(f.marks); len(markers) != 3 || err != nil {
		t.Errorf("%d markers, want 3: %v", len(markers), err)
	}
}

// Output that one collect left on the hosts is fetched by a later one: what was cut, what
// was written after the command's end, and what --keep left.
func TestCollectAgain(t *testing.T) {
	f := newFarSide(t)
	markers := func(want int) {
		t.Helper()
		if got, err := os.ReadDir(f.marks); len(got) != want || err != nil {
			t.Errorf("%d markers, want %d: %v", len(got), want, err)
		}
	}
	collect := func(code int, texts []string, args ...string) (stdout string) {
		t.Helper()
		got, stdout, stderr := f.shoal(t, append([]string{"collect"}, append(args, "-N", "last")...)...)
		expect(t, strings.Join(args, " "), code, got, "", stderr, texts...)
		return stdout
	}
	shown := func() string {
		t.Helper()
		code, stdout, stderr := f.shoal(t, "show", "-N", "--max-output", "0", "last")
		expect(t, "show", 0, code, "", stderr)
		return stdout
	}
	const all, size = "shoal collect --max-output 0 --outdir DIR ", 2_000_000
	code, stdout, stderr := f.run(t, "--detach", fmt.Sprintf("head -c %d /dev/zero", size))
	expect(t, "run", 0, code, stdout, stderr, "3 detached")
	if n := len(collect(0, []string{"3 ok", all}, "--wait")); n != 3<<20 {
		t.Errorf("%d bytes, want 1 MiB of each", n)
	}
	before := f.sessions(t)
	collect(0, []string{"nothing is left to collect", "the journal has only a part", all})
	if n := f.sessions(t); n != before {
		t.Errorf("%d sessions, want %d: nothing could be gained", n, before)
	}
	markers(3)
	if n := len(collect(0, []string{"3 ok"}, "--max-output", "0")); n != 3*size {
		t.Errorf("%d bytes, want all", n)
	}
	if n := len(shown()); n != 3*size {
		t.Errorf("the journal has %d bytes, want all", n)
	}
	markers(0)
	collect(0, []string{"nothing is left to collect"})

	gate := filepath.Join(f.dir, "gate")
	code, stdout, stderr = f.run(t, "--detach", fmt.Sprintf("(while [ ! -e %s ]; do sleep 0.1; done; echo late) & echo early", gate))
	expect(t, "run", 0, code, stdout, stderr, "3 detached")
	if got := collect(0, []string{"3 ok", "processes of the command run there", "shoal collect "}, "--wait"); got != "early\nearly\nearly\n" {
		t.Errorf("%q", got)
	}
	if err := os.WriteFile(gate, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the rest of the output", func() bool {
		collect(0, []string{"3 ok"}, "--keep", "--again")
		return strings.Count(shown(), "early\nlate\n") == 3
	})

	collect(0, []string{"3 ok", "the journal keeps the output that it had", all}, "--again", "--max-output", "1")
	if got := strings.Count(shown(), "early\nlate\n"); got != 3 {
		t.Errorf("the journal has %d whole outputs, want 3", got)
	}
	collect(0, []string{"nothing is left to collect"})
	markers(3)
	collect(0, []string{"3 ok", "shoal collect --again "}, "--again", "--keep")
	markers(3)
	collect(0, []string{"3 ok"}, "--again")
	markers(0)
	collect(0, []string{"nothing is left on ", "shoal show "}, "--again")
}

// A fullDisk has no space left.
type fullDisk struct{}

func (fullDisk) Write([]byte) (int, error) { return 0, syscall.ENOSPC }

// The journal has the exit code that the process returned, also if the display
// fails at its end, and its end does not wait for the reader.
func TestJournalEnd(t *testing.T) {
	f := newFarSide(t)
	for name, c := range map[string]struct {
		err  error // of the reader
		code int
	}{"slow reader": {nil, 0}, "slow reader that fails": {syscall.EIO, 4}} {
		t.Run(name, func(t *testing.T) {
			reader := &slowReader{entered: make(chan struct{}), opened: make(chan struct{}), err: c.err}
			run := make(chan int, 1) // sent by the goroutine
			var errs bytes.Buffer
			go func() {
				run <- cli.Main(t.Context(), []string{
					"run", "-F", "none", "--no-agent", "--state-dir", f.state, "--known-hosts", f.server.KnownHosts, "--identity", f.server.KeyFile,
					"-w", f.host(), "echo out",
				}, console.Stdio{In: strings.NewReader(""), Out: reader, Err: &errs})
			}()
			<-reader.entered
			eventually(t, "the end in the journal", func() bool { return f.lastRun(t).State == journal.Ended })
			close(reader.opened)
			code := <-run
			end := f.lastRun(t).Sessions[0]
			if code != c.code || end.ExitCode != code || end.Failure != "" || end.Interrupted {
				t.Errorf("exit code %d, want %d; in the journal %+v\n%s", code, c.code, end.Ending, errs.String())
			}
		})
	}
}

// A slowReader takes nothing until opened is closed.
type slowReader struct {
	entered chan struct{} // closed by the first Write
	once    sync.Once
	opened  chan struct{}
	err     error
}

func (r *slowReader) Write(p []byte) (int, error) {
	r.once.Do(func() { close(r.entered) })
	<-r.opened
	return len(p), r.err
}

// A detached command whose marker was claimed but that never began is settled,
// so that resume runs it. What has ended is left for collect, and what has no
// marker stays unknown (attack 8).
func TestResolveDetached(t *testing.T) {
	f := newFarSide(t)
	code, stdout, stderr := f.run(t, "--detach", fmt.Sprintf("echo {index} >> %s/ran", f.dir))
	expect(t, "run", 0, code, stdout, stderr, "3 detached")
	eventually(t, "the end of the commands", func() bool {
		ends, _ := filepath.Glob(f.marks + "/*/end")
		return len(ends) == 3
	})
	// As an earlier version left it on a full disk, and after a cleanup tool.
	claimed, err := filepath.Glob(f.marks + "/*-1")
	gone, err2 := filepath.Glob(f.marks + "/*-2")
	if err != nil || err2 != nil || len(claimed) != 1 || len(gone) != 1 {
		t.Fatalf("%q, %q, %v, %v", claimed, gone, err, err2)
	}
	for _, dir := range []string{claimed[0], gone[0]} {
		if err := os.RemoveAll(dir); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Mkdir(claimed[0], 0o700); err != nil {
		t.Fatal(err)
	}
	code, stdout, stderr = f.shoal(t, "resolve", "last")
	expect(t, "resolve", 4, code, stdout, stderr, "detached: it has ended", "never started, and never will", "unknown: it has no marker", "1 of 3 are still unknown")
	code, stdout, stderr = f.shoal(t, "resume", "last")
	expect(t, "resume", 0, code, stdout, stderr, "1 detached")
	eventually(t, "the second start", func() bool { return f.lines(t, "ran") == 4 })
}

// A detached command whose receipt was lost is unknown. Once it has ended, resolve leaves
// it to collect, which alone fetches its output.
func TestResolveLeavesOutput(t *testing.T) {
	f := newFarSide(t)
	swallow := filepath.Join(f.dir, "swallow")
	if err := os.WriteFile(swallow, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	f = &farSide{state: f.state, marks: f.marks, dir: f.dir, server: sshdtest.OpenSSH(t, sshdtest.WithForceCommand(
		fmt.Sprintf(`if [ -e %s ]; then sh -c "$SSH_ORIGINAL_COMMAND" >/dev/null; else sh -c "$SSH_ORIGINAL_COMMAND"; fi`, swallow)))}
	gate := filepath.Join(f.dir, "gate")
	code, stdout, stderr := f.run(t, "--detach", fmt.Sprintf("while [ ! -e %s ]; do sleep 0.1; done; echo out {index}", gate))
	expect(t, "run", 4, code, stdout, stderr, "3 unknown (no_receipt")
	if err := os.Remove(swallow); err != nil {
		t.Fatal(err)
	}
	code, stdout, stderr = f.shoal(t, "resolve", "last")
	expect(t, "resolve", 0, code, stdout, stderr, "detached: it still runs; shoal collect")
	if err := os.WriteFile(gate, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the end of the commands", func() bool {
		ends, _ := filepath.Glob(f.marks + "/*/end")
		return len(ends) == 3
	})
	code, stdout, stderr = f.shoal(t, "resolve", "last")
	expect(t, "resolve", 0, code, stdout, stderr, "detached: it has ended, and shoal collect")
	code, stdout, stderr = f.shoal(t, "show", "last")
	expect(t, "show", 0, code, stdout, stderr, "3 unknown")
	code, stdout, stderr = f.shoal(t, "collect", "last")
	expect(t, "collect", 0, code, stdout, stderr, "3 ok", "out 0\n", "out 1\n", "out 2\n")
	if markers, err := os.ReadDir(f.marks); len(markers) != 0 || err != nil {
		t.Errorf("%d markers are left: %v", len(markers), err)
	}
}

// Markers have 80 random bits in their names, which resume keeps and rerun
// replaces (audit, suspected).
func TestMarkerNames(t *testing.T) {
	f := newFarSide(t)
	code, stdout, stderr := f.run(t, "--once", "true")
	expect(t, "run", 0, code, stdout, stderr, "3 ok")
	code, stdout, stderr = f.shoal(t, "rerun", "last", "ok")
	expect(t, "rerun", 0, code, stdout, stderr, "3 ok")
	markers, err := os.ReadDir(f.marks)
	keys := make(map[string]int)
	for _, m := range markers {
		if parts := regexp.MustCompile(`^[0-9a-z]+-[0-9a-z]+-([A-Z2-7]{16})-[012]$`).FindStringSubmatch(m.Name()); parts != nil {
			keys[parts[1]]++
		}
	}
	if len(keys) != 2 || len(markers) != 6 || err != nil {
		t.Errorf("keys %v in %d names, %v", keys, len(markers), err)
	}
}

// A command of 1 MiB runs under every wrapper and without one; a longer one than 4 MiB runs
// nowhere.
func TestBigCommand(t *testing.T) {
	f := newFarSide(t)
	padding := strings.Repeat("\n# "+strings.Repeat("x", 1021), 1<<10)
	for name, flags := range map[string][]string{
		"plain": nil, "once": {"--once"}, "timeout": {"--remote-timeout", "600"},
		"all": {"--once", "--kill-on-cancel", "--remote-timeout", "600"}, "standard": {"--once", "--client", "standard"},
		"detach": {"--detach", "--remote-timeout", "600"},
	} {
		args := []string{"run", "-w", f.host(), "--repeat", "3"}
		if name != "plain" && name != "timeout" {
			args = append(args, "--run-dir", f.marks)
		}
		args = append(append(args, flags...), "echo {index} >> "+f.dir+"/"+name+padding+"\ncat; echo end {index}")
		code, stdout, stderr := f.shoal(t, args...)
		if name == "detach" {
			expect(t, name, 0, code, stdout, stderr, "3 detached")
			code, stdout, stderr = f.shoal(t, "collect", "--wait", "last")
		}
		expect(t, name, 0, code, stdout, stderr, "end 0\n", "end 1\n", "end 2\n", "3 ok")
		if n := f.lines(t, name); n != 3 {
			t.Errorf("%s: it ran %d times", name, n)
		}
	}
	if left, err := filepath.Glob(filepath.Join(f.marks, "*", "cmd")); err != nil || len(left) > 0 {
		t.Errorf("left %q, %v", left, err)
	}
	code, stdout, stderr := f.run(t, "--once", strings.Repeat(padding, 5))
	expect(t, "too long", 3, code, stdout, stderr, "3 never started", "of at most 4194304", "hint: ")
}

// The output of a retry (--idempotent) is whole wherever it is shown or stored, whatever
// the failed attempt has written before.
func TestRetryIsShownWhole(t *testing.T) {
	f := newFarSide(t)
	for name, c := range map[string]struct {
		args           []string
		stdout, stderr string
	}{
		"live":      {nil, "HOST: long lost line\nHOST: part\nHOST: new\n", "attempt 1 failed; 19 bytes of its output were shown"},
		"no prefix": {[]string{"-N"}, "long lost line\nnew\n", "attempt 1 failed; 15 bytes of its output were shown"},
		"ordered":   {[]string{"-L"}, "HOST: new\n", ""},
		"gathered":  {[]string{"-b"}, "new\n", ""},
	} {
		t.Run(name, func(t *testing.T) {
			dir, out := t.TempDir(), filepath.Join(t.TempDir(), "out")
			// The first attempt ends its connection once its output has been shown, or
			// at once where output is only shown with the result.
			command := fmt.Sprintf("if mkdir %[1]s/first; then cat %[1]s/text; while [ ! -e %[1]s/gate ]; do sleep 0.1; done; kill -9 $PPID; sleep 10; else echo new; fi 2>/dev/null", dir)
			if err := os.WriteFile(filepath.Join(dir, "text"), []byte("long lost line\npart"), 0o600); err != nil { // one write of cat
				t.Fatal(err)
			}
			reader := &gateReader{want: "long lost line\n", gate: filepath.Join(dir, "gate")}
			if c.stderr == "" {
				reader.open()
			}
			var errs bytes.Buffer
			code := cli.Main(t.Context(), append([]string{
				"run", "-F", "none", "--no-agent", "--state-dir", f.state, "--known-hosts", f.server.KnownHosts, "--identity", f.server.KeyFile,
				"-w", f.host(), "--idempotent", "--outdir", out,
			}, append(c.args, command)...), console.Stdio{In: strings.NewReader(""), Out: reader, Err: &errs})
			want := strings.ReplaceAll(c.stdout, "HOST", f.host())
			if got := reader.text.String(); code != 0 || !strings.HasSuffix(got, want) || name != "gathered" && got != want || !strings.Contains(errs.String(), c.stderr) {
				t.Errorf("exit code %d, %q, want %q\n%s", code, got, want, errs.String())
			}
			files, err := filepath.Glob(out + "/*.out")
			if err != nil || len(files) != 1 {
				t.Fatalf("%q, %v", files, err)
			}
			if text, err := os.ReadFile(files[0]); string(text) != "new\n" || err != nil {
				t.Errorf("in the file: %q, %v", text, err)
			}
			code, stdout, stderr := f.shoal(t, "show", "--json", "last")
			expect(t, "show", 0, code, stdout, stderr, `"new\n"`)
			if strings.Contains(stdout, "lost") {
				t.Errorf("the journal has output of the failed attempt: %s", stdout)
			}
		})
	}
}

// A gateReader makes a file once it has read a text.
type gateReader struct {
	want, gate string
	text       bytes.Buffer
}

func (r *gateReader) Write(p []byte) (int, error) {
	r.text.Write(p)
	if strings.Contains(r.text.String(), r.want) {
		r.open()
	}
	return len(p), nil
}

func (r *gateReader) open() {
	if err := os.WriteFile(r.gate, nil, 0o600); err != nil {
		panic(err)
	}
}

// Commands get the variables, directory, umask and standard input that were asked for, in the
// wrapper and when the run is repeated; where the directory cannot be entered nothing runs.
func TestPlaceAndInput(t *testing.T) {
	t.Parallel()
	f := newFarSide(t)
	dir := filepath.Join(f.dir, "a dir")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	input := filepath.Join(f.dir, "input")
	if err := os.WriteFile(input, []byte("in\x00put\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	args := []string{
		"--env", "A=it's", "--env", "B=b c", "--chdir", dir, "--umask", "0027", "--stdin-from", input, "--once", "--remote-timeout", "60",
		`printf '%s|' "$A" "$B"; umask; pwd; cat; exit 3`,
	}
	code, stdout, stderr := f.run(t, args...)
	expect(t, "run", 1, code, stdout, stderr, "it's|b c|0027\n"+dir+"\nin\x00put\n", "each command gets 7 B")
	code, stdout, stderr = f.shoal(t, "rerun", "-N", "--stdin-from", input, "last", "failed")
	expect(t, "rerun", 1, code, stdout, stderr, "it's|b c|0027\n"+dir+"\nin\x00put\n", "--env=A=… --env=B=… ")
	code, stdout, stderr = f.shoal(t, "run", "-w", f.host(), "--chdir", dir+"/none", "touch "+f.dir+"/ran")
	expect(t, "no directory", 3, code, stdout, stderr, "chdir_failed", "cannot be entered")
	if _, err := os.Stat(f.dir + "/ran"); err == nil {
		t.Error("it ran")
	}
	for _, bad := range [][]string{{"--env", "A"}, {"--umask", "9"}, {"--chdir", "~/x"}} {
		code, stdout, stderr = f.run(t, append(bad, "true")...)
		expect(t, "bad "+bad[0], 2, code, stdout, stderr)
	}
}
