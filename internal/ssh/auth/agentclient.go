package auth

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// window is how many requests may be outstanding at the agent: enough to keep it busy. Further
// requests wait here, where cancelling is free.
const window = 32

// An agentClient is the one connection to an agent, shared by all targets. Agents answer in
// order (draft-ietf-sshm-ssh-agent §3), so requests are pipelined:
//
//	do ──calls──▶ run: dial ▶ agentConn ──▶ agent
//	 ◀──answer──              agentConn ◀──replies── reader
//
// If a connection ends, its unanswered requests move to the next one, except the one that was
// next to be answered. An agent that does not answer in time is not used again: otherwise each
// target would wait for it in turn, and keys from files work without it (faults.md A09).
type agentClient struct {
	socket string
	limit  time.Duration // for dialling, and for the answer to one request
	window int

	// calls go from do to run. It is unbuffered, so that the caller can withdraw a call that
	// run has not received. It is never closed.
	calls chan *call
	// nudge tells run that a call was cancelled or the connection is in doubt. Capacity 1,
	// since one pending signal is enough; it is never closed.
	nudge chan struct{}
	doubt atomic.Bool // the agent gave a wrong signature
	open  atomic.Bool // there is a connection
	hung  atomic.Bool // the agent has not answered in time

	stopped <-chan struct{}
	stop    context.CancelFunc
	running sync.WaitGroup
}

// A call is one request.
type call struct {
	ctx context.Context
	// request is framed; nil only opens a connection.
	request []byte
	// answer receives one value, from run. Capacity 1, so that run does not block.
	answer  chan answer
	retried bool // its connection was lost once
}

type answer struct {
	reply []byte
	took  time.Duration // since this request was next to be answered
	err   error
}

var (
	errClosed = errors.New("the connection to the agent was closed on our side")
	errHung   = errors.New("it did not answer in time, and is not asked any more")
)

func newAgentClient(socket string, limit time.Duration, window int) *agentClient {
	ctx, stop := context.WithCancel(context.Background())
	l := &agentClient{
		socket: socket, limit: limit, window: window,
		calls: make(chan *call), nudge: make(chan struct{}, 1),
		stopped: ctx.Done(), stop: stop,
	}
	l.running.Go(func() { l.run(ctx) })
	return l
}

// close ends the connection and all requests. It may be called more than once.
func (l *agentClient) close() {
	l.stop()
	l.running.Wait()
}

// do sends a request and waits for its reply until ctx ends.
func (l *agentClient) do(ctx context.Context, request []byte) answer {
	if l.hung.Load() {
		return answer{err: errHung}
	}
	c := &call{ctx: ctx, request: request, answer: make(chan answer, 1)}
	select {
	case l.calls <- c:
	case <-ctx.Done():
		return answer{err: fmt.Errorf("waiting for the agent: %w", context.Cause(ctx))}
	case <-l.stopped:
		return answer{err: errClosed}
	}
	select {
	case a := <-c.answer:
		return a
	case <-ctx.Done():
		l.wake()
		return answer{err: fmt.Errorf("waiting for the agent's answer: %w", context.Cause(ctx))}
	}
}

// reach opens the connection if there is none.
func (l *agentClient) reach(ctx context.Context) error {
	if l.open.Load() && !l.hung.Load() {
		return nil
	}
	return l.do(ctx, nil).err
}

// reset replaces the connection after an answer that did not match its request.
func (l *agentClient) reset() {
	l.doubt.Store(true)
	l.wake()
}

func (l *agentClient) wake() {
	select {
	case l.nudge <- struct{}{}:
	default:
	}
}

// run serves the calls until ctx ends.
func (l *agentClient) run(ctx context.Context) {
	var waiting []*call
	for {
		if len(waiting) == 0 {
			select {
			case c := <-l.calls:
				waiting = append(waiting, c)
			case <-ctx.Done():
				return
			}
		}
		conn, err := l.dial(ctx)
		if err != nil && timedOut(err) && !noFiles(err) {
			l.hung.Store(true)
		}
		if err != nil {
			l.failAll(waiting, err)
			waiting = nil
			continue
		}
		waiting = l.serve(ctx, conn, waiting)
	}
}

// failAll fails these calls and those that run has not received yet.
func (l *agentClient) failAll(calls []*call, err error) {
	for _, c := range calls {
		c.answer <- answer{err: err}
	}
	for {
		select {
		case c := <-l.calls:
			c.answer <- answer{err: err}
		default:
			return
		}
	}
}

// dial retries while the backlog is full (EAGAIN), which means that the agent is alive and
// busy, and while file descriptors are missing, which other targets will release.
func (l *agentClient) dial(ctx context.Context) (net.Conn, error) {
	if l.hung.Load() {
		return nil, errHung
	}
	ctx, cancel := context.WithTimeoutCause(ctx, l.limit, noAnswer{l.limit})
	defer cancel()
	const first, last = time.Millisecond, 100 * time.Millisecond
	var d net.Dialer
	var busy error
	for pause := first; ; pause = min(2*pause, last) {
		conn, err := d.DialContext(ctx, "unix", l.socket)
		switch {
		case err == nil:
			return conn, nil
		case passes(err):
			busy = err
		case ctx.Err() == nil && !timedOut(err):
			return nil, err
		}
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return nil, fmt.Errorf("dialling the agent: %w", errors.Join(context.Cause(ctx), busy))
		}
	}
}

// noAnswer is the error for an agent that took too long.
type noAnswer struct{ limit time.Duration }

func (e noAnswer) Error() string { return fmt.Sprintf("no answer from the agent in %v", e.limit) }
func (noAnswer) Timeout() bool   { return true }
func (noAnswer) Temporary() bool { return false }

// noFiles reports whether dialling failed because we have no file descriptors left.
func noFiles(err error) bool { return errors.Is(err, syscall.EMFILE) || errors.Is(err, syscall.ENFILE) }

// timedOut reports whether err is a timeout. A connection may return one shortly before its
// context ends.
func timedOut(err error) bool {
	var e net.Error
	return errors.As(err, &e) && e.Timeout()
}

// passes reports whether a dial error is transient.
func passes(err error) bool {
	for _, e := range []syscall.Errno{syscall.EAGAIN, syscall.EMFILE, syscall.ENFILE, syscall.ENOBUFS} {
		if errors.Is(err, e) {
			return true
		}
	}
	return false
}
