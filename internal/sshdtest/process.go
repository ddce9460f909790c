package sshdtest

import (
	"os"
	"os/exec"
	"runtime"
	"sync"
	"syscall"
)

// A process is a server and all that it starts.
type process struct {
	cmd   *exec.Cmd
	mark  string // in the environment of all of them
	log   logBuffer
	ended chan struct{} // closed by run's goroutine once the server has been waited for
}

// run starts argv as the leader of a process group, with the mark in its
// environment.
func run(argv []string, mark string) (*process, error) {
	p := &process{
		cmd:   exec.Command(argv[0], argv[1:]...), // end ends it, with what it started
		mark:  mark,
		ended: make(chan struct{}),
	}
	p.cmd.Env = append(os.Environ(), markName+"="+mark)
	p.cmd.Stdout, p.cmd.Stderr = &p.log, &p.log
	// Should this process be killed, the server goes with it.
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	started := make(chan error)
	go func() {
		// Pdeathsig is tied to the thread that started the child, so the
		// thread has to stay until the child has ended.
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := p.cmd.Start()
		started <- err
		if err == nil {
			_ = p.cmd.Wait() // a server is always ended by a signal
			close(p.ended)
		}
	}()
	return p, <-started
}

// end kills the server and everything that it started, and waits for all of
// them.
func (p *process) end() {
	_ = syscall.Kill(-p.cmd.Process.Pid, syscall.SIGKILL) // gone already is fine
	// A command may fork while we look, so until nothing is left.
	for left := marked(p.mark); len(left) > 0; left = marked(p.mark) {
		for _, h := range left {
			h.kill()
		}
	}
	// Only now: what was in no group of ours held the log open.
	<-p.ended
}

// A logBuffer collects what a process writes and tells those who wait for more.
type logBuffer struct {
	mu   sync.Mutex
	text []byte
	more chan struct{} // closed by Write when text has grown; nil when nobody waits
}

func (b *logBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.text = append(b.text, p...)
	if b.more != nil {
		close(b.more)
		b.more = nil
	}
	return len(p), nil
}

// changed gives a channel that closes with the next Write.
func (b *logBuffer) changed() <-chan struct{} {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.more == nil {
		b.more = make(chan struct{})
	}
	return b.more
}

func (b *logBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return string(b.text)
}
