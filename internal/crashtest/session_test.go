package crashtest

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"syscall"
	"time"

	"shoal/fleet"
	"shoal/record"
)

// guard limits every wait, to end a hanging test. No assertion depends on it.
const guard = 2 * time.Minute

// A session is one process of the program.
type session struct {
	x        *trial
	name     string
	out, err string // paths of files
	trigger  trigger
	reached  <-chan struct{}

	cmd    *exec.Cmd
	done   chan struct{} // closed when the process has ended
	ended  time.Time
	status syscall.WaitStatus
	sentAt time.Time // when it was signalled; zero means never
}

// session returns a session with file names for the next process.
func (x *trial) session() *session {
	x.sessions++
	name := fmt.Sprint("session", x.sessions)
	return &session{x: x, name: name, out: x.in(name + ".out"), err: x.in(name + ".err"), done: make(chan struct{})}
}

// start starts the program.
func (x *trial) start(m trigger, args []string) *session {
	x.t.Helper()
	s := x.session()
	s.trigger, s.reached = m, x.watch.expect(m)
	s.cmd = exec.Command(os.Args[0], args...)
	if x.files > 0 {
		limit := fmt.Sprintf(`ulimit -n %d && exec "$0" "$@"`, x.files)
		s.cmd = exec.Command("/bin/sh", append([]string{"-c", limit, os.Args[0]}, args...)...)
	}
	s.cmd.Env = x.environ()
	stdout, err := os.Create(s.out)
	x.check(err)
	stderr, err := os.Create(s.err)
	x.check(err)
	s.cmd.Stdout, s.cmd.Stderr = stdout, stderr
	x.check(s.cmd.Start())
	x.check(errors.Join(stdout.Close(), stderr.Close()))
	go func() {
		_ = s.cmd.Wait() // status has it
		s.ended = time.Now()
		s.status, _ = s.cmd.ProcessState.Sys().(syscall.WaitStatus)
		close(s.done)
	}()
	return s
}

func (x *trial) environ() []string {
	return append(os.Environ(), asShoal+"=1", "HOME="+x.dir, "XDG_STATE_HOME="+x.dir, "XDG_CONFIG_HOME="+x.dir)
}

// await waits for the session's trigger, and not much longer than pace. It
// reports whether the process is still running.
func (s *session) await(pace time.Duration) bool {
	late := time.NewTimer(2 * pace)
	defer late.Stop()
	select {
	case <-s.reached:
	case <-late.C:
	case <-s.done:
		return false
	}
	return s.linger(s.trigger.after)
}

// linger waits for d, and reports whether the process is still running.
func (s *session) linger(d time.Duration) bool {
	select {
	case <-time.After(d):
		return true
	case <-s.done:
		return false
	}
}

// send sends a signal, unless the process has ended.
func (s *session) send(sig syscall.Signal) {
	s.x.t.Helper()
	at := time.Now()
	switch err := s.cmd.Process.Signal(sig); {
	case err == nil:
		s.sentAt = at
	case !errors.Is(err, os.ErrProcessDone):
		s.x.t.Fatal(err)
	}
}

// wait waits until the process ends. A process that hangs is made to print its
// goroutines.
func (s *session) wait() {
	s.x.t.Helper()
	select {
	case <-s.done:
		return
	case <-time.After(guard):
	}
	_ = s.cmd.Process.Signal(syscall.SIGQUIT)
	select {
	case <-s.done:
	case <-time.After(10 * time.Second):
		_ = s.cmd.Process.Kill()
		<-s.done
	}
	s.x.t.Fatalf("%s hangs: %s", s.name, s.said())
}

// code returns the exit code in the shell's convention.
func (s *session) code() int {
	if s.killed() {
		return 128 + int(s.status.Signal())
	}
	return s.status.ExitStatus()
}

// killed reports whether the process was killed by a signal.
func (s *session) killed() bool { return s.status.Signal() >= 0 }

func (s *session) said() []byte {
	text, _ := os.ReadFile(s.err) // for the message only
	return text
}

// printed returns how many bytes of results a session printed.
func (s *session) printed() int64 {
	s.x.t.Helper()
	info, err := os.Stat(s.out)
	s.x.check(err)
	return info.Size()
}

// An account is what a session printed.
type account struct {
	targets int
	results []fleet.Result
	summary *record.Summary // nil if it was not printed
}

// account parses what a session printed. Only a killed session's output may be
// incomplete.
func (s *session) account() account {
	s.x.t.Helper()
	file, err := os.Open(s.out)
	s.x.check(err)
	defer func() { _ = file.Close() }() // nothing was written
	var a account
	for entry, err := range record.Read(file) {
		switch {
		case err != nil && s.killed():
			return a
		case err != nil:
			s.x.t.Fatalf("%s printed what cannot be read: %v\n%s", s.name, err, s.said())
		case entry.Header != nil:
			a.targets = entry.Header.Targets
		case entry.Result != nil:
			a.results = append(a.results, *entry.Result)
		case entry.Summary != nil:
			a.summary = entry.Summary
		}
	}
	return a
}
