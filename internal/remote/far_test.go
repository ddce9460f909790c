package remote

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"shoal/internal/needs"
)

const nonce = "N0nceN0nce"

// shellNames are the programs to use as /bin/sh, under the name sh.
func shellNames() []string {
	return []string{"/bin/dash", "/bin/bash", "/bin/busybox", "/usr/bin/ksh93", "/usr/bin/mksh", "/usr/bin/zsh"}
}

// withLogin sets the login shell, and skips the test if it is missing.
func (f *far) withLogin(t *testing.T, login []string) *far {
	t.Helper()
	needs.Program(t, login[0])
	f.login = login
	return f
}

// logins are the login shells, as sshd starts them.
func logins() [][]string {
	return [][]string{
		{"/bin/dash"},
		{"/bin/bash"},
		{"/bin/busybox", "sh"},
		{"/usr/bin/ksh93"},
		{"/usr/bin/mksh"},
		{"/usr/bin/zsh"},
		{"/usr/bin/tcsh"},
		{"/usr/bin/fish"},
	}
}

// A far is an account on the far end.
type far struct {
	home    string
	program string
	sh      string   // the POSIX shell of the scripts
	login   []string // the login shell, which gets the line
	shell   string   // $SHELL; "" means sh
	path    string
	noHome  bool
	more    []string // additional environment variables
	quiet   bool     // not the leader of a process group
	over    bool     // ksh93 hands over to another shell, as it does outside tests
}

func newFar(t *testing.T, program string) *far {
	t.Helper()
	sh := filepath.Join(t.TempDir(), "sh")
	if err := os.Symlink(needs.Program(t, program), sh); err != nil {
		t.Fatal(err)
	}
	f := &far{home: t.TempDir(), program: program, sh: sh, login: []string{"/bin/sh"}, path: os.Getenv("PATH")}
	t.Cleanup(f.end) // before its directories are removed
	return f
}

func (f *far) marker() *Marker { return &Marker{Run: "run1", Index: 7, Shell: f.sh} }

func (f *far) dir() string { return filepath.Join(f.home, DefaultDir) }

type seen struct {
	stdout, stderr string
	status         int // 128+n for a signal
	signal         syscall.Signal
}

func (f *far) command(line string) *exec.Cmd {
	if !f.over {
		line = strings.Replace(line, handOver, "", 1)
	}
	cmd := exec.Command(f.login[0], append(f.login[1:len(f.login):len(f.login)], "-c", line)...)
	shell := f.shell
	if shell == "" {
		shell = f.sh
	}
	cmd.Env = append([]string{"PATH=" + f.path, "SHELL=" + shell, "LANG=C.UTF-8", f.sign()}, f.more...)
	if !f.noHome {
		cmd.Env = append(cmd.Env, "HOME="+f.home)
	}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: !f.quiet}
	return cmd
}

func (f *far) run(t *testing.T, line, stdin string) seen {
	t.Helper()
	cmd := f.command(line)
	var stdout, stderr bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr = strings.NewReader(stdin), &stdout, &stderr
	if err := cmd.Start(); err != nil {
		t.Fatalf("starting %.100q: %v", line, err)
	}
	stop := f.guard(t, cmd)
	err := cmd.Wait()
	stop()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatalf("waiting for %.100q: %v", line, err)
	}
	status := cmd.ProcessState.Sys().(syscall.WaitStatus)
	s := seen{stdout: stdout.String(), stderr: stderr.String(), status: status.ExitStatus()}
	if status.Signaled() { //nolint:misspell // the standard library's word
		s.signal, s.status = status.Signal(), 128+int(status.Signal())
	}
	return s
}

// Line returns the line of a command that fits into one.
func (w Wrap) Line(command string) (string, error) {
	text, input, err := w.Request(command)
	if input != "" {
		return "", errors.New("the command goes through standard input")
	}
	return text, err
}

func (f *far) wrapped(t *testing.T, w Wrap, command, stdin string) seen {
	t.Helper()
	return f.run(t, must(t)(w.Line(command)), stdin)
}

// plain runs the command without a wrapper, with the shell that would run it.
func (f *far) plain(t *testing.T, command, stdin string) seen {
	t.Helper()
	bare := *f
	bare.login = []string{f.sh}
	return bare.run(t, command, stdin)
}

func must(t *testing.T) func(string, error) string {
	return func(text string, err error) string {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return text
	}
}

// ask returns the report. It checks Up and removes it.
func (f *far) ask(t *testing.T, question string, err error) Report {
	t.Helper()
	s := f.run(t, must(t)(question, err), "")
	r, err := ParseReport(nonce, []byte(s.stdout))
	if err != nil {
		t.Fatalf("%v\n%q\n%q", err, s.stdout, s.stderr)
	}
	if r.State != "" && (r.Up <= 0 || r.Machine == "") {
		t.Errorf("up for %v on %q", r.Up, r.Machine)
	}
	r.Up, r.Machine = 0, ""
	return r
}

func (f *far) settle(t *testing.T) Report {
	t.Helper()
	question, err := f.marker().Settle(nonce)
	return f.ask(t, question, err)
}

func (f *far) look(t *testing.T) Report {
	t.Helper()
	question, err := f.marker().Look(nonce)
	return f.ask(t, question, err)
}

// ended returns what a marker says once nothing of its command's group is left: the last of it may
// still be ending when the status is told.
func (f *far) ended(t *testing.T, m *Marker) (r Report) {
	t.Helper()
	until(t, "the end of its group", func() bool {
		question, err := m.Look(nonce)
		r = f.ask(t, question, err)
		return !r.Left
	})
	return r
}

func (f *far) kill(t *testing.T, grace time.Duration) Report {
	t.Helper()
	question, err := f.marker().Kill(nonce, grace)
	return f.ask(t, question, err)
}

// until polls, since what it waits for happens in other processes.
func until(t *testing.T, what string, condition func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
		if condition() {
			return
		}
	}
	t.Fatalf("%s did not come", what)
}

func exists(name string) bool {
	_, err := os.Lstat(name)
	return err == nil
}

// everyShell runs test for each program as /bin/sh, in parallel.
func everyShell(t *testing.T, test func(t *testing.T, f *far)) {
	t.Helper()
	for _, program := range shellNames() {
		t.Run(filepath.Base(program), func(t *testing.T) {
			t.Parallel()
			test(t, newFar(t, program))
		})
	}
}

// everyLoginShell runs test for each login shell, in parallel.
func everyLoginShell(t *testing.T, test func(t *testing.T, f *far)) {
	t.Helper()
	for _, login := range logins() {
		t.Run(filepath.Base(login[0]), func(t *testing.T) {
			t.Parallel()
			f := newFar(t, "/bin/dash").withLogin(t, login)
			if f.shell = login[0]; len(login) > 1 {
				f.shell = newFar(t, login[0]).sh
			}
			test(t, f)
		})
	}
}

// background starts a line, which is killed at the end of the test with all that f has
// started, and returns a function that waits for it.
func (f *far) background(t *testing.T, line string) (cmd *exec.Cmd, wait func()) {
	t.Helper()
	cmd = f.command(line)
	return cmd, f.start(t, cmd)
}

func (f *far) start(t *testing.T, cmd *exec.Cmd) (wait func()) {
	t.Helper()
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var once sync.Once
	wait = func() {
		once.Do(func() {
			stop := f.guard(t, cmd)
			_ = cmd.Wait()
			stop()
		})
	}
	t.Cleanup(func() {
		f.end()
		wait()
	})
	return wait
}

func (s seen) String() string {
	return fmt.Sprintf("%+.300q and %+.300q, status %d, signal %d", s.stdout, s.stderr, s.status, s.signal)
}
