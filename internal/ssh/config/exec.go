package config

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"sync"
	"syscall"
	"time"
)

// An ExecFunc runs the command of a Match exec and reports whether it exited with 0. An error
// means that it could not be run to its end; the resolution fails.
type ExecFunc func(ctx context.Context, command string) (bool, error)

// ErrExecForbidden is returned by [NoExec].
var ErrExecForbidden = errors.New("running commands for Match exec is not allowed here")

// NoExec is an ExecFunc that runs nothing and fails.
func NoExec(context.Context, string) (bool, error) { return false, ErrExecForbidden }

// shellExec returns an ExecFunc that runs commands like ssh: with the user's shell, -c, and
// empty input and output. When ctx ends, the command is killed with all its child processes.
func shellExec(shell string) ExecFunc {
	return func(ctx context.Context, command string) (bool, error) {
		cmd := exec.CommandContext(ctx, shell, "-c", command)
		cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
		cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
		cmd.WaitDelay = time.Second
		err := cmd.Run()
		if exit, ok := errors.AsType[*exec.ExitError](err); ok && exit.Exited() {
			return false, nil
		}
		if err != nil && ctx.Err() != nil {
			err = context.Cause(ctx)
		}
		return err == nil, err
	}
}

// An execCache runs each command once. It grows with the number of distinct commands.
type execCache struct {
	run     ExecFunc
	timeout time.Duration
	waiting func(command string)

	mu    sync.Mutex
	calls map[string]*execCall
}

// An execCall is a running or finished command.
type execCall struct {
	done chan struct{} // closed by first, after the fields below are set
	ok   bool
	err  error
	left bool // the caller that ran it has left: err is of no other
}

func newExecCache(o *LoadOptions, local *Local) *execCache {
	c := &execCache{run: o.Exec, timeout: o.ExecTimeout, waiting: o.Waiting, calls: make(map[string]*execCall)}
	if c.run == nil {
		c.run = shellExec(local.shell())
	}
	if c.timeout == 0 {
		c.timeout = defaultExecTimeout
	}
	return c
}

// do runs the command or returns its earlier result. Callers wait for a running command until
// ctx ends.
func (c *execCache) do(ctx context.Context, command string) (bool, error) {
	for {
		c.mu.Lock()
		call, running := c.calls[command]
		if !running {
			call = &execCall{done: make(chan struct{})}
			c.calls[command] = call
		}
		c.mu.Unlock()
		if !running {
			c.first(ctx, command, call)
			return call.ok, call.err
		}
		select {
		case <-call.done:
			if !call.left {
				return call.ok, call.err
			}
		case <-ctx.Done():
			return false, context.Cause(ctx)
		}
	}
}

// errNoEnd is why there is no result if running a command panics.
var errNoEnd = errors.New("it did not come to its end")

// first runs the command. A result that the caller's ctx interrupted is not cached.
func (c *execCache) first(ctx context.Context, command string, call *execCall) {
	defer close(call.done)
	limited, cancel := context.WithTimeoutCause(ctx, c.timeout, fmt.Errorf("no end within %v", c.timeout))
	defer cancel()
	if c.waiting != nil {
		note := time.AfterFunc(waitingAfter, func() { c.waiting(command) })
		defer note.Stop()
	}
	call.err = errNoEnd
	call.ok, call.err = c.run(limited, command)
	if call.err == nil || ctx.Err() == nil {
		return
	}
	call.left = true
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.calls, command)
}
