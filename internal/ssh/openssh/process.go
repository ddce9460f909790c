package openssh

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"
)

// A process is a running ssh whose standard input and output are the connection.
type process struct {
	cmd           *exec.Cmd
	stdin, stdout *os.File // our ends
	complaint     complaint
	all           sync.WaitGroup // down, up and wait
	over          chan struct{}  // closed once the program has closed its output
	exited        chan struct{}  // closed when err is set
	err           error

	mu     sync.Mutex
	reaped bool // it has exited, and its id may be another's soon
}

func startProcess(program string, args []string) (_ *process, err error) {
	theirIn, in, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	out, theirOut, err := os.Pipe()
	if err != nil {
		return nil, errors.Join(err, theirIn.Close(), in.Close())
	}
	p := &process{stdin: in, stdout: out, over: make(chan struct{}), exited: make(chan struct{})}
	p.cmd = exec.Command(program, args...) // ended by end, on every ending of its connection
	p.cmd.Stdin, p.cmd.Stdout, p.cmd.Stderr = theirIn, theirOut, &p.complaint
	p.cmd.Env = environment()
	p.cmd.WaitDelay = patience
	// Ctrl-C must not reach it directly, and without a terminal it asks nobody.
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	err = p.cmd.Start()
	_, _ = theirIn.Close(), theirOut.Close()
	if err != nil {
		_, _ = in.Close(), out.Close()
		return nil, err
	}
	p.all.Go(func() {
		if awaitExit(p.cmd.Process.Pid) {
			p.reap()
		}
		p.err = p.cmd.Wait()
		p.reap()
		close(p.exited)
	})
	return p, nil
}

// reap has stop do nothing any more.
func (p *process) reap() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.reaped = true
}

// environment returns this process's environment without programs that ask people.
func environment() []string {
	env := slices.DeleteFunc(os.Environ(), func(v string) bool { return strings.HasPrefix(v, "SSH_ASKPASS") })
	return append(env, "SSH_ASKPASS_REQUIRE=never")
}

// closed reports that the program's output has ended.
func (p *process) closed() { close(p.over) }

// stop kills the program and what it has started, such as a KnownHostsCommand. Its process
// group has its id.
func (p *process) stop() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.reaped {
		_ = syscall.Kill(-p.cmd.Process.Pid, syscall.SIGKILL)
	}
}

// hangUp tells the program that the server has ended the connection, and kills it if it does not
// exit: it may wait for a KnownHostsCommand, or for Kerberos.
func (p *process) hangUp(wait time.Duration) {
	_ = p.stdin.Close()
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-p.over:
	case <-timer.C:
		p.stop()
	}
}

// end stops the program and waits for it and its goroutines.
func (p *process) end() {
	p.stop()
	_, _ = p.stdin.Close(), p.stdout.Close()
	p.all.Wait()
}

// ended returns how the program ended, with what it said. If its output has ended and it does
// not exit, that is said.
func (p *process) ended() error {
	timer := time.NewTimer(patience)
	defer timer.Stop()
	how := "still runs"
	select {
	case <-p.exited:
		how = p.cmd.ProcessState.String()
	case <-timer.C:
	}
	if text := p.said(); text != "" {
		return fmt.Errorf("ssh: %s: %q", how, text)
	}
	return fmt.Errorf("ssh: %s", how)
}

// said returns the beginning of what the program wrote on standard error.
func (p *process) said() string { return p.complaint.text() }

// A complaint is the beginning of what a program writes on standard error.
type complaint struct {
	mu   sync.Mutex
	kept []byte
}

const maxComplaint = 300

func (c *complaint) Write(p []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.kept = append(c.kept, p[:min(len(p), maxComplaint-len(c.kept))]...)
	return len(p), nil
}

func (c *complaint) text() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return strings.ReplaceAll(strings.TrimSpace(string(c.kept)), "\r", "")
}
