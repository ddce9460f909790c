package chaostest

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// guard limits every wait, to end a hanging test. No assertion depends on it.
const guard = 5 * time.Minute

// A process is one of the programs.
type process struct {
	w      *world
	name   string
	cmd    *exec.Cmd
	stderr string        // a file
	ended  chan struct{} // closed when it has ended
}

// start starts a program, whose standard output is lost.
func (w *world) start(program, name string, args ...string) *process {
	w.t.Helper()
	w.mu.Lock()
	w.started++
	p := &process{w: w, name: fmt.Sprintf("%d.%s", w.started, name), ended: make(chan struct{})}
	w.mu.Unlock()
	p.stderr = filepath.Join(w.dir, p.name+".err")
	file, err := os.Create(p.stderr)
	if err != nil {
		w.t.Fatal(err)
	}
	p.cmd = exec.Command(os.Args[0], args...)
	p.cmd.Env = append(os.Environ(), actAs+"="+program, peakIn+"="+p.peak(), "HOME="+w.dir, "XDG_STATE_HOME="+w.dir, "XDG_CONFIG_HOME="+w.dir, "SSH_AUTH_SOCK=")
	p.cmd.Stderr = file
	if err := errors.Join(p.cmd.Start(), file.Close()); err != nil {
		w.t.Fatal(err)
	}
	w.mu.Lock()
	w.processes = append(w.processes, p)
	w.mu.Unlock()
	go func() {
		_ = p.cmd.Wait() // its exit code is not judged: the oracle is
		close(p.ended)
	}()
	return p
}

// peak is a file, into which the process writes the most memory that it had; see tellPeak.
func (p *process) peak() string { return p.stderr + ".peak" }

// send sends a signal, unless the process has ended.
func (p *process) send(sig syscall.Signal) {
	if err := p.cmd.Process.Signal(sig); err != nil && !errors.Is(err, os.ErrProcessDone) {
		p.w.t.Errorf("%s: %v", p.name, err)
	}
}

// kill ends the process with SIGKILL.
func (p *process) kill() {
	p.send(syscall.SIGKILL)
	<-p.ended
}

// stopped stops the process for a time.
func (p *process) stopped(d time.Duration) {
	p.send(syscall.SIGSTOP)
	select {
	case <-time.After(d):
	case <-p.ended:
	}
	p.send(syscall.SIGCONT)
}

func (p *process) lives() bool {
	select {
	case <-p.ended:
		return false
	default:
		return true
	}
}

// wasKilled reports whether a signal has ended the process.
func (p *process) wasKilled() bool {
	<-p.ended
	return !p.cmd.ProcessState.Exited()
}

// wait waits for the end. A process that hangs is made to print its goroutines.
func (p *process) wait() {
	p.w.t.Helper()
	select {
	case <-p.ended:
		return
	case <-time.After(guard + time.Duration(p.w.hosts)*2*time.Millisecond):
	}
	p.send(syscall.SIGQUIT)
	select {
	case <-p.ended:
	case <-time.After(10 * time.Second):
		p.kill()
	}
	p.w.t.Fatalf("%s hangs: %s", p.name, p.said())
}

func (p *process) said() string {
	text, err := os.ReadFile(p.stderr)
	if err != nil {
		return err.Error()
	}
	return string(text[:min(len(text), 200<<10)])
}

// says waits for a line of standard error, and returns what follows the text in it.
func (p *process) says(t testing.TB, text string) string {
	t.Helper()
	for by := time.Now().Add(guard); time.Now().Before(by); time.Sleep(5 * time.Millisecond) {
		lines := bufio.NewScanner(strings.NewReader(p.said()))
		for lines.Scan() {
			if _, rest, ok := strings.Cut(lines.Text(), text); ok {
				return rest
			}
		}
		if !p.lives() {
			break
		}
	}
	t.Fatalf("%s does not say %q: %s", p.name, text, p.said())
	return ""
}
