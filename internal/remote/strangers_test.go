package remote

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// TestStrangersCostNothing shows queries a /proc with few and with many processes of others:
// the shell does the same for both (newcomer 6).
func TestStrangersCostNothing(t *testing.T) {
	everyShell(t, func(t *testing.T, f *far) {
		begun := filepath.Join(f.home, "begun")
		group, _ := f.background(t, must(t)(Wrap{Nonce: nonce, Marker: f.marker(), Group: true}.Line("touch "+begun+"; exec sleep 100")))
		until(t, "the command", func() bool { return exists(begun) })
		proc := filepath.Join(f.home, "proc")
		if err := os.Mkdir(proc, 0o700); err != nil {
			t.Fatal(err)
		}
		// The wrapper is not shown, so that each pass looks at all processes.
		for _, name := range []string{"self", "sys", "1", "uptime"} {
			if err := os.Symlink("/proc/"+name, filepath.Join(proc, name)); err != nil {
				t.Fatal(err)
			}
		}
		question := must(t)(f.marker().Look(nonce))
		question = strings.ReplaceAll(question, "/proc", proc)
		traced := strings.Replace(question, "exec 2>/dev/null; _K", "exec 2>"+filepath.Join(f.home, "trace")+"; set -x; _K", 1)
		if traced == question {
			t.Fatal("the script is not traced")
		}
		stat := func(name, text string) string {
			dir := filepath.Join(f.home, name)
			if err := os.Mkdir(dir, 0o700); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(filepath.Join(dir, "stat"), []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
			return dir
		}
		stranger := stat("stranger", "5000000 (other) S 1 5000000 5000000 0 -1 4194560 0 0 0 0 0 0 0 0 20 0 1 0 77 0\n")
		others, lines := 0, 0
		for _, count := range []int{20, 1000} {
			for ; others < count; others++ {
				if err := os.Symlink(stranger, filepath.Join(proc, strconv.Itoa(5_000_000+others))); err != nil {
					t.Fatal(err)
				}
			}
			if r := f.ask(t, traced, nil); r.State != StateUnclear {
				t.Errorf("with %d others: %+v", count, r)
			}
			trace, err := readText(filepath.Join(f.home, "trace"))
			if err != nil {
				t.Fatal(err)
			}
			n := strings.Count(trace, "\n")
			if lines == 0 {
				lines = n
			}
			if n != lines || !strings.Contains(trace, "grep") {
				t.Errorf("with %d others the shell did %d things, %d with few", count, n, lines)
			}
		}
		// Without a grep that reads them all, the shell does.
		blind := strings.ReplaceAll(traced, "grep -slE", "false")
		member := stat("member", fmt.Sprintf("5000019 (a b) c) S 1 %d 7%s\n", group.Process.Pid, strings.Repeat(" 0", 40)))
		if err := os.Symlink(member, filepath.Join(proc, "6000000")); err != nil {
			t.Fatal(err)
		}
		for _, q := range []string{traced, blind} {
			if r := f.ask(t, q, nil); r.State != StateOrphaned {
				t.Errorf("with a member: %+v", r)
			}
		}
	})
}

// TestKillFindsTheSession: a process of the session that has a group of its own is killed
// too, whatever its name.
func TestKillFindsTheSession(t *testing.T) {
	everyShell(t, func(t *testing.T, f *far) {
		odd := filepath.Join(f.home, "a\n1 (b) S 1 2")
		if err := os.Symlink("/bin/bash", odd); err != nil {
			t.Fatal(err)
		}
		begun := filepath.Join(f.home, "begun")
		// With job control bash gives the process a group of its own, and exec keeps it.
		script := "trap '' TERM; echo $BASHPID >" + begun + ".new; mv " + begun + ".new " + begun + "; while :; do read -t 100 <>" + filepath.Join(f.home, "fifo") + "; done"
		command := "mkfifo " + filepath.Join(f.home, "fifo") + "; bash -c 'set -m; \"$0\" -c \"$1\" & exit 0' '" + odd + "' '" + strings.ReplaceAll(script, "'", `'\''`) + "'"
		f.wrapped(t, Wrap{Nonce: nonce, Marker: f.marker(), Group: true}, command+" >/dev/null 2>&1", "")
		until(t, "the process", func() bool { return exists(begun) })
		pid := must(t)(readText(begun))
		if r := f.settle(t); !r.Left {
			t.Fatalf("before: %+v", r)
		}
		if r := f.kill(t, 0); r.Kill != KillRest {
			t.Errorf("%+v", r)
		}
		if n, _ := strconv.Atoi(strings.TrimSpace(pid)); stat(n)[0] != "X" && stat(n)[0] != "Z" {
			t.Errorf("process %d is in state %s", n, stat(n)[0])
		}
	})
}
