package remote

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestEarlierAttempts: a later attempt starts only if no earlier one has started, and
// settles those still in transit (audit P4).
func TestEarlierAttempts(t *testing.T) {
	everyShell(t, func(t *testing.T, f *far) {
		attempt := func(n int, rerun bool) Wrap {
			m := f.marker()
			m.Attempt = n
			return Wrap{Nonce: nonce, Marker: m, Rerun: rerun}
		}
		refusal := func(s seen) Refusal {
			word, _ := ParseRefusal(nonce, []byte(s.stderr))
			return word
		}
		if s := f.wrapped(t, attempt(2, false), "echo ran", ""); s != (seen{stdout: "ran\n"}) {
			t.Errorf("the first start: %v", s)
		}
		for n := range 2 {
			if s := f.wrapped(t, attempt(n, false), "echo ran", ""); refusal(s) != RefusedAgain || s.stdout != "" {
				t.Errorf("attempt %d after a later one: %v", n, s)
			}
		}
		if s := f.wrapped(t, attempt(3, false), "echo ran", ""); refusal(s) != RefusedAgain || s.stdout != "" || exists(filepath.Join(f.dir(), "run1-7.3")) {
			t.Errorf("after one that ran: %v", s)
		}
		if s := f.wrapped(t, attempt(4, true), "echo ran", ""); s != (seen{stdout: "ran\n"}) {
			t.Errorf("a rerun: %v", s)
		}
	})
}

// TestTracesOfACommand removes from a marker what a cleaner of old files removes. A live
// command is never reported dead, nor started again (audit P6).
func TestTracesOfACommand(t *testing.T) {
	everyShell(t, func(t *testing.T, f *far) {
		gate := filepath.Join(f.home, "gate")
		marker := filepath.Join(f.dir(), "run1-7")
		w := Wrap{Nonce: nonce, Marker: f.marker(), Detach: true}
		f.wrapped(t, w, "while [ ! -e "+gate+" ]; do sleep 0.05; done", "")
		start, err := readText(filepath.Join(marker, "start"))
		if err != nil || !strings.HasPrefix(start, "shoal 2 ") {
			t.Fatalf("start %q, %v", start, err)
		}
		for _, name := range []string{"start", "run"} {
			if err := os.Remove(filepath.Join(marker, name)); err != nil {
				t.Fatal(err)
			}
			if r := f.kill(t, 0); r.State != StateUnclear || r.Kill != KillUnclear {
				t.Errorf("without %s: %+v", name, r)
			}
			question, err := f.marker().Forget(nonce)
			if r := f.ask(t, question, err); !r.Kept {
				t.Errorf("forgotten without %s: %+v", name, r)
			}
		}
		later := *f.marker()
		later.Attempt = 1
		if s := f.wrapped(t, Wrap{Nonce: nonce, Marker: &later}, "echo ran", ""); s.status != StatusAgain || s.stdout != "" {
			t.Errorf("started again: %v", s)
		}
		if err := os.WriteFile(gate, nil, 0o600); err != nil {
			t.Fatal(err)
		}
		until(t, "the end", func() bool { return f.settle(t).State == StateEnded })
	})
}

// TestElsewhere moves a marker's start to another host with a shared home, or to another
// container on the same host. Only its end is known (audit P7).
func TestElsewhere(t *testing.T) {
	everyShell(t, func(t *testing.T, f *far) {
		begun := filepath.Join(f.home, "begun")
		_, _ = f.background(t, must(t)(Wrap{Nonce: nonce, Marker: f.marker(), Group: true}.Line("touch "+begun+"; exec sleep 100")))
		until(t, "the command", func() bool { return exists(begun) })
		name := filepath.Join(f.dir(), "run1-7", "start")
		text, err := readText(name)
		words := strings.Fields(text)
		if err != nil || len(words) != 8 {
			t.Fatalf("start %q, %v", text, err)
		}
		old := time.Now().Add(-time.Hour)
		for what, change := range map[string]func(w []string){
			"another host":           func(w []string) { w[4], w[7] = "another-boot", "another-host" },
			"another pid namespace":  func(w []string) { w[6] = "pid:[1]" },
			"a host without a name":  func(w []string) { w[4], w[7] = "another-boot", "-" },
			"an old start elsewhere": func(w []string) { w[1], w[4], w[6], w[7] = "1", "another-boot", "", "" },
		} {
			there := append([]string(nil), words...)
			change(there)
			if err := os.WriteFile(name, []byte(strings.TrimRight(strings.Join(there, " "), " ")+"\n"), 0o600); err != nil {
				t.Fatal(err)
			}
			if r := f.kill(t, 0); r.State != StateUnclear || r.Kill == KillEnded {
				t.Errorf("%s: %+v", what, r)
			}
			if err := os.Chtimes(filepath.Dir(name), old, old); err != nil {
				t.Fatal(err)
			}
			question, err := Sweep(nonce, "", 30*time.Minute)
			if r := f.ask(t, strings.Replace(question, "/bin/sh", f.sh, 1), err); r.Removed != 0 || r.Remaining != 1 {
				t.Errorf("%s: swept %+v", what, r)
			}
		}
		words[7] = "another-host"
		if err := os.WriteFile(name, []byte(strings.Join(words, " ")+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(filepath.Dir(name), "end"), []byte("exit 3\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		if r := f.kill(t, 0); r.State != StateEnded || r.Status != 3 || !r.Left || r.Kill != KillUnclear {
			t.Errorf("ended elsewhere: %+v", r)
		}
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if r := f.kill(t, 0); r.Kill != KillRest {
			t.Errorf("killed: %+v", r)
		}
	})
}

// TestMarkersOfVersion1 reads markers written by earlier versions of shoal.
func TestMarkersOfVersion1(t *testing.T) {
	f := newFar(t, "/bin/dash")
	boot, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		t.Fatal(err)
	}
	other, _ := f.background(t, "exec sleep 100")
	pid := strconv.Itoa(other.Process.Pid)
	stat, err := os.ReadFile("/proc/" + pid + "/stat")
	if err != nil {
		t.Fatal(err)
	}
	born := strings.Fields(string(stat[strings.LastIndex(string(stat), ")"):]))[20]
	here := string(boot[:36])
	for _, c := range []struct {
		files map[string]string
		state State
	}{
		{map[string]string{}, StateNever},
		{map[string]string{"out": "", "err": "shoal/1 N refused marker\n"}, StateNever},
		{map[string]string{"out": "x", "err": ""}, StateUnclear},
		{map[string]string{"run": "never"}, StateNever},
		{map[string]string{"run": "start"}, StateUnclear},
		{map[string]string{"run": "elsewhere"}, StateUnclear},
		{map[string]string{"run": "start", "start": "shoal 1 " + pid + " " + pid + " " + here + " " + born + "\n"}, StateRunning},
		{map[string]string{"run": "start", "start": "shoal 1 " + pid + " " + pid + " " + here + " 1\n"}, StateUnclear},
		{map[string]string{"run": "start", "start": "shoal 1 1 1 another-boot 1\n"}, StateUnclear},
		{map[string]string{"run": "start", "start": "shoal 1 1 1 another-boot 1\n", "end": "exit 0\n"}, StateEnded},
		{map[string]string{"run": "start", "start": "shoal 1 1 1 another-boot 1\n", "end": ""}, StateUnclear},
	} {
		dir := filepath.Join(f.dir(), "run1-7")
		if err := os.MkdirAll(dir, 0o700); err != nil {
			t.Fatal(err)
		}
		for name, text := range c.files {
			if name == "run" {
				err = os.Symlink(text, filepath.Join(dir, name))
			} else {
				err = os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600)
			}
			if err != nil {
				t.Fatal(err)
			}
		}
		if r := f.settle(t); r.State != c.state || r.Left {
			t.Errorf("%v: %+v, want %s", c.files, r, c.state)
		}
		if err := os.RemoveAll(dir); err != nil {
			t.Fatal(err)
		}
	}
}

// TestSignalsToTheGroup: the time limit works whatever a command sends to its group, and
// only the time limit ends it (audit P12).
func TestSignalsToTheGroup(t *testing.T) {
	everyShell(t, func(t *testing.T, f *far) {
		f.over = true
		for _, name := range []string{"USR1", "ALRM", "TERM", "HUP", "XCPU"} {
			command := "trap '' " + name + "; kill -" + name + " 0; echo sent; "
			w := Wrap{Nonce: nonce, Shell: f.sh, Timeout: time.Hour}
			if got := f.wrapped(t, w, command+"exit 3", ""); got != (seen{stdout: "sent\n", status: 3}) {
				t.Errorf("%s: %v", name, got)
			}
		}
		w := Wrap{Nonce: nonce, Shell: f.sh, Grace: grace}
		command := "trap '' USR1 ALRM; for i in 1 2 3; do kill -USR1 0; kill -ALRM 0; done; echo sent; sleep 100"
		got := f.limited(t, w, command, "sent\n")
		if strings.HasSuffix(f.program, "mksh") { // mksh prints what became of the command
			got.stderr = strings.TrimSuffix(got.stderr, "Terminated \n")
		}
		if got != (seen{stdout: "sent\n", signal: syscall.SIGALRM, status: 142}) {
			t.Errorf("the limit: %v", got)
		}
	})
}

// TestStoppedGroup: the time limit ends a command that stops its group, and the watch with
// it, whether or not TERM is enough. Nothing is left over (newcomer 6).
func TestStoppedGroup(t *testing.T) {
	everyShell(t, func(t *testing.T, f *far) {
		for _, c := range []struct {
			command string
			grace   time.Duration
			signal  syscall.Signal
			status  uint8
		}{
			{"echo begun; kill -STOP 0; exec sleep 100", grace, syscall.SIGALRM, 143},
			{"trap 'kill -STOP 0' TERM CONT; echo begun; while :; do kill -STOP 0; done", time.Second, syscall.SIGKILL, 137},
		} {
			w := Wrap{Nonce: nonce, Marker: f.marker(), Grace: c.grace}
			if got := f.limited(t, w, c.command, "begun\n"); got.signal != c.signal || got.stdout != "begun\n" {
				t.Errorf("%s: %v", c.command, got)
			}
			if r := f.settle(t); r.State != StateEnded || r.Cause != CauseTimeout || r.Status != c.status {
				t.Errorf("%s: settled as %+v", c.command, r)
			}
			f.kill(t, 0)
			until(t, "the end of the guard", func() bool { return len(f.mine()) == 0 })
			forget(t, f)
		}
	})
}

// TestSignalAtTheLimit: the time limit works if a signal reaches the watch just as the
// time is over. The watch is stopped until both have come.
func TestSignalAtTheLimit(t *testing.T) {
	everyShell(t, func(t *testing.T, f *far) {
		if strings.HasSuffix(f.program, "ksh93") {
			t.Skip("its watch has no trap")
		}
		for limit := 2 * time.Second; ; limit *= 4 {
			cmd, wait := f.background(t, must(t)(Wrap{Nonce: nonce, Shell: f.sh, Timeout: limit, Grace: grace}.Line("sleep 100")))
			var sleeps int
			until(t, "the watch", func() bool {
				sleeps = f.pidOf("sleep\x00" + seconds(limit) + "\x00")
				return sleeps > 0
			})
			watch, _ := strconv.Atoi(stat(sleeps)[1])
			_ = syscall.Kill(watch, syscall.SIGSTOP)
			late := stat(sleeps)[0] == "Z" || stat(watch)[0] == "Z"
			if late && limit < patience/2 { // this machine is slow
				f.end()
				wait()
				continue
			}
			until(t, "the end of the time", func() bool { return stat(sleeps)[0] == "Z" })
			_ = syscall.Kill(watch, syscall.SIGUSR1)
			_ = syscall.Kill(watch, syscall.SIGCONT)
			wait()
			if status := cmd.ProcessState.Sys().(syscall.WaitStatus); late || status.Signal() != syscall.SIGALRM {
				t.Errorf("late %v, %v", late, cmd.ProcessState)
			}
			return
		}
	})
}

// TestKillsNoStrangers reuses the number of a command's group after the command has ended
// and none of its processes is left (audit P15).
func TestKillsNoStrangers(t *testing.T) {
	everyShell(t, func(t *testing.T, f *far) {
		f.wrapped(t, Wrap{Nonce: nonce, Marker: f.marker(), Group: true}, ":", "")
		until(t, "the end of its group", func() bool { r := f.settle(t); return r.State == StateEnded && !r.Left })
		// A group whose leader has ended.
		noted := filepath.Join(f.home, "pid")
		leader, wait := f.background(t, "sleep 100 & echo $! >"+noted+".new; mv "+noted+".new "+noted+"; exec sleep 100")
		until(t, "the stranger", func() bool { return exists(noted) })
		note, err := readText(noted)
		if err != nil {
			t.Fatal(err)
		}
		stranger, err := strconv.Atoi(strings.TrimSpace(note))
		if err != nil {
			t.Fatal(err)
		}
		_ = syscall.Kill(leader.Process.Pid, syscall.SIGKILL)
		wait()
		name := filepath.Join(f.dir(), "run1-7", "start")
		text, err := readText(name)
		words := strings.Fields(text)
		if err != nil || len(words) != 8 {
			t.Fatalf("start %q, %v", text, err)
		}
		words[2] = strconv.Itoa(leader.Process.Pid)
		words[3] = words[2]
		if err := os.WriteFile(name, []byte(strings.Join(words, " ")+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		if r := f.kill(t, 0); r.Kill != KillGone || r.Left {
			t.Errorf("%+v", r)
		}
		if err := syscall.Kill(stranger, 0); err != nil {
			t.Error("a stranger was killed")
		}
	})
}

// TestKillsNoStrangersOfTheLost reuses the number of a command's group after the wrapper was
// killed and could record no end: processes that are much younger than the wrapper may be
// another's, and are left alone.
func TestKillsNoStrangersOfTheLost(t *testing.T) {
	everyShell(t, func(t *testing.T, f *far) {
		begun := filepath.Join(f.home, "begun")
		wrapper, wait := f.background(t, must(t)(Wrap{Nonce: nonce, Marker: f.marker(), Group: true}.Line("echo $$ >"+begun+".new; mv "+begun+".new "+begun+"; exec sleep 100")))
		until(t, "the command", func() bool { return exists(begun) })
		note := must(t)(readText(begun))
		command, err := strconv.Atoi(strings.TrimSpace(note))
		if err != nil {
			t.Fatal(err)
		}
		_ = syscall.Kill(wrapper.Process.Pid, syscall.SIGKILL)
		wait()
		name := filepath.Join(f.dir(), "run1-7", "start")
		text := must(t)(readText(name))
		words := strings.Fields(text)
		born, err := strconv.Atoi(words[5])
		if err != nil || len(words) != 8 {
			t.Fatalf("start %q, %v", text, err)
		}
		// The wrapper began an hour before its command, which makes this a stranger.
		words[5] = strconv.Itoa(born - 360_000)
		if born < 360_000 {
			t.Skip("this machine has not run for an hour")
		}
		if err := os.WriteFile(name, []byte(strings.Join(words, " ")+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		if r := f.kill(t, 0); r.State != StateUnclear || r.Kill != KillUnclear {
			t.Errorf("%+v", r)
		}
		if err := syscall.Kill(command, 0); err != nil || stat(command)[0] == "Z" {
			t.Fatal("a stranger was killed")
		}
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if r := f.kill(t, 0); r.State != StateEnded || r.Kill != KillEnded {
			t.Errorf("the command's own: %+v", r)
		}
	})
}

// TestUnseenProcesses has /proc hide a process of the group that belongs to another user:
// Kill cannot report that all are gone.
func TestUnseenProcesses(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("takes two accounts")
	}
	everyShell(t, func(t *testing.T, f *far) {
		open(t, f)
		noted := filepath.Join(f.home, "pid")
		const as = "setpriv --clear-groups --regid 54321 --reuid "
		cmd, wait := f.background(t, must(t)(Wrap{Nonce: nonce, Marker: f.marker(), Group: true}.Line(
			as+"54322 sh -c 'echo $$; exec sleep 100' >"+noted+" & exec "+as+"54321 sleep 100")))
		var theirs int
		until(t, "the other account's process", func() bool {
			note, _ := readText(noted)
			theirs, _ = strconv.Atoi(strings.TrimSpace(note))
			return theirs > 0
		})
		_ = syscall.Kill(cmd.Process.Pid, syscall.SIGKILL)
		wait()
		if out, err := exec.Command("chown", "-R", "54321:54321", f.home).CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
		question := must(t)(f.marker().Kill(nonce, 0))
		// First as root in a mount namespace of its own, then as the account.
		hide := "mount -t proc -o hidepid=2 proc /proc && exec setpriv --reuid 54321 --regid 54321 --clear-groups " + f.sh + ` -c "$0"`
		ask := exec.Command("unshare", "-m", "sh", "-c", hide, question)
		ask.Env = cmd.Env
		stop := f.guard(t, ask)
		out, err := ask.Output()
		stop()
		r, parse := ParseReport(nonce, out)
		if parse != nil {
			t.Skipf("mounting /proc with hidepid: %v, %q", err, out)
		}
		if r.Kill != KillUnclear || r.State == StateLost {
			t.Errorf("%+v", r)
		}
		if err := syscall.Kill(theirs, 0); err != nil {
			t.Error("the other account's process is gone")
		}
	})
}

// open makes the home and the shell accessible to another account.
func open(t *testing.T, f *far) {
	t.Helper()
	if err := os.Chown(f.home, 54321, 54321); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{f.home, filepath.Dir(f.sh)} {
		for dir := filepath.Dir(name); dir != "/" && dir != os.TempDir(); dir = filepath.Dir(dir) {
			if err := os.Chmod(dir, 0o755); err != nil { //nolint:gosec // it is for another account
				t.Fatal(err)
			}
		}
		if err := os.Chmod(name, 0o755); err != nil { //nolint:gosec // it is for another account
			t.Fatal(err)
		}
	}
}

// TestAcceptedIsBegun: a detached command whose receipt has come can no longer be settled
// as never.
func TestAcceptedIsBegun(t *testing.T) {
	everyShell(t, func(t *testing.T, f *far) {
		for i := range 3 {
			m := f.marker()
			m.Index = i
			f.wrapped(t, Wrap{Nonce: nonce, Marker: m, Detach: true}, "exec sleep 1", "")
			question, err := m.Settle(nonce)
			if r := f.ask(t, question, err); r.State != StateRunning && r.State != StateEnded {
				t.Errorf("right after the receipt: %+v", r)
			}
			if text, err := readText(filepath.Join(f.dir(), fmt.Sprint("run1-", i), "start")); err != nil || !strings.HasPrefix(text, "shoal 2 ") {
				t.Errorf("start %q, %v", text, err)
			}
		}
	})
}
