package posix

import (
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"shoal/simfleet/internal/memfs"
)

// Signals, by their numbers on Linux.
const (
	sigHUP  = 1
	sigINT  = 2
	sigQUIT = 3
	sigABRT = 6
	sigKILL = 9
	sigPIPE = 13
	sigALRM = 14
	sigTERM = 15
	sigCHLD = 17
	sigXFSZ = 25
)

var signalNames = []string{
	1: "HUP", "INT", "QUIT", "ILL", "TRAP", "ABRT", "BUS", "FPE", "KILL", "USR1", "SEGV", "USR2", "PIPE", "ALRM", "TERM",
	"STKFLT", "CHLD", "CONT", "STOP", "TSTP", "TTIN", "TTOU", "URG", "XCPU", "XFSZ", "VTALRM", "PROF", "WINCH", "IO", "PWR", "SYS",
}

// harmless signals do nothing to a process that does nothing about them. Stopped
// processes are not simulated: STOP and its like are ignored.
var harmless = []int{sigCHLD, 18, 19, 20, 21, 22, 23, 28}

// what a shell prints when a signal ended its foreground process.
var signalTexts = map[int]string{
	sigHUP: "Hangup", sigQUIT: "Quit", 4: "Illegal instruction", 5: "Trace/breakpoint trap", sigABRT: "Aborted", 7: "Bus error",
	8: "Floating point exception", sigKILL: "Killed", 10: "User defined signal 1", 11: "Segmentation fault", 12: "User defined signal 2",
	sigALRM: "Alarm clock", sigTERM: "Terminated", 24: "CPU time limit exceeded", sigXFSZ: "File size limit exceeded",
	26: "Virtual timer expired", 27: "Profiling timer expired", 31: "Bad system call",
}

// A status is how a process ended: by a signal, unless that is 0.
type status struct {
	code   uint8
	signal int
}

// seen is the status as a shell shows it.
func (s status) seen() int {
	if s.signal > 0 {
		return 128 + s.signal
	}
	return int(s.code)
}

// A proc is one process. Its goroutine runs a shell or a program; whoever kills
// it ends it at once, and the goroutine stops at its next step.
type proc struct {
	host    *Host
	session *Session
	pid     int
	ppid    int
	started int64 // clock ticks since boot
	done    chan struct{}
	wake    chan struct{} // capacity 1: a trapped signal has come

	// For the process's own goroutine, but for user numbers and names: these are
	// changed with mu held, and others read them so.
	cred      memfs.Cred
	user      string
	fileLimit int64 // bytes; 0 means none

	signalled atomic.Bool // pending is not empty
	gone      atomic.Bool // done is closed, or about to be

	mu      sync.Mutex // guards what follows
	pgid    int
	sid     int
	args    []string
	fds     []*file
	ignored uint64 // bit sets of signals
	trapped uint64
	pending uint64
	dead    bool
	end     status
}

func (p *proc) isDead() bool { return p.gone.Load() }

// die ends the process; the first one counts.
func (p *proc) die(s status) {
	p.mu.Lock()
	if p.dead {
		p.mu.Unlock()
		return
	}
	p.dead, p.end = true, s
	fds := p.fds
	p.fds = nil
	p.mu.Unlock()
	p.host.remove(p)
	for _, f := range fds {
		if f != nil {
			f.release()
		}
	}
	p.gone.Store(true)
	close(p.done)
}

// signal delivers a signal.
func (p *proc) signal(n int) {
	bit := uint64(1) << n
	p.mu.Lock()
	switch {
	case p.dead || n == 0:
	case n == sigKILL:
		p.mu.Unlock()
		p.die(status{signal: n})
		return
	case p.ignored&bit != 0:
	case p.trapped&bit != 0:
		p.pending |= bit
		p.signalled.Store(true)
		select {
		case p.wake <- struct{}{}:
		default:
		}
	case !slices.Contains(harmless, n):
		p.mu.Unlock()
		p.die(status{signal: n})
		return
	}
	p.mu.Unlock()
}

// next takes a pending signal; 0 means that there is none.
func (p *proc) next() int {
	if !p.signalled.Load() { // after every statement
		return 0
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	for n := range signalNames {
		if bit := uint64(1) << n; p.pending&bit != 0 {
			p.pending &^= bit
			return n
		}
	}
	p.signalled.Store(false)
	return 0
}

// A disposition is what a process does about a signal.
type disposition int

const (
	byDefault disposition = iota
	ignore
	catch
)

func (p *proc) dispose(n int, d disposition) {
	bit := uint64(1) << n
	p.mu.Lock()
	defer p.mu.Unlock()
	p.ignored, p.trapped = p.ignored&^bit, p.trapped&^bit
	switch d {
	case ignore:
		p.ignored |= bit
		p.pending &^= bit
	case catch:
		p.trapped |= bit
	}
}

// resetTraps is what becomes of caught signals in a new program or subshell.
func (p *proc) resetTraps() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.trapped, p.pending = 0, 0
}

// setFD puts a file, or nil, in the place of a descriptor and returns the old one.
func (p *proc) setFD(n int, f *file) *file {
	p.mu.Lock()
	if p.dead {
		p.mu.Unlock()
		if f != nil {
			f.release()
		}
		return nil
	}
	defer p.mu.Unlock()
	for len(p.fds) <= n {
		p.fds = append(p.fds, nil)
	}
	old := p.fds[n]
	p.fds[n] = f
	return old
}

// borrow is fd with a reference, so that the file stays open during a call.
func (p *proc) borrow(n int) *file {
	p.mu.Lock()
	defer p.mu.Unlock()
	if n < 0 || n >= len(p.fds) || p.fds[n] == nil {
		return nil
	}
	return p.fds[n].dup()
}

// write writes to a descriptor. EPIPE comes with the signal.
func (p *proc) write(fd int, b []byte) error {
	f := p.borrow(fd)
	if f == nil {
		return memfs.EBADF
	}
	defer f.release()
	for len(b) > 0 {
		if p.isDead() {
			return errKilled
		}
		n, err := f.write(p, b)
		if err != nil {
			if err == memfs.EPIPE { //nolint:errorlint // it is never wrapped
				p.signal(sigPIPE)
			}
			return err
		}
		b = b[n:]
	}
	return nil
}

func (p *proc) read(fd int, b []byte) (int, error) {
	f := p.borrow(fd)
	if f == nil {
		return 0, memfs.EBADF
	}
	defer f.release()
	if p.isDead() {
		return 0, errKilled
	}
	return f.read(p, b)
}

// maxProcs is the number of processes of one host.
const maxProcs = 1000

// fork makes a process with the same descriptors; run is its program.
func (p *proc) fork() *proc {
	child := &proc{
		host: p.host, session: p.session, ppid: p.pid, done: make(chan struct{}), wake: make(chan struct{}, 1),
		cred: p.cred, user: p.user, fileLimit: p.fileLimit,
	}
	p.mu.Lock()
	child.pgid, child.sid, child.args = p.pgid, p.sid, p.args
	child.ignored = p.ignored
	child.fds = make([]*file, len(p.fds))
	for i, f := range p.fds {
		if f != nil {
			child.fds[i] = f.dup()
		}
	}
	p.mu.Unlock()
	if !p.host.add(child) {
		child.die(status{signal: sigKILL})
		return nil
	}
	return child
}

// start runs main on the process's goroutine.
func (p *proc) start(main func() int) {
	p.host.work.Go(func() {
		growStack()
		p.die(status{code: uint8(main())})
	})
}

// growStack makes the goroutine's stack as large as a script of some functions needs it, while there is nothing on
// it: growing it step by step copies more and more frames.
//
//go:noinline
func growStack() byte {
	var frame [20 << 10]byte
	return frame[time.Now().Nanosecond()%len(frame)]
}

// runHere runs main on this goroutine, which is another process's that waits for this one.
func (p *proc) runHere(main func() int) { p.die(status{code: uint8(main())}) }

// isReady reports whether reading and writing a descriptor never wait.
func (p *proc) isReady(fd int) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if fd >= len(p.fds) || p.fds[fd] == nil {
		return true // it is an error
	}
	switch s := p.fds[fd].stream.(type) {
	case regular, *text:
		return true
	case device:
		return s == "null"
	case writeEnd:
		return s.capture
	}
	return false
}

// pause is the time that an access to a file takes.
func (p *proc) pause() {
	if p.host.Pause > 0 {
		p.sleep(p.host.Pause)
	}
}

// sleep waits; it reports whether the process is still alive.
func (p *proc) sleep(d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-p.done:
		return false
	}
}
