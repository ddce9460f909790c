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

// grace is how long the agent may still take for a request that its caller has
// given up while others wait behind it. Answers that late are thrown away; after
// it the others move to a new connection.
const grace = time.Second

// hangTime is how long an agent may leave a request unanswered whose caller has
// given it up, as at the deadline of authentication, and not count as hung.
const hangTime = 2 * time.Second

// stopped is how late a timer has to be to show that this process was stopped
// meanwhile; a busy machine may make it some hundred milliseconds late.
const stopped = time.Second

// An exchange is a link's use of one connection, by its one goroutine.
type agentConn struct {
	*agentClient
	conn   net.Conn
	flight []*call   // sent and not answered, in the order of the answers
	turn   time.Time // when the first of flight had its turn
	given  time.Time // when the first of flight was found to be given up; else zero
	timer  *time.Timer
	due    time.Time // when timer fires
}

// A reply is what the reader has read, or why it stopped.
type reply struct {
	message []byte
	err     error
}

// serve serves calls, first these and then others, until the connection ends.
// It gives back those that want another one.
func (l *agentClient) serve(ctx context.Context, conn net.Conn, calls []*call) []*call {
	// replies go from the reader to serve. The room is for what may be under
	// way; the reader closes nothing and stops with left, which is closed here.
	replies, left := make(chan reply, l.window), make(chan struct{})
	var reader sync.WaitGroup
	reader.Go(func() { readReplies(conn, replies, left) })
	l.open.Store(true)
	l.doubt.Store(false)
	defer func() {
		l.open.Store(false)
		close(left)
		_ = conn.Close() // nothing that counts is left to send
		reader.Wait()
	}()
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
		if err := e.send(calls); err != nil {
			if timedOut(err) { // it does not even read
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
			if now.Sub(e.due) > stopped { // its answer may be there already
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

// gather takes what else waits, so that one write carries it.
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

// send writes requests. Those whose caller has given up, and those that only
// want a connection, need none.
func (e *agentConn) send(calls []*call) error {
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
	_, err := e.conn.Write(b)
	return err
}

// take gives a reply to the request whose turn it is.
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

// setTimer has the timer fire when the agent has had its time.
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

// fail ends the request whose turn it was and gives back the others. That one
// gets a second connection, too, when the first just ended: an agent that was
// started anew has the same socket.
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

// alive leaves out the calls that were given up.
func alive(calls []*call) []*call {
	var list []*call
	for _, c := range calls {
		if c.ctx.Err() == nil {
			list = append(list, c)
		}
	}
	return list
}
