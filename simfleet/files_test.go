package simfleet

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

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
		"all":     {Group: true, Timeout: time.Hour, Sentinel: true},
	} {
		w.Marker = &remote.Marker{Run: name}
		for try, want := range []int{3, remote.StatusAgain} {
			out, errors, err := wrapped(t, client, w, "echo \"it's \xff\"; echo err >&2; exit 3")
			out = strings.TrimPrefix(out, "shoal/1 "+nonce+"\n")
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
