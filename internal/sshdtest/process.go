package sshdtest

import (
	"os"
	"os/exec"
	"runtime"
	"sync"
	"syscall"
)

// A process is a server and everything that it starts.
type process struct {
	cmd    *exec.Cmd
	launch launch
	mark   string // in the environment of all of them
	log    logBuffer
	ended  chan struct{} // closed by run's goroutine once the server has been reaped
}

// run starts argv as the leader of a process group, with the mark in its
// environment.
func run(argv []string, mark string) (*process, error) {
	p := &process{
		cmd:   exec.Command(argv[0], argv[1:]...), // killed by end, with everything that it started
		mark:  mark,
		ended: make(chan struct{}),
	}
	p.cmd.Env = append(os.Environ(), markName+"="+mark)
	p.cmd.Stdout, p.cmd.Stderr = &p.log, &p.log
	var err error
	if p.cmd.SysProcAttr, err = attributes(); err != nil {
		return nil, err
	}
	started := make(chan error)
	go func() {
		// Pdeathsig fires when the thread that started the child exits, so the
		// thread has to stay until the child has ended.
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := p.cmd.Start()
		started <- err
		if err == nil {
			_ = p.cmd.Wait() // a server is always killed by a signal
			close(p.ended)
		}
	}()
	return p, <-started
}

// end kills the server and everything that it started, and waits for all of
// them.
func (p *process) end() {
	_ = syscall.Kill(-p.cmd.Process.Pid, syscall.SIGKILL) // it may have exited already
	// Commands may fork meanwhile, so repeat until nothing is left.
	for left := marked(p.mark); len(left) > 0; left = marked(p.mark) {
		for _, h := range left {
			h.kill()
		}
	}
	// Wait only now: processes outside our group may have kept the log open.
	<-p.ended
}

// A logBuffer collects a process's output and wakes the goroutines that wait
// for more.
type logBuffer struct {
	mu   sync.Mutex
	text []byte
	more chan struct{} // closed by Write when text has grown; nil without waiters
}

// Write implements io.Writer.
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

// changed returns a channel that is closed by the next Write.
func (b *logBuffer) changed() <-chan struct{} {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.more == nil {
		b.more = make(chan struct{})
	}
	return b.more
}

// String returns the output so far.
func (b *logBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return string(b.text)
}
