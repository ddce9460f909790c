package auth

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"
)

// grace is how long the agent may still take for a cancelled request while others wait behind
// it. Its answer is discarded; after grace the others move to a new connection.
const grace = time.Second

// hangTime is how long an agent may leave a cancelled request unanswered, for example one
// cancelled at the deadline of authentication, before it counts as hung.
const hangTime = 2 * time.Second

// stopped is the timer delay that shows that this process was stopped meanwhile; on a busy
// machine a timer may be some hundred milliseconds late.
const stopped = time.Second

// An agentConn is an agentClient's use of one connection, by one goroutine.
type agentConn struct {
	*agentClient
	conn   net.Conn
	flight []*call   // sent and not answered, in the order of the answers
	turn   time.Time // when the first of flight became the next to be answered
	given  time.Time // when the first of flight was found to be cancelled; otherwise zero
	timer  *time.Timer
	due    time.Time // when timer fires
}

// A reply is a message from the reader, or the error that stopped it.
type reply struct {
	message []byte
	err     error
}

// serve serves the given calls and then new ones until the connection ends. It returns the
// calls that need another connection.
func (l *agentClient) serve(ctx context.Context, conn net.Conn, calls []*call) []*call {
	// The reader sends replies to serve; capacity for all outstanding requests. replies is
	// never closed; closing left, here, stops the reader.
	replies, left := make(chan reply, l.window), make(chan struct{})
	var reader sync.WaitGroup
	reader.Go(func() { readReplies(conn, replies, left) })
	l.open.Store(true)
	l.doubt.Store(false)
	defer func() {
		l.open.Store(false)
		close(left)
		_ = conn.Close() // nothing is left to send
		reader.Wait()
	}()
	// An agent that does not read, as while it asks a person, must not keep close waiting.
	defer context.AfterFunc(ctx, func() { _ = conn.SetWriteDeadline(time.Unix(1, 0)) })()
	e := &agentConn{agentClient: l, conn: conn, timer: time.NewTimer(l.limit)}
	defer e.timer.Stop()
	return e.serve(ctx, calls, replies)
}

func readReplies(conn net.Conn, replies chan<- reply, left <-chan struct{}) {
	r := bufio.NewReader(conn)
	for {
		message, err := readMessage(r)
		select {
		case replies <- reply{message, err}:
		case <-left:
			return
		}
		if err != nil {
			return
		}
	}
}

func (e *agentConn) serve(ctx context.Context, calls []*call, replies <-chan reply) []*call {
	for {
		if err := e.send(ctx, calls); err != nil {
			if ctx.Err() != nil {
				e.failAll(e.flight, errClosed)
				return nil
			}
			if timedOut(err) { // the agent does not even read
				e.hung.Store(true)
			}
			return e.fail(err)
		}
		calls = nil
		more := e.calls
		if len(e.flight) >= e.window {
			more = nil
		}
		e.setTimer()
		select {
		case c := <-more:
			calls = e.gather(c)
		case r := <-replies:
			if e.doubt.Swap(false) {
				return alive(e.flight)
			}
			if err := e.take(r); err != nil {
				return e.fail(err)
			}
		case <-e.timer.C:
			now := time.Now()
			if now.Sub(e.due) > stopped { // the answer may have arrived already
				e.turn, e.given = now, time.Time{}
				continue
			}
			took := now.Sub(e.turn)
			err := noAnswer{min(took, e.limit).Round(time.Millisecond)}
			if took < min(e.limit, hangTime) {
				return e.fail(violation{err})
			}
			e.hung.Store(true)
			e.failAll(e.flight, fmt.Errorf("talking to the agent: %w", err))
			return nil
		case <-e.nudge:
			if e.doubt.Swap(false) {
				return alive(e.flight)
			}
		case <-ctx.Done():
			e.failAll(e.flight, errClosed)
			return nil
		}
	}
}

// gather receives further waiting calls, so that one write sends all.
func (e *agentConn) gather(c *call) []*call {
	calls := []*call{c}
	for len(e.flight)+len(calls) < e.window {
		select {
		case c := <-e.calls:
			calls = append(calls, c)
		default:
			return calls
		}
	}
	return calls
}

// send writes requests. It skips cancelled calls and those that only open a connection.
func (e *agentConn) send(ctx context.Context, calls []*call) error {
	var b []byte
	for _, c := range calls {
		switch {
		case c.request == nil:
			c.answer <- answer{}
		case c.ctx.Err() == nil:
			if len(e.flight) == 0 {
				e.turn = time.Now()
			}
			e.flight = append(e.flight, c)
			b = append(b, c.request...)
		}
	}
	if len(b) == 0 {
		return nil
	}
	if err := e.conn.SetWriteDeadline(time.Now().Add(e.limit)); err != nil {
		return err
	}
	if ctx.Err() != nil { // its deadline may have been overwritten just now
		return errClosed
	}
	_, err := e.conn.Write(b)
	return err
}

// take assigns a reply to the next request to be answered.
func (e *agentConn) take(r reply) error {
	switch {
	case r.err != nil:
		return r.err
	case len(e.flight) == 0:
		return violation{errors.New("the agent answers without being asked")}
	}
	now := time.Now()
	e.flight[0].answer <- answer{reply: r.message, took: now.Sub(e.turn)}
	e.flight[0] = nil
	e.flight = e.flight[1:]
	e.turn, e.given = now, time.Time{}
	return nil
}

// setTimer sets the timer to the agent's deadline.
func (e *agentConn) setTimer() {
	if len(e.flight) == 0 {
		e.timer.Stop()
		return
	}
	now := time.Now()
	left := e.turn.Add(e.limit).Sub(now)
	if e.flight[0].ctx.Err() != nil {
		if e.given.IsZero() {
			e.given = now
		}
		left = min(left, e.given.Add(grace).Sub(now))
	}
	e.due = now.Add(left)
	e.timer.Reset(left)
}

// fail fails the request that was next to be answered and returns the others. That request is
// retried once if the connection just ended: a restarted agent has the same socket.
func (e *agentConn) fail(err error) []*call {
	if len(e.flight) == 0 {
		return nil
	}
	head := e.flight[0]
	var v violation
	if errors.As(err, &v) || head.retried {
		head.answer <- answer{err: fmt.Errorf("talking to the agent: %w", err)}
		return alive(e.flight[1:])
	}
	head.retried = true
	return alive(e.flight)
}

// alive filters out cancelled calls.
func alive(calls []*call) []*call {
	var list []*call
	for _, c := range calls {
		if c.ctx.Err() == nil {
			list = append(list, c)
		}
	}
	return list
}
