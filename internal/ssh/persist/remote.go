package persist

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"runtime/debug"
	"sync"
	"time"

	xssh "golang.org/x/crypto/ssh"

	"shoal/fleet"
	"shoal/internal/hint"
	"shoal/internal/ssh"
	"shoal/internal/ssh/sshreason"
)

// window is how much output of an attempt the holder may send before it was taken, and how much
// input the run may send ahead, in bytes.
const window = 64 << 10

// A remote is an attempt that the holder makes.
type remote struct {
	dialer  *Dialer
	id      uint32
	attempt *ssh.Attempt
	opened  chan opening // one is sent, by read or lose, before the attempt is started

	mu       sync.Mutex
	ctx      context.Context // of Dial, then that of Start
	cancel   context.CancelFunc
	done     func(fleet.End) // nil before Start
	over     bool
	unwatch  func()
	by       time.Time // by then something is sent to opened, by the Dialer's clock; zero: whenever
	lost     error     // why the holder is not waited for any more; nil: see Dialer.lost
	answered bool      // something was sent to opened, or is about to be
	queued   bool      // the command may have been sent before Start
	// withdrawn means that the run decides about the outcome by itself: a command that was not
	// handed over is not any more, though its intent may be written right now.
	withdrawn bool
	events    []event
	waiting   int  // bytes of output in events
	taken     int  // bytes of output that the holder was not told of
	busy      bool // a goroutine takes events
	broken    [fleet.NumStreams]bool
	signers   map[int][]xssh.Signer // that were offered to the target, 0, and to jump hosts
	unread    error                 // why the input could not be read

	input inputState
}

// An opening is how the holder's dial has ended.
type opening struct {
	connection *fleet.Connection
	queued     bool
	err        *fleet.End
	lost       bool
}

// An event is output, or the end.
type event struct {
	stream     fleet.Stream
	bytes      []byte
	end        *fleet.End
	connection *fleet.Connection
	lost       bool // the end is not of the holder, which is lost
}

func (d *Dialer) newRemote(ctx context.Context, a *ssh.Attempt) *remote {
	r := &remote{dialer: d, attempt: a, opened: make(chan opening, 1), signers: make(map[int][]xssh.Signer)}
	r.ctx, r.cancel = context.WithCancel(ctx)
	d.mu.Lock()
	defer d.mu.Unlock()
	d.last++
	if r.id = d.last; d.lost == nil {
		d.attempts[r.id] = r
	}
	return r
}

// answerBy limits the wait for the end of the holder's dial.
func (r *remote) answerBy(by time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.by = by
}

// slow reports whether the holder has used up that time; then the wait is over, and the caller tells so.
func (r *remote) slow(now time.Time) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.answered || r.by.IsZero() || now.Before(r.by) {
		return false
	}
	r.answered, r.withdrawn, r.lost = true, true, errSlow
	return true
}

// withdraw keeps what was not handed over.
func (r *remote) withdraw() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.withdrawn = true
}

// finished withdraws and forgets the attempt.
func (r *remote) finished() {
	r.dialer.mu.Lock()
	delete(r.dialer.attempts, r.id)
	r.dialer.mu.Unlock()
	r.mu.Lock()
	r.withdrawn = true
	cancel := r.cancel
	r.mu.Unlock()
	cancel()
}

// await waits for the end of the holder's dial. If ctx ends, the holder has to give it up in time.
func (r *remote) await(ctx context.Context) (o opening, inTime bool) {
	select {
	case o = <-r.opened:
		return o, true
	case <-ctx.Done():
	}
	r.giveUp(ctx)
	late := make(chan struct{})
	defer r.dialer.opts.Clock.AfterFunc(patience, func() { close(late) })()
	select {
	case o = <-r.opened:
		return o, true
	case <-late:
		return o, false
	}
}

// giveUp tells the holder that the attempt's context has ended.
func (r *remote) giveUp(ctx context.Context) {
	r.dialer.link.send(kindCancel, r.id, func(e *enc) { e.str(cut(context.Cause(ctx).Error())) })
}

// open records how the holder's dial has ended.
func (r *remote) open(o opening) error {
	r.mu.Lock()
	again, late := r.answered || r.done != nil, r.lost != nil
	if !late {
		r.answered, r.queued = true, o.queued
	}
	r.mu.Unlock()
	switch {
	case late && o.err == nil:
		r.dialer.link.send(kindClose, r.id, nil)
		return nil
	case late:
		return nil
	case again:
		return errMalformed
	}
	if o.connection != nil {
		r.attempt.Connection = o.connection
	}
	r.opened <- o
	return nil
}

// abandon ends the attempt because the holder is lost.
func (r *remote) abandon() {
	r.mu.Lock()
	done, first := r.done, !r.answered
	r.answered, r.withdrawn = true, true
	r.mu.Unlock()
	switch {
	case done != nil:
		end := r.gone().End()
		r.mu.Lock()
		r.queueLocked(event{end: &end, lost: true}) // behind the output that has come
		r.mu.Unlock()
	case first:
		r.opened <- opening{lost: true}
	}
}

// gone returns the failure of an attempt whose holder is lost.
func (r *remote) gone() *fleet.Error {
	r.dialer.mu.Lock()
	why := r.dialer.lost
	r.dialer.mu.Unlock()
	r.mu.Lock()
	why = cmp.Or(why, r.lost, errLarge)
	r.mu.Unlock()
	return r.attempt.Fail(r.attempt.Execution.Failed(), fleet.ReasonHolderLost,
		hint.Wrap(fmt.Errorf("the command was with another process: %w", why), "shoal persist list shows the processes that hold connections"))
}

// failure returns the failure that the holder has reported.
func (r *remote) failure(ctx context.Context, end *fleet.End) *fleet.Error {
	if end.Reason == fleet.ReasonAgentUnavailable && ctx.Err() != nil { // it was not asked any longer
		end.Reason = fleet.ReasonInterrupted
	}
	r.settle(ctx, end)
	return r.attempt.FailIn(end.Phase, end.Outcome, end.Reason, end.Err)
}

// settle has the attempt's Execution agree with what the holder has reported.
func (r *remote) settle(ctx context.Context, end *fleet.End) {
	a := r.attempt
	if end.Outcome.DidNotRun() { // the holder's word is the proof
		if end.Outcome == fleet.OutcomeRefused {
			a.Execution.Refused()
		} else {
			a.Execution.Ignored() // as if it had never been handed over
		}
		end.Outcome = a.Execution.Check(end.Outcome)
	}
	r.mu.Lock()
	unread := r.unread
	r.mu.Unlock()
	if end.Reason == fleet.ReasonInternal && unread != nil {
		end.Err = a.InputFailed(unread).Err
	}
	if end.Reason == fleet.ReasonInterrupted {
		if ctx.Err() != nil {
			end.Err = context.Cause(ctx)
		}
		if end.Outcome.DidNotRun() && end.Outcome != fleet.OutcomeRefused {
			end.Outcome = a.Execution.Interrupted()
		}
	}
	if !end.Outcome.Ran() && end.Err == nil {
		end.Err = errors.New("the holder gives no cause")
	}
	if a.Timeline.Phase() != end.Phase {
		a.Timeline.Enter(end.Phase)
	}
}

// enter is told of a phase.
func (r *remote) enter(p fleet.Phase) {
	r.attempt.Timeline.Enter(p)
	if p == fleet.PhaseRun || p == fleet.PhaseDrain {
		r.attempt.Execution.Started()
	}
}

// begin sets what is told of the end. It reports false if the holder is lost.
func (r *remote) begin(ctx context.Context, done func(fleet.End)) bool {
	r.mu.Lock()
	r.cancel()
	r.ctx, r.cancel = context.WithCancel(ctx)
	r.mu.Unlock()
	r.dialer.mu.Lock()
	lost := r.dialer.lost != nil
	if !lost { // lose ends it from now on
		r.mu.Lock()
		r.done = done
		r.mu.Unlock()
	}
	r.dialer.mu.Unlock()
	return !lost
}

// follow has the holder told when ctx ends. It must be called when the attempt was sent.
func (r *remote) follow(ctx context.Context) {
	var unlate func()
	var mu sync.Mutex
	stop := context.AfterFunc(ctx, func() {
		r.giveUp(ctx)
		mu.Lock()
		defer mu.Unlock()
		unlate = r.dialer.opts.Clock.AfterFunc(patience, func() {
			r.withdraw()
			r.end(sshreason.Interrupted(ctx, r.attempt).End())
		})
	})
	unwatch := func() {
		stop()
		mu.Lock()
		defer mu.Unlock()
		if unlate != nil {
			unlate()
		}
	}
	r.mu.Lock()
	over := r.over
	r.unwatch = unwatch
	r.mu.Unlock()
	if over {
		unwatch()
	}
}

// push queues an event.
func (r *remote) push(ev event) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.over {
		return nil
	}
	if r.done == nil || r.waiting+len(ev.bytes) > window {
		return errMalformed
	}
	if ev.end == nil {
		r.attempt.Execution.Started()
	}
	r.queueLocked(ev)
	return nil
}

func (r *remote) queueLocked(ev event) {
	r.events, r.waiting = append(r.events, ev), r.waiting+len(ev.bytes)
	if !r.busy {
		r.busy = true
		r.dialer.goroutines.run(r.drain)
	}
}

// drain takes events while there are any.
func (r *remote) drain() {
	a := r.attempt
	to := [fleet.NumStreams]io.Writer{fleet.Stdout: a.Stdout, fleet.Stderr: a.Stderr}
	for {
		r.mu.Lock()
		events := r.events
		r.events = nil
		r.busy = len(events) > 0
		r.mu.Unlock()
		if len(events) == 0 {
			return
		}
		for _, ev := range events {
			switch {
			case r.isOver():
			case ev.end != nil:
				if ev.connection != nil {
					a.Connection = ev.connection
				}
				if !ev.lost {
					r.settle(r.context(), ev.end)
				}
				r.end(*ev.end)
			default:
				r.write(to[ev.stream], ev)
			}
		}
	}
}

// write passes output on and lets the holder send more.
func (r *remote) write(w io.Writer, ev event) {
	defer r.guard()
	r.mu.Lock()
	broken := r.broken[ev.stream]
	r.mu.Unlock()
	if w != nil && !broken {
		if _, err := w.Write(ev.bytes); err != nil {
			r.mu.Lock()
			r.broken[ev.stream] = true
			r.mu.Unlock()
		}
	}
	r.mu.Lock()
	r.waiting -= len(ev.bytes)
	r.taken += len(ev.bytes)
	taken := r.taken
	if taken < window/4 {
		taken = 0
	}
	r.taken -= taken
	r.mu.Unlock()
	if taken > 0 {
		r.dialer.link.send(kindCredit, r.id, func(e *enc) { e.uint(uint64(taken)) })
	}
}

func (r *remote) isOver() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.over
}

// guard turns a panic into the end of this one attempt.
func (r *remote) guard() {
	if p := recover(); p != nil {
		err := panicError(p)
		r.dialer.link.send(kindCancel, r.id, func(e *enc) { e.str(cut(err.Error())) })
		r.withdraw()
		r.end(r.attempt.Fail(r.attempt.Execution.Failed(), fleet.ReasonInternal, err).End())
	}
}

func panicError(p any) error { return fmt.Errorf("panic: %v\n%s", p, debug.Stack()) }

func (r *remote) context() context.Context {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.ctx
}

// end ends the attempt, once.
func (r *remote) end(end fleet.End) {
	r.mu.Lock()
	if r.over {
		r.mu.Unlock()
		return
	}
	r.over = true
	done, unwatch := r.done, r.unwatch
	r.mu.Unlock()
	if unwatch != nil {
		unwatch()
	}
	r.finished()
	if a := r.attempt; a.Timeline.Phase() != end.Phase {
		a.Timeline.Enter(end.Phase)
	}
	done(end)
}

// A conn is a connection that the holder has. It implements ssh.Conn.
type conn struct {
	dialer *Dialer
	first  *remote

	mu      sync.Mutex // also while a start is sent: none may follow Close, whose attempt the holder has forgotten
	started bool
	closed  bool
}

var errClosedHere = errors.New("the connection was closed on this side")

// starts records that Start was called, and reports whether Close was not.
func (c *conn) starts() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.started = true
	return !c.closed
}

// closedHere returns the failure of an attempt whose connection Close has closed.
func closedHere(a *ssh.Attempt) *fleet.Error {
	return a.Fail(a.Execution.Failed(), fleet.ReasonInterrupted, errClosedHere)
}

// Start implements ssh.Conn.
func (c *conn) Start(ctx context.Context, done func(fleet.End)) {
	r := c.first
	if !c.starts() {
		r.finished()
		done(closedHere(r.attempt).End())
		return
	}
	r.start(ctx, c, done, func(intended bool) bool {
		body := func(e *enc) { e.bool(intended) }
		if intended {
			return c.dialer.link.hand(kindStart, r.id, body, &r.attempt.Execution, frameOf(kindClose, r.id, nil))
		}
		return c.dialer.link.send(kindStart, r.id, body)
	})
}

// StartNext implements ssh.Conn.
func (c *conn) StartNext(ctx context.Context, a *ssh.Attempt, done func(fleet.End)) {
	a.Timeline.Enter(fleet.PhaseSession)
	if !c.starts() {
		done(closedHere(a).End())
		return
	}
	r := c.dialer.newRemote(ctx, a)
	r.answered = true
	r.start(ctx, c, done, func(intended bool) bool { return c.dialer.order(r, kindNext, c.first.id, intended) })
}

// start records the intent, unless the command was sent already, and sends the attempt on its way,
// on the connection c.
func (r *remote) start(ctx context.Context, c *conn, done func(fleet.End), send func(intended bool) bool) {
	a := r.attempt
	fail := func(f *fleet.Error) {
		r.finished()
		r.dialer.link.send(kindClose, c.first.id, nil)
		done(f.End())
	}
	if a.Timeline.Phase() < fleet.PhaseSession {
		a.Timeline.Enter(fleet.PhaseSession)
	}
	if ctx.Err() != nil && !r.queued {
		fail(sshreason.Interrupted(ctx, a))
		return
	}
	intended := !r.queued && !a.Hold
	if intended {
		if f := a.Intend(); f != nil {
			fail(f)
			return
		}
		a.Execution.Queue(1)
	}
	c.mu.Lock()
	closed := c.closed
	sent := !closed && r.begin(ctx, done) && send(intended)
	c.mu.Unlock()
	if !sent {
		r.mu.Lock()
		r.done = done
		r.mu.Unlock()
		if closed {
			r.end(closedHere(a).End())
		} else {
			r.end(r.gone().End())
		}
		return
	}
	r.follow(ctx)
	r.dialer.followDrain(r)
	r.serveInput()
}

// Close implements ssh.Conn.
func (c *conn) Close() error {
	c.mu.Lock()
	again, started := c.closed, c.started
	if c.closed = true; !again {
		c.dialer.link.send(kindClose, c.first.id, nil)
	}
	c.mu.Unlock()
	if !again && !started {
		c.first.finished()
	}
	return nil
}
