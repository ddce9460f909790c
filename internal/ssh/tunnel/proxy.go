package tunnel

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"shoal/fleet"
	"shoal/internal/ssh"
	"shoal/internal/ssh/sshreason"
)

// proxy starts a program whose standard input and output are the connection.
func (n *Network) proxy(ctx context.Context, a *ssh.Attempt, argv []string) (net.Conn, error) {
	fail := func(err error) (net.Conn, error) {
		reason := cmp.Or(sshreason.Local(err), fleet.ReasonJumpFailed)
		return nil, a.Fail(fleet.OutcomeNeverStarted, reason, fmt.Errorf("the proxy command %q: %w", program(argv), err))
	}
	ours, theirs, err := socketPair()
	if err != nil {
		return fail(err)
	}
	c := &proxied{Conn: ours, host: a.Target.Host.String()}
	c.cmd = exec.CommandContext(n.ctx, argv[0], argv[1:]...)
	c.cmd.Stdin, c.cmd.Stdout, c.cmd.Stderr = theirs, theirs, &c.complaint
	c.cmd.WaitDelay = time.Second
	c.cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true} // Ctrl-C must not reach it directly
	c.cmd.Cancel = c.kill
	err = c.cmd.Start()
	_ = theirs.Close() // or hungUp would find this copy
	if err != nil {
		_ = ours.Close()
		return fail(err)
	}
	c.exited = make(chan struct{})
	n.all.Go(func() {
		c.err = c.cmd.Wait()
		hung := hungUp(c.Conn)
		c.held.Store(!hung)
		close(c.exited)
		if c.closed.Load() || hung {
			_ = c.kill() // what it has left running
		}
	})
	return c, nil
}

// socketPair returns both ends of a stream.
func socketPair() (ours net.Conn, theirs *os.File, err error) {
	syscall.ForkLock.RLock() // no program that is started meanwhile inherits them
	fds, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_STREAM, 0)
	if err == nil {
		syscall.CloseOnExec(fds[0])
		syscall.CloseOnExec(fds[1])
	}
	syscall.ForkLock.RUnlock()
	if err != nil {
		return nil, nil, fmt.Errorf("making a socket pair: %w", err)
	}
	own := os.NewFile(uintptr(fds[0]), "proxy")
	defer func() { _ = own.Close() }()
	theirs = os.NewFile(uintptr(fds[1]), "proxy")
	if ours, err = net.FileConn(own); err != nil {
		_ = theirs.Close()
		return nil, nil, fmt.Errorf("using a socket pair: %w", err)
	}
	return ours, theirs, nil
}

// A proxied is the connection over a program.
type proxied struct {
	net.Conn
	host      string
	cmd       *exec.Cmd
	complaint complaint
	closing   sync.Once
	closed    atomic.Bool
	held      atomic.Bool   // when the program exited, something held the other end still
	exited    chan struct{} // closed when err is set
	err       error
}

// Read adds the program's failure to the error.
func (c *proxied) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	if err != nil && !sshreason.TimedOut(err) && !errors.Is(err, net.ErrClosed) {
		err = c.why(err)
	}
	return n, err
}

// why returns the program's failure instead of err if it fails within 1 s. A
// program that has closed its end may keep running.
func (c *proxied) why(err error) error {
	patience := time.NewTimer(time.Second)
	defer patience.Stop()
	select {
	case <-c.exited:
	case <-patience.C:
		return err
	}
	if c.held.Swap(false) {
		_ = c.kill() // it has just let go of it
	}
	if c.err == nil {
		return err
	}
	return &fleet.Error{
		Host: c.host, Outcome: fleet.OutcomeNeverStarted, Phase: fleet.PhaseDial, Reason: fleet.ReasonJumpFailed,
		Err: fmt.Errorf("the proxy command %q ended: %w: %q", program(c.cmd.Args), c.err, c.complaint.text()),
	}
}

// Close closes the program's input, and kills the program if it has not exited
// after 1 s. What a program that has exited left running is killed too.
func (c *proxied) Close() error {
	err := net.ErrClosed
	c.closing.Do(func() {
		c.closed.Store(true)
		select {
		case <-c.exited:
			// The number of the group may have been reused, unless something still holds
			// the other end.
			if !hungUp(c.Conn) {
				_ = c.kill()
			}
		default:
		}
		err = c.Conn.Close()
		time.AfterFunc(time.Second, func() {
			select {
			case <-c.exited:
			default:
				_ = c.kill()
			}
		})
	})
	return err
}

// hungUp reports whether no process holds the other end of the connection any more.
func hungUp(conn net.Conn) bool {
	raw, err := conn.(syscall.Conn).SyscallConn()
	if err != nil {
		return false
	}
	hung := false
	_ = raw.Control(func(fd uintptr) { // without it nothing is known
		poll := []unix.PollFd{{Fd: int32(fd)}} //nolint:gosec // descriptors are small
		n, err := unix.Poll(poll, 0)
		hung = err == nil && n == 1 && poll[0].Revents&unix.POLLHUP != 0
	})
	return hung
}

// kill kills the program and what it has started, such as the parts of a shell's
// pipeline.
func (c *proxied) kill() error { return syscall.Kill(-c.cmd.Process.Pid, syscall.SIGKILL) }

// program returns the program that a command line runs, for messages: not its
// arguments, which may be secret.
func program(argv []string) string {
	if len(argv) == 3 && argv[1] == "-c" {
		if words := strings.Fields(strings.TrimPrefix(argv[2], "exec ")); len(words) > 0 {
			return words[0]
		}
	}
	return argv[0]
}

// A complaint is the beginning of what a program writes on standard error.
type complaint struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

const maxComplaint = 300

func (c *complaint) Write(p []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.buf.Write(p[:min(len(p), maxComplaint-c.buf.Len())])
	return len(p), nil
}

func (c *complaint) text() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.buf.String()
}
