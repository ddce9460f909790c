package crashtest

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// A write is a system call that changes something in the state directory. Calls
// are counted from 1 over all threads of the process; strace's fault injection
// counts per thread.
type write struct {
	nth   int
	after bool          // kill the process after the call; otherwise before it
	errno syscall.Errno // if not 0, the call fails with it instead, and nothing is killed
	ever  bool          // so do all later calls
}

// changes are the counted system calls, each with the argument that names what
// it changes.
var changes = map[uint64]struct {
	name   string
	arg    int
	isPath bool // the argument is a path; otherwise a file descriptor
}{
	unix.SYS_WRITE: {"write", 0, false}, unix.SYS_PWRITE64: {"pwrite64", 0, false},
	unix.SYS_WRITEV: {"writev", 0, false}, unix.SYS_PWRITEV: {"pwritev", 0, false},
	unix.SYS_FSYNC: {"fsync", 0, false}, unix.SYS_FDATASYNC: {"fdatasync", 0, false},
	unix.SYS_FTRUNCATE: {"ftruncate", 0, false}, unix.SYS_FALLOCATE: {"fallocate", 0, false},
	unix.SYS_FLOCK: {"flock", 0, false}, unix.SYS_FCHMOD: {"fchmod", 0, false},
	unix.SYS_OPENAT: {"openat", 1, true}, unix.SYS_MKDIRAT: {"mkdirat", 1, true},
	unix.SYS_FCHMODAT: {"fchmodat", 1, true}, unix.SYS_LINKAT: {"linkat", 3, true},
	unix.SYS_RENAMEAT: {"renameat", 3, true}, unix.SYS_RENAMEAT2: {"renameat2", 3, true},
	unix.SYS_UNLINKAT: {"unlinkat", 1, true},
	// amd64 numbers used by SQLite's C library. On other architectures no
	// system call with these numbers touches a path here.
	2: {"open", 0, true}, 87: {"unlink", 0, true},
}

// callInfo is the kernel's struct ptrace_syscall_info.
type callInfo struct {
	Op   uint8
	_    [3]uint8
	_    uint32
	_, _ uint64
	Nr   uint64 // this and the following: at an entry
	Args [6]uint64
	_    uint64
}

// A tracer runs a process and traces its system calls, all from one thread, as
// ptrace(2) requires.
type tracer struct {
	dir  string // the directory whose changes are counted
	pid  int
	kill write // nth 0 means never

	seen   int
	within int          // the thread in the write after which to kill
	failed map[int]bool // the threads in a call that fails
	dying  string       // the write at which the process was killed, or that failed first
	at     time.Time    // when; zero: not killed
}

// trace runs the program and kills it at a write. It returns when the process
// has ended.
func (x *trial) trace(kill write, args []string) (*session, *tracer) {
	x.t.Helper()
	s := x.session()
	tr := &tracer{dir: x.in("state"), kill: kill, failed: make(map[int]bool)}
	failed := make(chan error) // sent once by the tracing thread
	go func() {
		runtime.LockOSThread() // never unlocked: the thread ends with the goroutine
		failed <- tr.run(s, append([]string{os.Args[0]}, args...), x.environ())
	}()
	if err := <-failed; err != nil {
		x.t.Fatalf("%v: %s", err, s.said())
	}
	s.sentAt = tr.at
	return s, tr
}

func (tr *tracer) run(s *session, argv, env []string) (err error) {
	stdout, err := os.Create(s.out)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, stdout.Close()) }()
	stderr, err := os.Create(s.err)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, stderr.Close()) }()
	p, err := os.StartProcess(argv[0], argv, &os.ProcAttr{
		Env: env, Files: []*os.File{nil, stdout, stderr},
		// A group of its own, so that only its processes are waited for.
		Sys: &syscall.SysProcAttr{Ptrace: true, Setpgid: true},
	})
	if err != nil {
		return fmt.Errorf("tracing a process: %w\nhint: ptrace(2) of one's own children has to be allowed", err)
	}
	defer func() { _ = p.Release() }() // follow has waited for it
	tr.pid = p.Pid
	hangs := time.AfterFunc(guard, func() { _ = unix.Kill(tr.pid, unix.SIGQUIT) })
	if err := tr.follow(s); err != nil {
		_ = unix.Kill(tr.pid, unix.SIGKILL)
		return fmt.Errorf("tracing a process: %w", err)
	}
	if !hangs.Stop() {
		return fmt.Errorf("%s hangs", s.name)
	}
	return nil
}

// follow traces the threads of the process until it ends.
func (tr *tracer) follow(s *session) error {
	var status unix.WaitStatus
	if _, err := unix.Wait4(tr.pid, &status, 0, nil); err != nil {
		return err
	}
	const options = unix.PTRACE_O_TRACESYSGOOD | unix.PTRACE_O_TRACECLONE | unix.PTRACE_O_EXITKILL
	if err := unix.PtraceSetOptions(tr.pid, options); err != nil {
		return err
	}
	tid := tr.pid
	for signal := 0; ; {
		if status.Stopped() {
			// A thread that was killed meanwhile no longer exists.
			if err := unix.PtraceSyscall(tid, signal); err != nil && !errors.Is(err, unix.ESRCH) {
				return err
			}
		}
		var err error
		tid, err = unix.Wait4(-tr.pid, &status, unix.WALL, nil)
		switch {
		case errors.Is(err, unix.EINTR):
			status = 0 // nothing has stopped
		case err != nil:
			return err
		case status.Stopped():
			if signal, err = tr.stopped(tid, status.StopSignal()); err != nil {
				return err
			}
		case tid == tr.pid:
			s.ended, s.status = time.Now(), syscall.WaitStatus(status)
			close(s.done)
			return nil
		}
	}
}

// stopped handles a stop of a thread, and returns the signal to deliver to it.
func (tr *tracer) stopped(tid int, why unix.Signal) (int, error) {
	switch why {
	case unix.SIGTRAP | 0x80:
		return 0, tr.look(tid)
	case unix.SIGTRAP, unix.SIGSTOP:
		return 0, nil // a thread was created
	}
	return int(why), nil // the program's own
}

// look handles the entry or exit of a system call.
func (tr *tracer) look(tid int) error {
	var call callInfo
	if _, _, err := unix.Syscall6(unix.SYS_PTRACE, unix.PTRACE_GET_SYSCALL_INFO, uintptr(tid),
		unsafe.Sizeof(call), uintptr(unsafe.Pointer(&call)), 0, 0); err != 0 {
		if err == unix.ESRCH {
			return nil // killed meanwhile
		}
		return fmt.Errorf("looking at a system call: %w", err)
	}
	switch {
	case call.Op == unix.PTRACE_SYSCALL_INFO_EXIT && tr.failed[tid]:
		delete(tr.failed, tid)
		return returnError(tid, tr.kill.errno)
	case call.Op == unix.PTRACE_SYSCALL_INFO_EXIT && tid == tr.within:
		tr.strike()
	case call.Op == unix.PTRACE_SYSCALL_INFO_ENTRY:
		return tr.enter(tid, &call)
	}
	return nil
}

func (tr *tracer) enter(tid int, call *callInfo) error {
	change, ok := changes[call.Nr]
	if !ok {
		return nil
	}
	path := tr.path(call.Args[change.arg], change.isPath)
	if path != tr.dir && !strings.HasPrefix(path, tr.dir+"/") {
		return nil
	}
	if tr.seen++; tr.seen < tr.kill.nth || tr.kill.nth == 0 || tr.seen > tr.kill.nth && !tr.kill.ever {
		return nil
	}
	if tr.dying == "" {
		tr.dying = change.name + " " + filepath.Base(path)
	}
	if tr.kill.errno != 0 {
		tr.failed[tid] = true
		return skipCall(tid)
	}
	if tr.kill.after {
		tr.within = tid
		return nil
	}
	tr.strike()
	return nil
}

// path returns the path that a system call's argument refers to; "" if none.
func (tr *tracer) path(arg uint64, isPath bool) string {
	if !isPath {
		path, _ := os.Readlink(fmt.Sprintf("/proc/%d/fd/%d", tr.pid, int32(arg)))
		return path
	}
	memory, err := os.Open(fmt.Sprintf("/proc/%d/mem", tr.pid))
	if err != nil {
		return ""
	}
	defer func() { _ = memory.Close() }() // nothing was written
	text := make([]byte, unix.PathMax)
	n, _ := memory.ReadAt(text, int64(arg)) // up to the end of the mapping
	text, _, _ = bytes.Cut(text[:n], []byte{0})
	return string(text)
}

// strike kills the process. The thread that is stopped by ptrace runs no
// further.
func (tr *tracer) strike() {
	if tr.at.IsZero() {
		tr.at = time.Now()
		_ = unix.Kill(tr.pid, unix.SIGKILL)
	}
}
