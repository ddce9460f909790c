package client

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"syscall"
	"time"

	"shoal/fleet"
	"shoal/internal/clock"
	"shoal/internal/ssh"
	"shoal/internal/ssh/sshreason"
	"shoal/internal/ssh/wire"
)

// A session is the attempt's command on its channel: it turns events into the
// attempt's end. It does no I/O but the writes to Stdout and Stderr, and starts no
// goroutines; its driver reads and writes and watches its deadline.
type session struct {
	attempt *ssh.Attempt // nil: between two attempts
	link    *link
	dialer  *Dialer

	agent       *agentForward // nil: no agent is forwarded
	fed         int64         // bytes of the input that were queued
	channel     wire.Channel
	opened      bool // CHANNEL_OPEN was queued or sent
	optimistic  bool // send the command before its channel is open
	guessed     bool // the command was sent before its channel was open
	guessFailed bool // and that failed: disable it for the next connection
	askedPTY    bool // the pseudo-terminal was requested
	hasPTY      bool // and granted
	accepted    bool // the server accepted the command: the input may follow
	reopens     bool // a refused channel is opened once more: see refused
	later       bool // an earlier command has run on the connection
	keeps       bool // the connection is kept after the end
	writable    bool // more of the input can be queued now
	overdue     bool // the command timeout has passed, and TERM was sent
	mute        bool // writing has failed: reading will report the cause
	gaveUp      bool // but not that the kernel has given the connection up
	broken      [fleet.NumStreams]bool
	flags       fleet.Flags // of every end
	variables   int         // whose requests were answered
	exit        exit
	end         *fleet.End // once the attempt has ended

	// The instants are of clock, except lastTick.
	deadline time.Time // of the current phase; zero: none
	writeBy  time.Time // deadline of a blocked write; zero: none is blocked
	lastTick time.Time // when the client was last told the time
	alive    ssh.Keepalive
	begun    time.Duration // clock.Suspended when the session began
}

// newSession returns the session of an attempt whose timeouts are t.
func newSession(a *ssh.Attempt, l *link, d *Dialer, t ssh.Timeouts) *session {
	return &session{attempt: a, link: l, dialer: d, alive: t.Keepalive(), begun: d.opts.Clock.Suspended()}
}

func (s *session) clock() *clock.Clock { return s.dialer.opts.Clock }

// timeouts are those of the attempt. They are worked out anew each time: they are large,
// and needed when a phase begins or has failed.
func (s *session) timeouts() ssh.Timeouts { return s.dialer.opts.Timeouts.For(s.attempt) }

// resting reports whether the session has no attempt and only drives the connection.
func (s *session) resting() bool { return s.attempt == nil }

// rest returns a session that drives the connection after s has ended in order. Its end says why
// the connection has ended.
func (s *session) rest() *session {
	s.link.exec = new(ssh.Execution) // what is still to be sent is no command
	r := newSession(nil, s.link, s.dialer, s.timeouts())
	r.flags, r.writeBy, r.lastTick, r.gaveUp = s.flags, s.writeBy, s.lastTick, s.gaveUp
	r.heard()
	return r
}

// further returns the session of another attempt on the connection of s, which rests.
func (s *session) further(a *ssh.Attempt) *session {
	a.Execution.Connected()
	s.link.exec = &a.Execution
	n := newSession(a, s.link, s.dialer, s.dialer.opts.Timeouts.For(a))
	n.flags, n.writeBy, n.mute, n.gaveUp, n.lastTick, n.reopens, n.later = s.flags, s.writeBy, s.mute, s.gaveUp, s.lastTick, true, true
	if n.flags &^= fleet.FlagNoAgent | fleet.FlagEnvRefused; a.WantsAgent() { // servers grant it once
		n.flags |= fleet.FlagNoAgent
	}
	return n
}

// heard says that the server has sent something.
func (s *session) heard() {
	now := s.clock().Now()
	if s.resting() {
		s.alive.HeardIdle(now)
		s.begun = s.clock().Suspended()
		return
	}
	s.alive.Heard(now)
}

// begin starts the session after authentication.
func (s *session) begin() {
	if s.lastTick.IsZero() {
		s.lastTick = time.Now()
	}
	s.enter(fleet.PhaseSession, s.timeouts().Session)
	if !s.opened && s.end == nil {
		if f := s.open(s.optimistic); f != nil {
			s.fail(f)
		}
	}
}

// open opens the channel, followed by the command if withCommand is set.
func (s *session) open(withCommand bool) *fleet.Error {
	s.channel = s.link.client.OpenSession()
	s.opened, s.guessed = true, withCommand
	if withCommand {
		return s.request()
	}
	return nil
}

// request asks for the pseudo-terminal, if the attempt wants one, otherwise it sends the
// command.
func (s *session) request() *fleet.Error {
	p := s.attempt.PTY
	if p == nil {
		return s.exec()
	}
	s.askedPTY = true
	columns, rows := p.Size()
	s.link.client.PTY(s.channel, p.Terminal(), columns, rows, ssh.PTYModes)
	return nil
}

// exec sends the command, and EOF if it has no input, so that a command that reads it
// ends.
func (s *session) exec() *fleet.Error {
	if f := s.attempt.Intend(); f != nil {
		return f
	}
	s.variables = 0
	for _, variable := range s.attempt.Target.Settings().Env {
		name, value, _ := strings.Cut(variable, "=")
		s.link.client.Env(s.channel, name, value)
	}
	if s.agent != nil {
		s.link.client.ForwardAgent(s.channel)
	}
	if s.attempt.Subsystem {
		s.link.client.Subsystem(s.channel, s.attempt.Line)
	} else {
		s.link.client.Exec(s.channel, s.attempt.Exec())
	}
	s.link.execQueued()
	if !s.attempt.HasInput() {
		s.link.client.SendEOF(s.channel)
	}
	return nil
}

// feed queues the next part of the input, as much as a buffer and the server's window
// hold, and EOF after the last one. It reports whether it queued anything; if not,
// wire.Writable follows when there is more to queue. Drivers call it when everything
// queued before was written, which bounds the memory.
//
// Small input does not travel with the command: until CHANNEL_OPEN_CONFIRMATION there is no
// window to send in (RFC 4254 §5.2), and OpenSSH confirms one of 0, which it enlarges when the
// command has started.
func (s *session) feed() bool {
	if s.agent.deliver() {
		return true
	}
	if s.end == nil && s.accepted && s.attempt.Stream != nil {
		return s.feedStream()
	}
	if !s.writable || s.end != nil {
		return false
	}
	pool := s.parts()
	buf := pool.Get().(*[]byte)
	defer pool.Put(buf)
	s.borrow()
	left := s.attempt.InputSize() - s.fed
	p := (*buf)[:min(int64(len(*buf)), left, int64(s.link.client.Window(s.channel)))]
	if n, err := s.attempt.Input.ReadAt(p, s.fed); n < len(p) {
		s.fail(s.attempt.InputFailed(err))
		return false
	}
	sent := s.link.client.Send(s.channel, p)
	s.fed += int64(sent)
	s.writable = sent > 0 && sent == len(p)
	if int64(sent) == left {
		s.link.client.SendEOF(s.channel)
		s.writable = false
	}
	return sent > 0
}

// canFeed reports whether feed may be called: nothing that was queued is still to be written.
func (s *session) canFeed() bool { return !s.mute && len(s.link.client.Output()) == 0 }

// parts returns the pool of buffers for parts of the input.
func (s *session) parts() *sync.Pool {
	if s.dialer.inputs.Load() <= fewInputs {
		return &s.dialer.large
	}
	return &s.dialer.buffers
}

// borrow has the output of a part built in memory that connections share, until giveBack.
func (s *session) borrow() {
	if cap(s.link.client.Output()) == 0 {
		s.link.client.Lend(*s.dialer.outputs.Get().(*[]byte))
	}
}

// giveBack ends borrow, unless some of the output is still to be written.
func (s *session) giveBack() {
	if b := s.link.client.Reclaim(); cap(b) > 0 {
		s.dialer.outputs.Put(&b)
	}
}

// feedStream queues what the attempt's Stream has now.
func (s *session) feedStream() bool {
	pool := s.parts()
	buf := pool.Get().(*[]byte)
	defer pool.Put(buf)
	s.borrow()
	p := (*buf)[:min(len(*buf), int(s.link.client.Window(s.channel)))]
	n, err := s.attempt.Stream.Next(p, s.fed)
	if err != nil && !errors.Is(err, io.EOF) {
		s.fail(s.attempt.InputFailed(err))
		return false
	}
	sent := s.link.client.Send(s.channel, p[:n])
	s.fed += int64(sent)
	s.writable = sent > 0 && err == nil // there may be more
	if err != nil && sent == n {
		s.link.client.SendEOF(s.channel)
	}
	return sent > 0
}

// intend records the intent on the caller's goroutine, which may block on a disk
// while an event loop must not. With Hold the intent is recorded later, in exec, so
// that the caller does not wait for each of many.
func (s *session) intend() {
	if s.link.exec.Queued() || s.attempt.Hold {
		return
	}
	if f := s.attempt.Intend(); f != nil {
		s.fail(f)
	}
}

// ignored handles a server that does not know the channel.
func (s *session) ignored() {
	s.opened, s.askedPTY = false, false
	s.link.exec.Ignored()
}

// enter begins a phase; a limit of 0 means none.
func (s *session) enter(p fleet.Phase, limit time.Duration) {
	s.attempt.Timeline.Enter(p)
	s.deadline = time.Time{}
	if limit > 0 {
		s.deadline = s.clock().Now().Add(limit)
	}
}

// pull processes events until more bytes are needed or the attempt has ended.
func (s *session) pull() {
	s.tick()
	s.heard()
	for s.end == nil {
		ev, err := s.link.client.Next()
		switch {
		case err != nil:
			s.brokenBy(err)
		case ev == nil:
			return
		default:
			s.take(ev)
		}
	}
}

// tick tells the client the time: it refills the limits on the server's messages and ages the keys.
func (s *session) tick() {
	now := time.Now()
	s.link.client.Pass(now.Sub(s.lastTick))
	s.lastTick = now
}

func (s *session) take(ev wire.Event) {
	if s.resting() {
		return
	}
	if n, ok := channelOf(ev); ok && n != s.channel {
		s.agent.take(n, ev) // if there is none, it was that of an earlier command, which was abandoned
		return
	}
	switch ev := ev.(type) {
	case wire.ChannelOpened:
		s.channelOpened()
	case wire.ChannelRefused:
		s.refused(ev)
	case wire.ChannelIgnored:
		s.ignored()
		s.begin()
	case wire.RequestAnswered:
		switch ev.Request {
		case wire.RequestExec, wire.RequestSubsystem:
			s.answered(ev.OK)
		case wire.RequestPTY:
			s.answeredPTY(ev.OK)
		case wire.RequestAgent:
			s.answeredAgent(ev.OK)
		case wire.RequestEnv:
			if s.variables++; !ev.OK {
				s.flags |= s.attempt.EnvRefused(s.variables - 1)
			}
		}
	case wire.Writable:
		s.writable = s.accepted && s.fed < s.attempt.InputSize()
	case wire.Data:
		s.output(ev)
	case wire.ExitStatus:
		s.exited(exit{known: true, status: ev.Status})
	case wire.ExitSignal:
		s.exited(exit{known: true, signal: signalName(ev.Signal)})
	case wire.Closed:
		s.closed()
	}
}

// answeredAgent handles the server's answer to the request to forward the agent. The command,
// which has followed it, runs without one if that is refused.
func (s *session) answeredAgent(ok bool) {
	if ok {
		return
	}
	s.attempt.Tell("the server does not forward the agent (AllowAgentForwarding in sshd_config, no-agent-forwarding and restrict in authorized_keys)")
	s.flags |= fleet.FlagNoAgent
}

// refused handles a refused channel. A server that takes one at a time (MaxSessions 1) may have
// received the request together with the close of the last one, before it was rid of that.
func (s *session) refused(ev wire.ChannelRefused) {
	if s.reopens && !s.guessed {
		s.reopens = false
		s.channel = s.link.client.OpenSession()
		return
	}
	s.link.exec.Refused()
	s.fail(s.attempt.Fail(s.link.exec.Failed(), fleet.ReasonSessionRefused, fmt.Errorf(
		"the server refused a session, reason code %d: %q", ev.Code, ev.Text)))
}

func (s *session) channelOpened() {
	s.link.exec.LetIn()
	if !s.link.exec.Queued() && !s.askedPTY {
		if f := s.request(); f != nil {
			s.fail(f)
			return
		}
	}
	left := s.deadline
	s.enter(fleet.PhaseExec, 0)
	s.deadline = left // one deadline for both phases
}

// answeredPTY handles the server's answer to pty-req (RFC 4254 §6.2).
func (s *session) answeredPTY(ok bool) {
	f := (*fleet.Error)(nil)
	if s.hasPTY = ok; ok {
		f = s.exec()
	} else {
		f = sshreason.PTYRefused(s.attempt)
	}
	if f != nil {
		s.fail(f)
	}
}

// answered handles the server's answer to exec (RFC 4254 §6.5).
func (s *session) answered(ok bool) {
	switch {
	case ok:
		if !s.running() {
			return
		}
		if !s.exit.known {
			s.enter(fleet.PhaseRun, s.timeouts().Command)
		}
		s.accepted, s.writable = true, s.attempt.InputSize() > 0
		if s.attempt.HasInput() {
			s.dialer.inputs.Add(1)
		}
	case s.exit.known:
		s.exit.conflict = true
	case !s.link.exec.Refused():
		s.fail(s.attempt.Fail(s.link.exec.Failed(), fleet.ReasonProtocolError,
			errors.New("the server refused to run the command, whose output it had sent before (RFC 4254 §5.4)")))
	default:
		s.fail(s.attempt.Fail(fleet.OutcomeRefused, fleet.ReasonExecRefused,
			errors.New("the server refused to run the command")))
	}
}

// running handles a message that implies that the command runs or has run. Before
// the whole command was sent this is a protocol error: the server cannot have
// received it.
func (s *session) running() bool {
	if !s.link.exec.Left() {
		s.fail(s.attempt.Fail(s.link.exec.Failed(), fleet.ReasonProtocolError,
			errors.New("the server answered a command that it had not been sent (RFC 4254 §6.5)")))
		return false
	}
	s.link.exec.Started()
	return true
}

// output writes the command's output. After an error the writer gets no more and
// its stream is dropped, so that the other one goes on.
func (s *session) output(ev wire.Data) {
	stream, dst := fleet.Stdout, s.attempt.Stdout
	if ev.Stderr {
		stream, dst = fleet.Stderr, s.attempt.Stderr
	}
	if s.link.exec.Left() {
		s.link.exec.Started()
	}
	if dst != nil && !s.broken[stream] {
		_, err := dst.Write(ev.Bytes)
		s.broken[stream] = err != nil
	}
	s.link.client.Consumed(ev.Channel, len(ev.Bytes))
}

// exited records how the command ended; a later, different message is a conflict.
// From here the channel has the drain timeout to close.
func (s *session) exited(e exit) {
	if s.exit.known {
		s.exit.conflict = s.exit.conflict || e.status != s.exit.status || e.signal != s.exit.signal
		return
	}
	if !s.running() {
		return
	}
	s.exit = e
	s.enter(fleet.PhaseDrain, s.timeouts().Drain)
}

// closed handles the orderly end of the channel.
func (s *session) closed() {
	switch {
	case s.exit.known:
		s.keeps = s.attempt.Keep && s.accepted && !s.exit.conflict && !s.mute
		if s.keeps {
			s.link.client.Keep() // for the session that follows
		}
		s.finish(s.ended(true))
	case s.overdue:
		s.fail(s.attempt.Fail(s.link.exec.Failed(), fleet.ReasonTimeout, sshreason.CommandTimeoutError(s.timeouts().Command)))
	default:
		s.fail(s.attempt.Fail(s.link.exec.Failed(), fleet.ReasonExitMissing,
			errors.New("the server closed the channel without an exit status")))
	}
}

// ended returns the attempt's end when the command's is known; complete means that
// the channel was closed in order.
func (s *session) ended(complete bool) fleet.End {
	end := s.exit.end(s.attempt.Timeline.Phase(), complete)
	if s.overdue {
		end = sshreason.Terminated(end, s.timeouts().Command)
	}
	return end
}

// brokenBy handles a protocol error. A command sent to a channel number that the
// server did not confirm has not run.
func (s *session) brokenBy(err error) {
	if werr, ok := errors.AsType[*wire.Error](err); ok && werr.Kind == wire.KindWrongGuess {
		s.link.exec.Refused()
		s.guessFailed = true
	}
	s.stopFor(reasonOf(err), err)
}

// writeFailed has nothing more be written.
func (s *session) writeFailed(err error) {
	s.mute, s.gaveUp = true, s.gaveUp || sshreason.GaveUp(err)
}

// connectionLost handles the end of the connection.
func (s *session) connectionLost(err error) {
	if s.gaveUp {
		err = syscall.ETIMEDOUT
	}
	r, named, ok := sshreason.Link(err)
	if !ok {
		r = fleet.ReasonConnClosed
	}
	s.stopFor(r, sshreason.Stopped(named, s.clock().Suspended()-s.begun))
}

// stopFor ends the attempt for reason r, unless the command's end is known.
func (s *session) stopFor(r fleet.Reason, err error) {
	if s.exit.known {
		s.finish(s.ended(false))
		return
	}
	s.failFor(r, err)
}

// failFor ends the attempt, or the connection between two attempts.
func (s *session) failFor(r fleet.Reason, err error) {
	if s.resting() {
		s.finish(fleet.End{Reason: r, Err: err})
		return
	}
	s.fail(s.attempt.Fail(s.link.exec.Failed(), r, err))
}

// next returns when passed has to be called, by clock; zero: never.
func (s *session) next() time.Time {
	return earlier(earlier(s.deadline, s.alive.Next()), s.rekeyAt())
}

// rekeyAt returns when the keys are too old, by clock; zero: never.
func (s *session) rekeyAt() time.Time {
	left, ok := s.link.client.KeysLast()
	if !ok {
		return time.Time{}
	}
	return s.lastTick.Add(left - s.clock().Suspended()) // keys age while this process is stopped too
}

// passed handles the time returned by next: the phase ends, the keys are too old, or a keepalive is
// sent.
func (s *session) passed(now time.Time) {
	if at := s.rekeyAt(); !at.IsZero() && !now.Before(at) {
		s.tick()
		s.link.client.Rekey()
	}
	ask := s.alive.Next()
	switch {
	case !s.deadline.IsZero() && !now.Before(s.deadline):
		s.expire()
	case ask.IsZero() || now.Before(ask):
	default:
		if err := s.alive.Silent(now, s.clock().Suspended()); err != nil {
			s.stopFor(fleet.ReasonVanished, err)
			return
		}
		s.link.client.Keepalive()
	}
}

// expire handles a deadline that has passed.
func (s *session) expire() {
	phase := s.attempt.Timeline.Phase()
	switch {
	case phase == fleet.PhaseRun && !s.overdue:
		s.terminate()
		return
	case phase == fleet.PhaseRun:
		s.abandon()
		s.stopFor(fleet.ReasonTimeout, sshreason.CommandTimeoutError(s.timeouts().Command))
		return
	}
	s.guessFailed = s.guessed && (phase == fleet.PhaseSession || phase == fleet.PhaseExec)
	s.stopFor(sshreason.Deadline(phase), sshreason.TimeoutError(phase, s.timeouts(), false))
}

// terminate asks the server to end the command, and waits ssh.TermGrace for it.
func (s *session) terminate() {
	s.overdue = true
	s.link.client.Signal(s.channel, "TERM")
	s.deadline = s.clock().Now().Add(ssh.TermGrace)
}

// abandon closes the channel of a running command whose attempt ends, and keeps the connection,
// if the attempt asks for that. What the server still sends on the channel is dropped.
func (s *session) abandon() {
	if s.keeps = s.attempt.Keep && s.accepted && !s.mute && !s.exit.known; s.keeps {
		s.link.client.CloseChannel(s.channel)
	}
}

// stalled handles a server that accepts no more data.
func (s *session) stalled() {
	s.stopFor(fleet.ReasonStalled, sshreason.TimeoutError(fleet.PhaseRun, ssh.Timeouts{}, false))
}

// interrupted handles the end of the run's context.
func (s *session) interrupted(ctx context.Context) {
	s.catchUp()
	if s.end != nil {
		return
	}
	if s.exit.known {
		s.finish(s.ended(false))
		return
	}
	if s.attempt != nil && s.attempt.Interrupt && s.accepted {
		s.link.client.Signal(s.channel, "TERM")
		s.abandon()
	}
	s.fail(sshreason.Interrupted(ctx, s.attempt))
}

// catchUp processes the messages that came with USERAUTH_SUCCESS, if the command was
// sent with the authentication: they may prove that it did not run. It sends nothing.
func (s *session) catchUp() {
	for s.end == nil && s.link.exec.Queued() {
		ev, err := s.link.client.Next()
		if err != nil {
			s.brokenBy(err)
			return
		}
		switch ev.(type) {
		case nil:
			return
		case wire.ChannelIgnored:
			s.ignored() // and the channel is not opened again
		default:
			s.take(ev)
		}
	}
}

func (s *session) fail(f *fleet.Error) { s.finish(f.End()) }

func (s *session) finish(e fleet.End) {
	if s.end == nil {
		e.Flags |= s.flags
		if s.hasPTY {
			e.Flags |= fleet.FlagPTY
		}
		s.end = &e
		if s.accepted && s.attempt.HasInput() {
			s.dialer.inputs.Add(-1)
		}
		s.agent.end(s.keeps)
	}
}
