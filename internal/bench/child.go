package bench

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"time"
)

// errEnded is the error of a child that exited without a message.
var errEnded = errors.New("its process ended by itself")

// childGrace is how long a child may run after its standard input was closed.
const childGrace = 10 * time.Second

// A child is a process that prints a line when it is ready and exits when its
// standard input ends.
type child struct {
	cmd    *exec.Cmd
	stdin  io.Closer
	spoken chan struct{} // closed by watch at the first line
	ended  chan struct{} // closed by watch when the process has exited
	err    error         // its exit error; valid after ended
	stderr lastBytes
}

// startChild starts cmd in its own process group: Ctrl-C goes to this process
// only, which decides when the child is no longer needed.
func startChild(cmd *exec.Cmd) (*child, error) {
	c := &child{cmd: cmd, spoken: make(chan struct{}), ended: make(chan struct{})}
	cmd.Stderr = &c.stderr
	cmd.SysProcAttr = ownGroup()
	// Do not wait for grandchildren that keep the pipes open.
	cmd.WaitDelay = childGrace
	stdin, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	c.stdin = stdin
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	go c.watch(stdout)
	return c, nil
}

// watch reads the child's output until its end, and then waits for the process.
func (c *child) watch(stdout io.Reader) {
	defer close(c.ended)
	out := bufio.NewReader(stdout)
	if _, err := out.ReadSlice('\n'); err == nil {
		close(c.spoken)
	}
	_, _ = io.Copy(io.Discard, out)
	if err := c.cmd.Wait(); err != nil {
		c.err = fmt.Errorf("%w: %q", err, c.stderr.bytes)
	}
}

// ready waits for the first line.
func (c *child) ready(ctx context.Context) error {
	select {
	case <-c.spoken:
		return nil
	case <-c.ended:
		if c.err != nil {
			return c.err
		}
		return errEnded
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// close ends the child and waits for its exit.
func (c *child) close() error {
	_ = c.stdin.Close()
	late := time.NewTimer(childGrace)
	defer late.Stop()
	select {
	case <-c.ended:
		return c.err
	case <-late.C:
	}
	_ = c.cmd.Process.Kill()
	<-c.ended
	return fmt.Errorf("it did not end within %v and was killed", childGrace)
}

// lastBytes keeps the last bytes written to it.
type lastBytes struct{ bytes []byte }

// Write implements io.Writer.
func (l *lastBytes) Write(p []byte) (int, error) {
	const most = 1 << 10
	l.bytes = append(l.bytes, p...)
	if over := len(l.bytes) - most; over > 0 {
		l.bytes = append(l.bytes[:0], l.bytes[over:]...)
	}
	return len(p), nil
}
