package simfleet

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"golang.org/x/crypto/ssh"

	"shoal/fleet"
	"shoal/internal/remote"
)

const nonce = "N0nceN0nce"

// wrapped runs a command under a wrapper of package remote.
func wrapped(t *testing.T, client *ssh.Client, w remote.Wrap, command string) (stdout, stderr string, err error) {
	t.Helper()
	w.Nonce = nonce
	text, input, err := w.Request(command)
	if err != nil {
		t.Fatal(err)
	}
	return runOn(t, client, text, input)
}

func ask(t *testing.T, client *ssh.Client, question string, err error) remote.Report {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	out, stderr, err := runOn(t, client, question, "")
	r, parse := remote.ParseReport(nonce, []byte(out))
	if parse != nil {
		t.Fatalf("%v, %v: %q, %q", err, parse, out, stderr)
	}
	return r
}

func status(err error) int {
	if e := new(ssh.ExitError); errors.As(err, &e) {
		if e.Signal() != "" {
			return 128
		}
		return e.ExitStatus()
	}
	return 0
}

// TestWrappers runs commands under each kind of wrapper of package remote, whose
// scripts need a shell, files and processes.
func TestWrappers(t *testing.T) {
	f := startFleet(t, Options{Hosts: 1})
	client := dialSSH(t, f, 0)
	for name, w := range map[string]remote.Wrap{
		"once":    {},
		"killed":  {Group: true},
		"timeout": {Timeout: time.Hour},
		"all":     {Group: true, Timeout: time.Hour},
	} {
		w.Marker = &remote.Marker{Run: name}
		for try, want := range []int{3, remote.StatusAgain} {
			out, errors, err := wrapped(t, client, w, "echo \"it's \xff\"; echo err >&2; exit 3")
			refusal, refused := remote.ParseRefusal(nonce, []byte(errors))
			if status(err) != want || refused != (try == 1) || try == 0 && (out != "it's \xff\n" || errors != "err\n") {
				t.Errorf("%s: got %q and %q, %v, %v", name, out, errors, err, refusal)
			}
		}
		question, err := w.Marker.Settle(nonce)
		if r := ask(t, client, question, err); r.State != remote.StateEnded || r.Status != 3 || r.Left || r.Up < uptime {
			t.Errorf("%s: settled as %+v", name, r)
		}
		question, err = w.Marker.Forget(nonce)
		if r := ask(t, client, question, err); !r.Forgotten {
			t.Errorf("%s: not forgotten", name)
		}
	}
	// A big command comes through standard input.
	w := remote.Wrap{Marker: &remote.Marker{Run: "big"}}
	if out, _, err := wrapped(t, client, w, "echo big"+strings.Repeat("\n#", 100_000)); out != "big\n" || err != nil {
		t.Errorf("a big command: %q, %v", out, err)
	}
	for _, p := range []string{"find /home/ada/.local/state/shoal/marks -name cmd", "find /tmp -name 'shoal*'"} {
		if out, _, _ := runOn(t, client, p, ""); out != "" {
			t.Errorf("%s: %q", p, out)
		}
	}
	if r := ask(t, client, must(t)(remote.Sweep(nonce, "", time.Minute)), nil); r.Removed != 0 || r.Remaining != 0 {
		t.Errorf("swept %+v", r)
	}
	_, _, _ = runOn(t, client, "touch -d @1000 .local/state/shoal/marks/*", "")
	if r := ask(t, client, must(t)(remote.Sweep(nonce, "", time.Minute)), nil); r.Removed != 1 || r.Remaining != 0 {
		t.Errorf("swept %+v", r)
	}
}

func must(t *testing.T) func(string, error) string {
	return func(s string, err error) string {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
}

// TestProcesses starts detached commands, and kills them and others.
func TestProcesses(t *testing.T) {
	f := startFleet(t, Options{Hosts: 2})
	client := dialSSH(t, f, 0)
	m := remote.Marker{Run: "detached"}
	w := remote.Wrap{Marker: &m, Detach: true, Group: true}
	command := "trap 'echo end; exit 4' TERM; echo begun; touch begun; while :; do sleep 0.01; done"
	if out, _, err := wrapped(t, client, w, command); err != nil || !strings.Contains(out, "\naccepted\n") {
		t.Fatalf("the receipt is %q, %v", out, err)
	}
	_ = client.Close() // the command goes on
	client = dialSSH(t, f, 0)
	if out, _, err := runOn(t, client, "while [ ! -e begun ]; do sleep 0.01; done; ls", ""); out != "begun\n" || err != nil {
		t.Errorf("%q, %v", out, err)
	}
	look := must(t)(m.Look(nonce))
	if r := ask(t, client, look, nil); r.State != remote.StateRunning {
		t.Errorf("it is %+v", r)
	}
	if r := ask(t, client, must(t)(m.Kill(nonce, time.Hour)), nil); r.Kill != remote.KillEnded || r.State != remote.StateEnded || r.Status != 4 {
		t.Errorf("killed as %+v", r)
	}
	r := ask(t, client, must(t)(m.Collect(nonce, remote.Offsets{}, 0)), nil)
	if string(r.Stdout.Bytes) != "begun\nend\n" {
		t.Errorf("its output is %q", r.Stdout.Bytes)
	}
	// A time limit ends the command and its children.
	_, _, err := wrapped(t, client, remote.Wrap{Timeout: time.Second}, "sleep 1000 & sleep 1000; wait")
	if e := new(ssh.ExitError); !errors.As(err, &e) || e.Signal() != "ALRM" {
		t.Errorf("the limit: %v", err)
	}
	if out, _, _ := runOn(t, client, "ps -o args | grep -c '^sleep 1000'", ""); out != "0\n" {
		t.Errorf("%q are left", out)
	}
	// Other hosts have other processes and files.
	const boot = "cat /proc/sys/kernel/random/boot_id"
	first, _, _ := runOn(t, client, boot, "")
	other, _, _ := runOn(t, dialSSH(t, f, 1), boot+"; ls; ps -o comm", "")
	if id, rest, _ := strings.Cut(other, "\n"); len(id) != 36 || first == id+"\n" || rest != "ps\n" {
		t.Errorf("the hosts have %q and %q", first, other)
	}
}

// TestSignalRequestOnShell asserts that a signal request reaches the command's
// process group, which may do something about it.
func TestSignalRequestOnShell(t *testing.T) {
	f := startFleet(t, Options{Hosts: 1})
	client := dialSSH(t, f, 0)
	for command, want := range map[string]string{
		"trap 'exit 7' TERM; echo ready; while :; do sleep 0.01; done": "exit-status",
		"echo ready | cat; sleep 1000; echo never":                     "exit-signal",
	} {
		channel, requests := startExec(t, client, command)
		buf := make([]byte, 6)
		if _, err := channel.Read(buf); err != nil || string(buf) != "ready\n" {
			t.Fatalf("%q, %v", buf, err)
		}
		if _, err := channel.SendRequest("signal", false, ssh.Marshal(struct{ Name string }{"TERM"})); err != nil {
			t.Fatal(err)
		}
		if r := <-requests; r == nil || r.Type != want {
			t.Errorf("%s: got %+v, want %s", command, r, want)
		}
		ssh.DiscardRequests(requests)
	}
}

// TestExitBeforeOutputEnds asserts that the exit status does not wait for a
// background process that has the output, and the end of the channel does.
func TestExitBeforeOutputEnds(t *testing.T) {
	f := startFleet(t, Options{Hosts: 1})
	client := dialSSH(t, f, 0)
	channel, requests := startExec(t, client, "(while [ ! -e go ]; do sleep 0.01; done; echo late) & exit 3")
	if r := <-requests; r == nil || r.Type != "exit-status" || !bytes.Equal(r.Payload, []byte{0, 0, 0, 3}) {
		t.Fatalf("got %+v", r)
	}
	if _, _, err := runOn(t, client, ": >go", ""); err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	if _, err := out.ReadFrom(channel); err != nil || out.String() != "late\n" {
		t.Errorf("got %q, %v", out.String(), err)
	}
	ssh.DiscardRequests(requests)
	if e := waitForEnd(t, f, 0); e.Status != 3 || e.Stdout != WrittenOf([]byte("late\n")) {
		t.Errorf("the log is %+v", e)
	}
}

// TestInputThatNobodyReads asserts that a client can send all of it when the command has
// closed its standard input, whether it has read some or not.
func TestInputThatNobodyReads(t *testing.T) {
	f := startFleet(t, Options{Hosts: 1})
	client := dialSSH(t, f, 0)
	for _, command := range []string{"exec </dev/null", "head -c 10 >/dev/null; exec </dev/null"} {
		channel, requests := startExec(t, client, command+"; while [ ! -e go ]; do sleep 0.01; done; rm go")
		if n, err := channel.Write(make([]byte, 5<<20)); n != 5<<20 || err != nil { // more than a window
			t.Errorf("%s: %d bytes were taken, %v", command, n, err)
		}
		_ = channel.CloseWrite()
		if _, _, err := runOn(t, client, ": >go", ""); err != nil {
			t.Fatal(err)
		}
		if r := <-requests; r == nil || r.Type != "exit-status" || !bytes.Equal(r.Payload, make([]byte, 4)) {
			t.Errorf("%s: got %+v", command, r)
		}
		ssh.DiscardRequests(requests)
	}
}

// TestShellsAgree runs lines that the small shell knows by both shells.
func TestShellsAgree(t *testing.T) {
	f := startFleet(t, Options{Hosts: 1})
	client := dialSSH(t, f, 0)
	for _, line := range []string{
		"", "echo hello {index}", "echo hello world 7; exit 3", "echo 'a  b' \"c  d\" e\\ f ''", `echo "a\"b\$\\c\d" 'x\y'`, "echo a\\\nb", "echo $? \"$?\"; false; echo $?",
		"echo oops >&2; echo fine", "1>&2 echo oops", "nope 2>&1; echo $?", "false && echo a || echo b && echo c", "true || echo a; false && echo b", "exit 256", "false; exit", "exit x; echo never",
		"hostname; whoami", "cat", "cat -", "head -c 3", "head -c3 -; cat", "head -c 2K /dev/zero", "head -c 7 /dev/urandom", "sleep 0 0.0s && echo up", "sleep -1", "sleep",
		`printf 'a\tb\n\x1b[31m\101\\'`, `printf '%s=%d;' a 1 b -2 c`, "printf %d x", "printf", "kill -TERM $$", "kill -9 $$; echo never", "kill -HUP $$", "# nothing", "echo a#b; : ; true", "echo -n x", "echo {a,b} a=b $",
		"yes | head -n 1",
	} {
		small, smallErr, errSmall := runOn(t, client, line, "input")
		// A redirection that changes nothing makes it a line for the POSIX shell.
		full, fullErr, errFull := runOn(t, client, ": </dev/null\n"+line, "input")
		if errors.Is(errSmall, io.EOF) { // it did not read its input
			errSmall = nil
		}
		if errors.Is(errFull, io.EOF) {
			errFull = nil
		}
		if small != full || smallErr != fullErr || fmt.Sprint(errSmall) != fmt.Sprint(errFull) {
			t.Errorf("%q: %.80q, %.80q, %v and %.80q, %.80q, %v", line, small, smallErr, errSmall, full, fullErr, errFull)
		}
	}
	if n := f.machine(0).Processes(); n != 0 {
		t.Errorf("%d processes are left", n)
	}
	lazy := startFleet(t, Options{Hosts: 3})
	if _, _, err := runOn(t, dialSSH(t, lazy, 1), "echo hello 1; true", ""); err != nil || len(lazy.machines) != 0 {
		t.Errorf("%v; a host that needs no files has %d", err, len(lazy.machines))
	}
}

// TestCheckOfWrappers has the checker find commands in their wrappers.
func TestCheckOfWrappers(t *testing.T) {
	f := startFleet(t, Options{Hosts: 1})
	client := dialSSH(t, f, 0)
	const command = "echo it\\'s; exit 3"
	target := fleet.Target{Host: f.Host(0), Command: command}
	ran := fleet.Result{Target: target, End: fleet.End{Outcome: fleet.OutcomeFailed, Status: 3, Flags: fleet.FlagExitKnown}}
	ran.Stdout = fleet.Output{Bytes: []byte("it's\n"), Size: 5}
	refused := fleet.Result{Target: target, End: fleet.End{Outcome: fleet.OutcomeRefused}}
	detached := fleet.Result{Target: target, End: fleet.End{Outcome: fleet.OutcomeDetached}}
	never := fleet.Result{Target: target, End: fleet.End{Outcome: fleet.OutcomeNeverStarted}}
	check := func(from, n int, r fleet.Result) Report {
		t.Helper()
		for i := from; i < n; i++ {
			waitForEnd(t, f, i)
		}
		var file bytes.Buffer
		if err := WriteLog(&file, f.Log()[from:n]); err != nil {
			t.Fatal(err)
		}
		log, err := ReadLog(&file)
		if err != nil {
			t.Fatal(err)
		}
		return Check(log, slices.Values([]fleet.Result{r}), 1)
	}
	m := remote.Marker{Run: "a"}
	_, _, _ = wrapped(t, client, remote.Wrap{Marker: &m}, command)
	_, _, _ = wrapped(t, client, remote.Wrap{Marker: &m}, command) // refused
	question := must(t)(m.Settle(nonce))
	_ = ask(t, client, question, nil)
	for from, c := range [][]struct {
		n    int
		r    fleet.Result
		want bool
	}{
		{{1, ran, true}, {1, never, false}, {1, refused, false}, {3, ran, true}},
		{{2, refused, true}, {2, ran, false}, {2, never, true}, {3, refused, true}},
		{{3, never, true}, {3, refused, false}},
	} {
		for _, c := range c {
			if r := check(from, c.n, c.r); r.OK() != c.want {
				t.Errorf("execs %d to %d as %v: %v, want %v", from, c.n, c.r.Outcome, r, c.want)
			}
		}
	}
	m.Run = "b"
	_, _, _ = wrapped(t, client, remote.Wrap{Marker: &m, Detach: true}, command)
	for ask(t, client, must(t)(m.Look(nonce)), nil).State != remote.StateEnded {
	}
	if r := check(3, 4, detached); !r.OK() {
		t.Errorf("detached: %v", r)
	}
	if r := check(1, 2, detached); r.OK() {
		t.Error("a detached command that did not run is not found")
	}
	refusing := startFleet(t, Options{Hosts: 1, Fault: func(int) Fault { return FaultExecRefused }})
	if _, _, err := wrapped(t, dialSSH(t, refusing, 0), remote.Wrap{Marker: &m}, command); err == nil {
		t.Error("exec is not refused")
	}
	if r := Check(refusing.Log(), slices.Values([]fleet.Result{refused}), 1); !r.OK() {
		t.Errorf("refused by the host: %v", r)
	}
	m.Run = "c"
	_, _, _ = wrapped(t, client, remote.Wrap{Marker: &m}, command)
	log := f.Log()
	if r := Check([]Exec{log[0], log[len(log)-1]}, slices.Values([]fleet.Result{ran}), 1); r.Found != 1 {
		t.Errorf("a second run: %v", r)
	}
}

// TestFilesOracle asserts what the oracle knows of files and names.
func TestFilesOracle(t *testing.T) {
	f := startFleet(t, Options{Hosts: 3, RecordNames: true})
	if all := f.Files(); len(all) != 0 {
		t.Errorf("hosts that have done nothing have files: %+v", all)
	}
	content := strings.Repeat("content of a file\n", 10_000)
	if got := put(t, dialSSH(t, f, 1), "f.tmp", content); got != "close 0" {
		t.Fatal(got)
	}
	if _, _, err := runOn(t, dialSSH(t, f, 1), "mv f.tmp f; ln -s f link; mkdir d; echo x >d/gone; rm -r d; touch \xff", ""); err != nil {
		t.Fatal(err)
	}
	if got := put(t, dialSSH(t, f, 2), "f", content); got != "close 0" {
		t.Fatal(got)
	}
	all := f.Files()
	if len(all) != 2 || all[0].Index != 1 || all[1].Host != "127.1.0.3" {
		t.Fatalf("the hosts are %+v", all)
	}
	for _, h := range all {
		file, ok := h.Find("/home/ada/f")
		if w := WrittenOf([]byte(content)); !ok || file.SHA256 != w.SHA256 || file.Size != w.Size || file.UID != 1000 {
			t.Errorf("%s has %+v", h.Host, file)
		}
	}
	var names []string
	for _, name := range all[0].Names {
		if rest, ok := strings.CutPrefix(name, "/home/ada/"); ok {
			names = append(names, rest)
		}
	}
	if want := []string{"d", "d/gone", "f", "f.tmp", "link", "\xff"}; !all[0].Whole || !slices.Equal(names, want) {
		t.Errorf("the names were %q, %v, want %q", names, all[0].Whole, want)
	}
	if link, ok := all[0].Find("/home/ada/link"); !ok || link.Target != "f" {
		t.Errorf("the link is %+v", link)
	}
	var file bytes.Buffer
	log := NewLogWriter(&file)
	for _, e := range f.Log() {
		log.Record(e)
	}
	log.RecordFiles(all)
	if err := log.Err(); err != nil {
		t.Fatal(err)
	}
	execs, err := ReadLog(bytes.NewReader(file.Bytes()))
	if err != nil || len(execs) != 1 {
		t.Errorf("%d execs, %v", len(execs), err)
	}
	back, err := ReadFiles(bytes.NewReader(file.Bytes()))
	if diff := cmp.Diff(all, back, cmpopts.EquateApproxTime(0)); err != nil || diff != "" {
		t.Errorf("%v, (-want +got):\n%s", err, diff)
	}
}
