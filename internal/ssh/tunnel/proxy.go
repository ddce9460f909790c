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
	"sync"
	"syscall"
	"time"

	"shoal/fleet"
	"shoal/internal/ssh"
	"shoal/internal/ssh/sshreason"
)

// proxy starts a program whose standard input and output are the connection. It
// uses no shell.
func (n *Network) proxy(ctx context.Context, a *ssh.Attempt, argv []string) (net.Conn, error) {
	fail := func(err error) (net.Conn, error) {
		reason := cmp.Or(sshreason.Local(err), fleet.ReasonJumpFailed)
		return nil, a.Fail(fleet.OutcomeNeverStarted, reason, fmt.Errorf("the proxy command %q: %w", argv[0], err))
	}
	ours, theirs, err := socketPair()
	if err != nil {
		return fail(err)
	}
	defer func() { _ = theirs.Close() }()
	c := &proxied{Conn: ours, host: a.Target.Host.String()}
	c.cmd = exec.CommandContext(n.ctx, argv[0], argv[1:]...)
	c.cmd.Stdin, c.cmd.Stdout, c.cmd.Stderr = theirs, theirs, &c.complaint
	c.cmd.WaitDelay = time.Second
	c.cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true} // Ctrl-C must not reach it directly
	if err := c.cmd.Start(); err != nil {
		_ = ours.Close()
		return fail(err)
	}
	c.exited = make(chan struct{})
	n.all.Go(func() {
		c.err = c.cmd.Wait()
		close(c.exited)
	})
	return c, nil
}

// socketPair returns both ends of a stream.
func socketPair() (ours net.Conn, theirs *os.File, err error) {
	fds, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_STREAM, 0)
	if err != nil {
		return nil, nil, fmt.Errorf("making a socket pair: %w", err)
	}
	for _, fd := range fds {
		syscall.CloseOnExec(fd)
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
	if c.err == nil {
		return err
	}
	return &fleet.Error{
		Host: c.host, Outcome: fleet.OutcomeNeverStarted, Phase: fleet.PhaseDial, Reason: fleet.ReasonJumpFailed,
		Err: fmt.Errorf("the proxy command %q ended: %w: %q", c.cmd.Args[0], c.err, c.complaint.text()),
	}
}

// Close closes the program's input, and kills the program if it has not exited
// after 1 s.
func (c *proxied) Close() error {
	err := net.ErrClosed
	c.closing.Do(func() {
		err = c.Conn.Close()
		time.AfterFunc(time.Second, func() {
			select {
			case <-c.exited:
			default:
				_ = c.cmd.Process.Kill()
			}
		})
	})
	return err
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
