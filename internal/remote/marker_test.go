package remote

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func (f *far) once() Wrap { return Wrap{Nonce: nonce, Marker: f.marker()} }

// TestOnlyOneRuns starts one marker many times concurrently.
func TestOnlyOneRuns(t *testing.T) {
	everyShell(t, func(t *testing.T, f *far) {
		ran := filepath.Join(f.home, "ran")
		text := must(t)(f.once().Line("echo x >>" + ran))
		all := make([]seen, 50)
		if filepath.Base(f.program) != "dash" {
			all = all[:10]
		}
		var group sync.WaitGroup
		for i := range all {
			group.Go(func() { all[i] = f.run(t, text, "") })
		}
		group.Wait()
		refused := 0
		for _, s := range all {
			if s.status == 0 {
				continue
			}
			refused++
			word, ok := ParseRefusal(nonce, []byte(s.stderr))
			if want := (seen{stderr: "shoal/1 " + nonce + " refused again\n", status: StatusAgain}); s != want || !ok || word != RefusedAgain {
				t.Errorf("a second start shows as %v", s)
			}
		}
		if content, err := os.ReadFile(ran); string(content) != "x\n" || err != nil || refused != len(all)-1 {
			t.Errorf("ran %q, refused %d, %v", content, refused, err)
		}
	})
}

// TestSettleAgainstStart races starts against settlers: a settled never means that nothing
// ran, and every other state that the command ran.
func TestSettleAgainstStart(t *testing.T) {
	t.Parallel()
	f := newFar(t, "/bin/dash")
	for i := range 20 {
		ran := filepath.Join(f.home, fmt.Sprint("ran", i))
		marker := f.marker()
		marker.Index = i
		start := must(t)(Wrap{Nonce: nonce, Marker: marker}.Line("touch " + ran))
		question, err := marker.Settle(nonce)
		var group sync.WaitGroup
		var report Report
		var s seen
		group.Go(func() { s = f.run(t, start, "") })
		group.Go(func() { report = f.ask(t, question, err) })
		group.Wait()
		never := report.State == StateNever
		if never == exists(ran) || never != (s.status == StatusNoMarker || s.status == StatusAgain) {
			t.Errorf("settled as %s, ran %v, seen %v", report.State, exists(ran), s)
		}
		if again := f.ask(t, question, err); never && again.State != StateNever || !never && again.State != StateEnded {
			t.Errorf("first %s, then %s", report.State, again.State)
		}
	}
}

func TestStates(t *testing.T) {
	everyShell(t, func(t *testing.T, f *far) {
		if r := f.look(t); r.State != StateAbsent {
			t.Errorf("before: %+v", r)
		}
		begun := filepath.Join(f.home, "begun")
		line := must(t)(f.once().Line("trap '' TERM; touch " + begun + "; sleep 100; sleep 100"))
		cmd, wait := f.background(t, line)
		until(t, "the command", func() bool { return exists(begun) })
		for _, r := range []Report{f.look(t), f.settle(t)} {
			if !reflect.DeepEqual(r, Report{State: StateRunning}) {
				t.Errorf("running: %+v", r)
			}
		}
		question, err := f.marker().Forget(nonce)
		if r := f.ask(t, question, err); !r.Kept || r.Forgotten {
			t.Errorf("a running marker was forgotten: %+v", r)
		}
		_ = syscall.Kill(cmd.Process.Pid, syscall.SIGKILL)
		wait()
		if r := f.settle(t); !reflect.DeepEqual(r, Report{State: StateOrphaned}) {
			t.Errorf("without its wrapper: %+v", r)
		}
		if r := f.kill(t, 0); !reflect.DeepEqual(r, Report{State: StateEnded, Cause: CauseKilled, Status: 137, Kill: KillEnded}) {
			t.Errorf("killed: %+v", r)
		}
		if r := f.kill(t, 0); r.Kill != KillGone {
			t.Errorf("killed again: %+v", r)
		}
		forget(t, f)
		if r := f.settle(t); r.State != StateNever {
			t.Errorf("settled first: %+v", r)
		}
		if s := f.run(t, line, ""); s.status != StatusAgain {
			t.Errorf("started after it was settled: %v", s)
		}
	})
}

// TestDiscard removes the marker of a command whose end was recorded and confirmed, also while
// a process that it has left behind is alive, and no other.
func TestDiscard(t *testing.T) {
	everyShell(t, func(t *testing.T, f *far) {
		discard := func() Report {
			question, err := f.marker().Discard(nonce)
			return f.ask(t, question, err)
		}
		if r := discard(); !r.Forgotten {
			t.Errorf("where there is none: %+v", r)
		}
		w := Wrap{Nonce: nonce, Marker: f.marker(), Group: true, Confirm: true}
		begun := filepath.Join(f.home, "begun")
		cmd, wait := f.background(t, must(t)(w.Line("touch "+begun+"; sleep 100; sleep 100")))
		until(t, "the command", func() bool { return exists(begun) })
		if r := discard(); !r.Kept || r.Forgotten {
			t.Errorf("while it runs: %+v", r)
		}
		_ = syscall.Kill(cmd.Process.Pid, syscall.SIGKILL)
		wait()
		if r := discard(); !r.Kept {
			t.Errorf("without an end: %+v", r)
		}
		f.kill(t, 0)
		if r := discard(); !r.Forgotten || exists(filepath.Join(f.dir(), f.marker().name())) {
			t.Errorf("killed: %+v", r)
		}
		for _, limit := range []time.Duration{0, time.Minute} {
			w.Timeout = limit
			got := f.wrapped(t, w, "sleep 100 >/dev/null 2>&1 & echo out; printf err >&2; exit 9", "")
			if want := (seen{stdout: "out\n", stderr: "err" + Confirmation(nonce), status: 9}); got != want {
				t.Errorf("confirmed: %v, want %v", got, want)
			}
			if r := discard(); !r.Forgotten || exists(filepath.Join(f.dir(), f.marker().name())) {
				t.Errorf("ended: %+v", r)
			}
		}
		w.Timeout, w.Grace = time.Second, grace
		if got := f.wrapped(t, w, "sleep 100", ""); got.stderr != "" || got.signal != syscall.SIGALRM {
			t.Errorf("stopped: %v", got)
		}
	})
}

// TestLost has no wrapper, no command and no status left.
func TestLost(t *testing.T) {
	f := newFar(t, "/bin/dash")
	begun := filepath.Join(f.home, "begun")
	cmd, wait := f.background(t, must(t)(f.once().Line("touch "+begun+"; exec sleep 100")))
	until(t, "the command", func() bool { return exists(begun) })
	_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
	wait()
	until(t, "the end", func() bool { return f.settle(t).State == StateLost })
	if r := f.kill(t, 0); r.Kill != KillGone || r.State != StateLost {
		t.Errorf("killed: %+v", r)
	}

	// Now another process has the number, as after a reboot or a wrap-around.
	start := filepath.Join(f.dir(), "run1-7", "start")
	other, _ := f.background(t, "exec sleep 100")
	boot, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		t.Fatal(err)
	}
	words := strings.Fields(must(t)(readText(start)))
	place := " " + words[6] + " " + words[7] + "\n"
	for _, born := range []string{string(boot[:36]) + " 1", "another-boot 1"} {
		pid := strconv.Itoa(other.Process.Pid)
		if err := os.WriteFile(start, []byte("shoal 2 "+pid+" "+pid+" "+born+place), 0o600); err != nil {
			t.Fatal(err)
		}
		if r := f.kill(t, 0); r.Kill != KillGone || r.State != StateLost {
			t.Errorf("%s: %+v", born, r)
		}
	}
	if err := syscall.Kill(other.Process.Pid, 0); err != nil {
		t.Error("a stranger was killed")
	}
	if err := os.WriteFile(start, []byte("shoal 3 x\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if r := f.kill(t, 0); r.Kill != KillUnclear || r.State != StateUnclear {
		t.Errorf("of another version: %+v", r)
	}
}

// TestKilledAnywhere kills the wrapper's group at many moments: later reports match what
// happened.
func TestKilledAnywhere(t *testing.T) {
	t.Parallel()
	f := newFar(t, "/bin/dash")
	for i := range 20 {
		marker := f.marker()
		marker.Index = i
		ran, done := filepath.Join(f.home, fmt.Sprint("ran", i)), filepath.Join(f.home, fmt.Sprint("done", i))
		cmd, wait := f.background(t, must(t)(Wrap{Nonce: nonce, Marker: marker, Timeout: time.Hour}.Line("echo >"+ran+"; echo >"+done)))
		time.Sleep(time.Duration(i) * 1200 * time.Microsecond)
		_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
		wait()
		question, err := marker.Settle(nonce)
		var r Report
		until(t, "the end", func() bool { r = f.ask(t, question, err); return r.State != StateOrphaned })
		switch {
		case r.State == StateNever && !exists(ran), r.State == StateEnded && r.Status == 0 && exists(done), r.State == StateLost:
		default:
			t.Errorf("after %d: %+v, ran %v, done %v", i, r, exists(ran), exists(done))
		}
	}
}

func TestKill(t *testing.T) {
	everyShell(t, func(t *testing.T, f *far) {
		for _, c := range []struct {
			name, command string
			grace         time.Duration
			cause         Cause
			status        uint8
		}{
			{"gentle", "sleep 100 & touch BEGUN; wait", grace, CauseExit, 143},
			{"cleans up", "trap 'exit 3' TERM; sleep 100 & touch BEGUN; wait", grace, CauseExit, 3},
			{"stubborn", "trap '' TERM; touch BEGUN; sleep 100; sleep 100", time.Second, CauseKilled, 137},
			{"ended before", "(sleep 100 & touch BEGUN) >/dev/null 2>&1; exit 3", grace, CauseExit, 3},
			{"stopped", "touch BEGUN; kill -STOP $$", grace, CauseExit, 143},
		} {
			begun := filepath.Join(f.home, "begun "+c.name)
			command := strings.Replace(c.command, "BEGUN", "'"+begun+"'", 1)
			w := Wrap{Nonce: nonce, Marker: f.marker(), Group: true}
			f.quiet = c.name == "cleans up" // not a leader: uses setsid(1)
			_, wait := f.background(t, must(t)(w.Line(command)))
			f.quiet = false
			until(t, "the command", func() bool { return exists(begun) })
			want := Report{State: StateEnded, Cause: c.cause, Status: c.status, Kill: KillEnded}
			if c.name == "ended before" {
				want.Kill = KillRest
				until(t, "its end", func() bool { return f.look(t).State == StateEnded })
			}
			if r := f.kill(t, c.grace); !reflect.DeepEqual(r, want) {
				t.Errorf("%s: %+v", c.name, r)
			}
			wait()
			forget(t, f)
		}
		question := must(t)(f.marker().Kill(nonce, 0))
		if s := f.run(t, question, ""); s.status != 10 || f.settle(t).State != StateNever {
			t.Errorf("never started: %v", s)
		}
	})
}

// TestEndsBeforeTheKill: a command that ends by itself after Kill has looked, and before it
// sends TERM, was not killed, and its end is reported.
func TestEndsBeforeTheKill(t *testing.T) {
	everyShell(t, func(t *testing.T, f *far) {
		for _, left := range []bool{true, false} {
			gate, begun := filepath.Join(f.home, "gate"), filepath.Join(f.home, "begun")
			command := "touch " + begun + "; while [ ! -e " + gate + " ]; do sleep 0.05; done; exit 3"
			if left {
				command = "(sleep 100 &) >/dev/null 2>&1; " + command
			}
			_, wait := f.background(t, must(t)(Wrap{Nonce: nonce, Marker: f.marker(), Group: true}.Line(command)))
			until(t, "the command", func() bool { return exists(begun) })
			// The command ends between the look and the signal.
			const looked = " settle; _r=gone;"
			question := must(t)(f.marker().Kill(nonce, 0))
			if strings.Count(question, looked) != 1 {
				t.Fatal("the script looks in another way")
			}
			question = strings.Replace(question, looked, " settle; >"+gate+"; until [ -s \"$_m/end\" ]; do sleep 0.05; done; while mine; do sleep 0.05; done; _r=gone;", 1)
			r := f.ask(t, question, nil)
			want := Report{State: StateEnded, Cause: CauseExit, Status: 3, Kill: KillGone}
			if left {
				want.Kill = KillRest
			}
			r.Up = want.Up
			if !reflect.DeepEqual(r, want) {
				t.Errorf("left %v: %+v", left, r)
			}
			wait()
			forget(t, f)
			for _, name := range []string{gate, begun} {
				if err := os.Remove(name); err != nil {
					t.Fatal(err)
				}
			}
		}
	})
}

func TestDetach(t *testing.T) {
	everyShell(t, func(t *testing.T, f *far) {
		gate := filepath.Join(f.home, "gate")
		w := Wrap{Nonce: nonce, Marker: f.marker(), Detach: true, FileLimit: 1 << 20}
		for _, quiet := range []bool{false, true} {
			f.quiet = quiet
			s := f.wrapped(t, w, "printf 'a\\0b'; echo e >&2; cat; while [ ! -e "+gate+" ]; do sleep 0.05; done; echo z; exit 6", "input")
			receipt, err := ParseReport(nonce, []byte(s.stdout))
			if err != nil || !reflect.DeepEqual(receipt, Report{Accepted: true, Up: -1}) || s.status != 0 || s.stderr != "" {
				t.Fatalf("receipt: %+v, %v, %v", receipt, err, s)
			}
			f.quiet = false
			var from Offsets
			collect := func(limit int64) Report {
				question, err := f.marker().Collect(nonce, from, limit)
				return f.ask(t, question, err)
			}
			var r Report
			until(t, "the output", func() bool {
				r = collect(0)
				return r.State == StateRunning && r.Stdout.Size == 3 && r.Stderr.Size == 2
			})
			if string(r.Stdout.Bytes) != "a\x00b" || string(r.Stderr.Bytes) != "e\n" || r.State != StateRunning {
				t.Errorf("while it runs: %+v", r)
			}
			from = r.Next()
			if err := os.WriteFile(gate, nil, 0o600); err != nil {
				t.Fatal(err)
			}
			until(t, "the end", func() bool { r = collect(1); return r.State == StateEnded })
			want := Report{
				State: StateEnded, Cause: CauseExit, Status: 6,
				Stdout: Chunk{Bytes: []byte("z"), From: 3, Size: 5}, Stderr: Chunk{Bytes: []byte{}, From: 2, Size: 2},
			}
			if r.Left = false; !reflect.DeepEqual(r, want) {
				t.Errorf("at the end: %+v, want %+v", r, want)
			}
			until(t, "the end of its group", func() bool { return !f.settle(t).Left })
			if err := os.Remove(filepath.Join(f.dir(), f.marker().name(), "out")); err != nil {
				t.Fatal(err)
			}
			if r = collect(1); r.State != StateEnded || !r.Missing || r.Stdout.Size != 0 || r.Stderr.Size != 2 {
				t.Errorf("without its output: %+v", r)
			}
			forget(t, f)
			_ = os.Remove(gate)
		}
	})
}

func TestFileLimit(t *testing.T) {
	everyShell(t, func(t *testing.T, f *far) {
		w := Wrap{Nonce: nonce, Marker: f.marker(), Detach: true, FileLimit: 1000}
		f.wrapped(t, w, "exec head -c 5000 /dev/zero", "")
		until(t, "the end", func() bool { return f.look(t).State == StateEnded })
		question, err := f.marker().Collect(nonce, Offsets{}, 0)
		if r := f.ask(t, question, err); r.Stdout.Size != 1024 || r.Status == 0 {
			t.Errorf("%d bytes, status %d", r.Stdout.Size, r.Status)
		}
	})
}

func TestSweep(t *testing.T) {
	everyShell(t, func(t *testing.T, f *far) {
		begun := filepath.Join(f.home, "begun")
		old := time.Now().Add(-time.Hour)
		for i, command := range []string{":", "touch " + begun + "; exec sleep 100", ":"} {
			m := f.marker()
			m.Index = i
			text := must(t)(Wrap{Nonce: nonce, Marker: m}.Line(command))
			if i == 1 {
				f.background(t, text)
				until(t, "the command", func() bool { return exists(begun) })
			} else {
				f.run(t, text, "")
			}
			if i < 2 {
				if err := os.Chtimes(filepath.Join(f.dir(), m.name()), old, old); err != nil {
					t.Fatal(err)
				}
			}
		}
		question, err := Sweep(nonce, "", 30*time.Minute)
		if r := f.ask(t, strings.Replace(question, "/bin/sh", f.sh, 1), err); r.Removed != 1 || r.Remaining != 1 {
			t.Errorf("%+v", r)
		}
		for i, want := range []bool{false, true, true} {
			if got := exists(filepath.Join(f.dir(), fmt.Sprint("run1-", i))); got != want {
				t.Errorf("marker %d is there: %v", i, got)
			}
		}
	})
}

// SweepFiles removes temporaries of pushes in which nothing was written for a day, and nothing else.
func TestSweepFiles(t *testing.T) {
	everyShell(t, func(t *testing.T, f *far) {
		const name = ".shoal-push.0123456789abcdef."
		dir, old := filepath.Join(f.home, "a\n'b "), time.Now().Add(-25*time.Hour)
		for at, age := range map[string]time.Time{
			name + "old": old, "sub/.dot/" + name + "part-old": old, "sub/.shoal-push.link.old": old, name + "new": time.Now(),
			"sub/other": old, ".shoal-push.old": old, name: old, "outside/" + name + "old": old,
		} {
			at = filepath.Join(dir, at)
			if err := errors.Join(os.MkdirAll(at, 0o700), os.WriteFile(at+"/f", nil, 0o600), os.Chtimes(at+"/f", age, age), os.Chtimes(at, age, age)); err != nil {
				t.Fatal(err)
			}
		}
		written, outside := filepath.Join(dir, name+"written"), filepath.Join(f.home, "outside")
		if err := errors.Join(os.Mkdir(written, 0o700), os.WriteFile(written+"/f", nil, 0o600), os.Chtimes(written, old, old), os.Rename(dir+"/outside", outside), os.Symlink(outside, dir+"/link"), os.Symlink(outside, dir+"/"+name+"link")); err != nil {
			t.Fatal(err)
		}
		question, err := SweepFiles(nonce, []string{dir}, 1)
		if r := f.ask(t, strings.Replace(question, "/bin/sh", f.sh, 1), err); r.Removed != 3 || r.Remaining != 2 {
			t.Errorf("%+v", r)
		}
		for at, want := range map[string]bool{
			name + "old": false, "sub/.dot/" + name + "part-old": false, "sub/.shoal-push.link.old": false, name + "new": true, name + "written": true,
			"sub/other": true, ".shoal-push.old": true, name: true, "../outside/" + name + "old": true,
		} {
			if got := exists(filepath.Join(dir, at, "f")); got != want {
				t.Errorf("%s is there: %v", at, got)
			}
		}
		question = must(t)(SweepFiles(nonce, []string{dir, dir + "/none"}, 1))
		if r, err := ParseReport(nonce, []byte(f.run(t, strings.Replace(question, "/bin/sh", f.sh, 1), "").stdout)); err != nil || r.State != StateAbsent {
			t.Errorf("%+v, %v", r, err)
		}
	})
}

// Sweep leaves alone what is no marker: a run directory may have been another directory
// before, such as a home directory.
func TestSweepsOnlyMarkers(t *testing.T) {
	everyShell(t, func(t *testing.T, f *far) {
		if err := os.MkdirAll(f.dir(), 0o700); err != nil {
			t.Fatal(err)
		}
		elsewhere := t.TempDir()
		for _, name := range []string{
			"my-project/main.go", "release-1/notes", "build-2/run", "build-3/out/result", "run1-4/err out", filepath.Join(elsewhere, "keep"),
		} {
			if !filepath.IsAbs(name) {
				name = filepath.Join(f.dir(), name)
			}
			if err := errors.Join(os.MkdirAll(filepath.Dir(name), 0o700), os.WriteFile(name, []byte("x"), 0o600)); err != nil {
				t.Fatal(err)
			}
		}
		if err := os.Symlink(elsewhere, filepath.Join(f.dir(), "run1-5")); err != nil {
			t.Fatal(err)
		}
		entries, err := os.ReadDir(f.dir())
		if err != nil {
			t.Fatal(err)
		}
		old := []unix.Timespec{{}, {}} // 1970
		for _, e := range entries {
			if err := unix.UtimesNanoAt(unix.AT_FDCWD, filepath.Join(f.dir(), e.Name()), old, unix.AT_SYMLINK_NOFOLLOW); err != nil {
				t.Fatal(err)
			}
		}
		before := tree(t, f.dir()) + tree(t, elsewhere)
		question, err := Sweep(nonce, "", 30*time.Minute)
		if r := f.ask(t, strings.Replace(question, "/bin/sh", f.sh, 1), err); r.Removed != 0 {
			t.Errorf("%+v", r)
		}
		if after := tree(t, f.dir()) + tree(t, elsewhere); after != before {
			t.Errorf("sweep has made\n%sof\n%s", after, before)
		}
	})
}

// tree lists what is in a directory.
func tree(t *testing.T, dir string) (names string) {
	t.Helper()
	if err := filepath.WalkDir(dir, func(path string, _ fs.DirEntry, err error) error {
		names += path + "\n"
		return err
	}); err != nil {
		t.Fatal(err)
	}
	return names
}

func readText(name string) (string, error) {
	text, err := os.ReadFile(name)
	return string(text), err
}
