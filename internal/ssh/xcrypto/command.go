package xcrypto

import (
	"context"
	"errors"
	"io"
	"sync"
	"sync/atomic"
	"time"

	xssh "golang.org/x/crypto/ssh"

	"shoal/fleet"
	"shoal/internal/ssh"
	"shoal/internal/ssh/sshreason"
)

// A command is the session channel on which the attempt's command runs.
type command struct {
	conn     *conn
	channel  xssh.Channel
	requests sync.WaitGroup // the goroutine that serves channel requests

	mu   sync.Mutex
	exit exit
	stop func() // stops waiting for the channel's close once exit is known

	overdue atomic.Bool // the command timeout has passed, and TERM was sent
}

func newCommand(c *conn, ch xssh.Channel) *command {
	c.wire.serving.Store(true)
	return &command{conn: c, channel: ch}
}

// serve handles the server's channel requests until the channel ends. Without it the library
// would stop reading from the connection.
func (cmd *command) serve(requests <-chan *xssh.Request) {
	cmd.requests.Go(func() {
		spent := newBudget()
		for r := range requests {
			if !spent.one() {
				cmd.conn.abuse("channel requests")
				continue
			}
			if status, ok := parseExit(r.Type, r.Payload); ok {
				cmd.exited(status)
			}
			if r.WantReply {
				_ = r.Reply(false, nil)
			}
		}
	})
}

// exited records how the command ended. The first report counts; a different one is a conflict.
// From now on the channel has the drain timeout to close.
func (cmd *command) exited(e exit) {
	cmd.mu.Lock()
	defer cmd.mu.Unlock()
	if cmd.exit.known {
		cmd.exit.conflict = cmd.exit.conflict || e.known && (e.status != cmd.exit.status || e.signal != cmd.exit.signal)
		return
	}
	if e.err != nil && cmd.exit.err != nil {
		return
	}
	cmd.exit = e
	if !e.known {
		return
	}
	if cmd.stop != nil { // the command ended after TERM
		cmd.stop()
	}
	cmd.conn.attempt().Timeline.Enter(fleet.PhaseDrain)
	cmd.stop = cmd.conn.wire.clock.AfterFunc(cmd.conn.timeouts.Drain, func() {
		_ = cmd.conn.Close()
	})
}

// running sets the attempt's phase to run, unless the exit is already known: then the phase is
// drain, and phases do not go back.
func (cmd *command) running() {
	cmd.mu.Lock()
	defer cmd.mu.Unlock()
	if !cmd.exit.known {
		cmd.conn.attempt().Timeline.Enter(fleet.PhaseRun)
	}
}

func (cmd *command) seen() exit {
	cmd.mu.Lock()
	defer cmd.mu.Unlock()
	return cmd.exit
}

// wait waits until the channel closes, the connection ends or a timeout expires.
func (cmd *command) wait(ctx context.Context) fleet.End {
	c := cmd.conn
	cmd.running()
	c.wire.set(time.Time{})
	if limit := c.timeouts.Command; limit > 0 {
		defer c.wire.clock.AfterFunc(limit, cmd.expire)()
	}
	over := make(chan struct{})
	var watching sync.WaitGroup
	if c.timeouts.Alive > 0 {
		watching.Go(func() { c.watch(over, cmd.channel) })
	}
	func() {
		defer close(over) // also after a panic
		cmd.collect()
	}()
	end := cmd.ended(ctx, nil)
	watching.Wait()
	return end
}

// expire sends TERM to a command that exceeded its timeout, and closes the connection if the
// command does not end soon. It does nothing if the exit status is already known.
func (cmd *command) expire() {
	cmd.mu.Lock()
	known := cmd.exit.known
	if !known {
		cmd.overdue.Store(true)
		cmd.stop = cmd.conn.wire.clock.AfterFunc(ssh.TermGrace, func() { _ = cmd.conn.Close() })
	}
	cmd.mu.Unlock()
	if !known { // closing the connection ends this too
		cmd.terminate()
	}
}

// terminate sends TERM (RFC 4254 §6.9).
func (cmd *command) terminate() {
	_, _ = cmd.channel.SendRequest("signal", false, xssh.Marshal(struct{ Name string }{"TERM"}))
}

// goodbye limits how long the connection stays open for TERM, which fits into the socket's buffer unless
// the server has stopped reading, or has begun a key exchange that it does not end.
const goodbye = time.Second

// interrupt sends TERM to a command that is given up, and closes the connection.
func (cmd *command) interrupt() {
	sent := make(chan struct{}) // closed when TERM was sent, or cannot be
	go func() {
		defer close(sent)
		cmd.terminate()
		if cmd.conn.master != nil { // is killed, and may not have passed TERM on: an answer shows that it has
			_, _ = cmd.channel.SendRequest("keepalive@openssh.com", true, nil)
		}
	}()
	timer := time.NewTimer(goodbye)
	defer timer.Stop()
	select {
	case <-sent:
	case <-timer.C:
	}
	cmd.conn.wire.abandon()
	<-sent
}

// feed starts sending the command's input, and EOF after it. The returned function waits for
// the end, once the channel or the connection has ended.
func (cmd *command) feed() (wait func()) {
	a := cmd.conn.attempt()
	if a.Stream != nil {
		return cmd.feedStream(a.Stream)
	}
	size := a.InputSize()
	if size == 0 {
		_ = cmd.channel.CloseWrite()
		return func() {}
	}
	var feeding sync.WaitGroup
	feeding.Go(func() {
		defer func() {
			if p := recover(); p != nil {
				cmd.inputFailed(panicError(p))
			}
		}()
		buf := make([]byte, min(inputPart, size))
		for sent := int64(0); sent < size; {
			p := buf[:min(int64(len(buf)), size-sent)]
			if n, err := a.Input.ReadAt(p, sent); n < len(p) {
				cmd.inputFailed(err)
				return
			}
			n, err := cmd.channel.Write(p)
			if sent += int64(n); err != nil {
				return // the channel or the connection has ended
			}
		}
		_ = cmd.channel.CloseWrite()
	})
	return feeding.Wait
}

// feedStream is feed for a Stream.
func (cmd *command) feedStream(in ssh.Stream) (wait func()) {
	more := make(chan struct{}, 1) // sent by wake; one that waits stands for all
	over := make(chan struct{})    // closed by wait
	in.Notify(func() {
		select {
		case more <- struct{}{}:
		default:
		}
	})
	var feeding sync.WaitGroup
	feeding.Go(func() {
		defer func() {
			if p := recover(); p != nil {
				cmd.inputFailed(panicError(p))
			}
		}()
		buf := make([]byte, streamPart)
		for sent := int64(0); ; {
			n, err := in.Next(buf, sent)
			written, failed := cmd.channel.Write(buf[:n])
			sent += int64(written)
			switch {
			case failed != nil: // the channel or the connection has ended
				return
			case errors.Is(err, io.EOF):
				_ = cmd.channel.CloseWrite()
				return
			case err != nil:
				cmd.inputFailed(err)
				return
			case n > 0:
				continue
			}
			select {
			case <-more:
			case <-over:
				return
			}
		}
	})
	return func() {
		close(over)
		feeding.Wait()
	}
}

func (cmd *command) inputFailed(err error) {
	_ = cmd.conn.wire.raise(cmd.conn.attempt().InputFailed(err))
	_ = cmd.conn.Close()
}

// inputPart is how many bytes of the input are in memory at a time.
const inputPart = 32 << 10

// streamPart is the same for a Stream, which may wait for long.
const streamPart = 4 << 10

// collect copies both streams independently, and returns when they and the channel's requests
// have ended.
func (cmd *command) collect() {
	var stderr sync.WaitGroup
	var panicked any
	stderr.Go(func() {
		defer func() { panicked = recover() }()
		cmd.drain(cmd.conn.attempt().Stderr, cmd.channel.Stderr())
	})
	cmd.drain(cmd.conn.attempt().Stdout, cmd.channel)
	stderr.Wait()
	if panicked != nil {
		panic(panicked)
	}
	cmd.requests.Wait()
}

// drain copies from the channel until it ends. If dst fails, the rest is read and discarded, so
// that the other stream continues.
func (cmd *command) drain(dst io.Writer, src io.Reader) {
	buf := make([]byte, 4<<10)
	for {
		n, err := src.Read(buf)
		if n > 0 {
			cmd.conn.attempt().Execution.Started()
		}
		if n > 0 && dst != nil {
			if _, werr := dst.Write(buf[:n]); werr != nil {
				dst = nil
			}
		}
		if err != nil {
			return
		}
	}
}

// refused handles the server's refusal of exec (RFC 4254 §6.5): the command did not run, unless
// output or an exit report had arrived before.
func (cmd *command) refused(ctx context.Context) fleet.End {
	c := cmd.conn
	_ = c.Close() // received data can still be read
	cmd.collect()
	a := c.attempt()
	switch {
	case cmd.seen().known:
		cmd.mu.Lock()
		cmd.exit.conflict = true
		cmd.mu.Unlock()
		return cmd.ended(ctx, nil)
	case !a.Execution.Refused():
		return a.Fail(a.Execution.Failed(), fleet.ReasonProtocolError,
			errors.New("the server refused to run the command, whose output it had sent before (RFC 4254 §5.4)")).End()
	}
	return a.Fail(fleet.OutcomeRefused, fleet.ReasonExecRefused, errors.New("the server refused to run the command")).End()
}

// ended returns the end of the attempt. err is the library's error for exec, nil once exec was
// answered.
func (cmd *command) ended(ctx context.Context, err error) fleet.End {
	c := cmd.conn
	cmd.requests.Wait()
	cmd.disarm()
	exit := cmd.seen()
	c.kept = err == nil && cmd.keeps(exit) && ctx.Err() == nil && c.staysUp()
	inOrder := c.kept || c.endsInOrder() // if not kept, nothing is sent from here on
	if c.kept {
		c.wire.serving.Store(false)
	}
	if exit.known && !c.attempt().Execution.Left() {
		return c.attempt().Fail(c.attempt().Execution.Failed(), fleet.ReasonProtocolError,
			errors.New("the server answered a command that it had not been sent (RFC 4254 §6.5)")).End()
	}
	if exit.known {
		end := exit.end(c.attempt().Timeline.Phase(), inOrder)
		if cmd.overdue.Load() {
			end = sshreason.Terminated(end, c.timeouts.Command)
		}
		return end
	}
	reason, why := cmd.why(ctx, inOrder, err)
	return c.attempt().Fail(c.attempt().Execution.Failed(), reason, why).End()
}

// keeps reports whether the connection is to be kept after a command that ended like that. That
// of a master is not: it passes on no answer that could show it is up (see staysUp).
func (cmd *command) keeps(e exit) bool {
	c := cmd.conn
	return c.master == nil && c.attempt().Keep && e.known && !e.conflict && c.attempt().Execution.Left() && c.wire.raised() == nil
}

func (cmd *command) disarm() {
	cmd.mu.Lock()
	defer cmd.mu.Unlock()
	if cmd.stop != nil {
		cmd.stop()
	}
}

// why returns what ended a command whose exit was not reported.
func (cmd *command) why(ctx context.Context, inOrder bool, err error) (fleet.Reason, error) {
	c := cmd.conn
	switch {
	case cmd.overdue.Load():
		return fleet.ReasonTimeout, sshreason.CommandTimeoutError(c.timeouts.Command)
	case cmd.seen().err != nil:
		return fleet.ReasonProtocolError, cmd.seen().err
	case c.wire.raised() != nil:
		return c.cause(err)
	case ctx.Err() != nil:
		return fleet.ReasonInterrupted, context.Cause(ctx)
	case inOrder:
		return fleet.ReasonExitMissing, errors.New("the server closed the channel without an exit status")
	}
	return c.cause(err)
}
