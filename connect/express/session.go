package express

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"shoal/connect"
	"shoal/connect/awake"
	"shoal/connect/cause"
	"shoal/fleet"
	"shoal/sshwire"
)

// A session is the attempt's command on its channel: it turns events into the
// attempt's end. It does no I/O but the writes to Stdout and Stderr, and knows
// no goroutines; whoever drives it moves the bytes and watches its deadline.
type session struct {
	attempt  *connect.Attempt
	link     *link
	timeouts connect.Timeouts
	clock    *awake.Clock
	guess    bool // the server takes a command before its channel is open

	channel  sshwire.Channel
	opened   bool // CHANNEL_OPEN has left, or is about to
	sent     bool // so has the command
	intended bool // and that it is about to is written down
	proven   bool // the server has shown that it does not run what was sent
	guessed  bool // the command left before its channel was open
	misfit   bool // and that did no good: the next connection is to wait
	exit     exit
	overdue  bool      // the command timeout has passed, and TERM was sent
	deadline time.Time // of the present phase, by clock; zero: none
	broken   [fleet.NumStreams]bool
	end      *fleet.End    // once the attempt has ended
	looked   time.Time     // when the client was last told the time
	askAt    time.Time     // when the server is to be asked for a sign of life, by clock; zero: never
	silent   int           // questions without an answer
	begun    time.Duration // what clock had lost when the session began
	asked    time.Duration // and when the server was asked last
}

func newSession(a *connect.Attempt, l *link, t connect.Timeouts, c *awake.Clock) *session {
	return &session{attempt: a, link: l, timeouts: t, clock: c, begun: c.Lost()}
}

// begin follows authentication.
func (s *session) begin() {
	s.looked = time.Now()
	s.enter(fleet.PhaseSession, s.timeouts.Session)
	if !s.opened && s.end == nil {
		if f := s.open(s.guess); f != nil {
			s.fail(f)
		}
	}
}

// open opens the channel, and sends the command behind it where the server takes
// that.
func (s *session) open(withCommand bool) *fleet.Error {
	s.channel = s.link.client.OpenSession()
	s.opened, s.guessed = true, withCommand
	if withCommand {
		return s.exec()
	}
	return nil
}

// exec sends the command, and that it gets no input: whatever reads it is to see
// its end.
func (s *session) exec() *fleet.Error {
	if f := s.intention(); f != nil {
		return f
	}
	s.sent, s.proven = true, false
	if r := s.attempt.Target.Route; r != nil {
		for _, variable := range r.Env {
			name, value, _ := strings.Cut(variable, "=")
			s.link.client.Env(s.channel, name, value)
		}
	}
	s.link.client.Exec(s.channel, s.attempt.Exec())
	s.link.execQueued()
	s.link.client.SendEOF(s.channel)
	return nil
}

// intend has it written down that the command is about to be sent, on the
// caller's goroutine, which may wait for a disk where an event loop must not. A
// connection that was held back does it when it is let go: its caller does not
// wait for each of many.
func (s *session) intend() {
	if s.sent || s.attempt.Hold {
		return
	}
	if f := s.attempt.Intend(); f != nil {
		s.fail(f)
		return
	}
	s.intended = true
}

// intention is what has to be before each time that the command is sent.
func (s *session) intention() *fleet.Error {
	if s.intended {
		s.intended = false
		return nil
	}
	return s.attempt.Intend()
}

// rejected says that the server did not let us in, so that it did not run what
// was sent with the request (RFC 4252 §5.1).
func (s *session) rejected() { s.proven = s.sent }

// ignored says that the server does not know the channel.
func (s *session) ignored() { s.opened, s.sent, s.proven, s.link.execEnd = false, false, false, 0 }

// outcome is that of a failure now: once the command may have left, nobody
// knows.
func (s *session) outcome() fleet.Outcome {
	if s.sent && s.link.execLeft() && !s.proven {
		return fleet.OutcomeUnknown
	}
	return fleet.OutcomeNeverStarted
}

// enter begins a phase; a limit of 0 is none.
func (s *session) enter(p fleet.Phase, limit time.Duration) {
	s.attempt.Timeline.Enter(p)
	s.deadline = time.Time{}
	if limit > 0 {
		s.deadline = s.clock.Now().Add(limit)
	}
}

// pull takes events until more bytes are needed or the attempt has ended.
func (s *session) pull() {
	now := time.Now()
	s.link.client.Pass(now.Sub(s.looked)) // what a server may do in a while is given back
	s.looked = now
	s.heard(s.clock.Now())
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

func (s *session) take(ev sshwire.Event) {
	switch ev := ev.(type) {
	case sshwire.ChannelOpened:
		s.channelOpened()
	case sshwire.ChannelRefused:
		s.fail(s.attempt.Fail(fleet.OutcomeNeverStarted, fleet.ReasonSessionRefused, fmt.Errorf(
			"the server refused a session, reason code %d: %q", ev.Code, ev.Text)))
	case sshwire.ChannelIgnored:
		s.ignored()
		s.begin()
	case sshwire.RequestAnswered:
		if ev.Request == sshwire.RequestExec {
			s.answered(ev.OK)
		}
	case sshwire.Data:
		s.output(ev)
	case sshwire.ExitStatus:
		s.exited(exit{known: true, status: ev.Status})
	case sshwire.ExitSignal:
		s.exited(exit{known: true, signal: signalName(ev.Signal)})
	case sshwire.Closed:
		s.closed()
	}
}

func (s *session) channelOpened() {
	if !s.sent {
		if f := s.exec(); f != nil {
			s.fail(f)
			return
		}
	}
	left := s.deadline
	s.enter(fleet.PhaseExec, 0)
	s.deadline = left // one deadline for both phases
}

// answered is the server's word on exec (RFC 4254 §6.5).
func (s *session) answered(ok bool) {
	switch {
	case !ok:
		s.fail(s.attempt.Fail(fleet.OutcomeRefused, fleet.ReasonExecRefused,
			errors.New("the server refused to run the command")))
	case !s.exit.known:
		s.enter(fleet.PhaseRun, s.timeouts.Command)
	}
}

// output passes on what the command wrote. A writer that fails gets no more, and
// its stream is dropped, so that the other one goes on.
func (s *session) output(ev sshwire.Data) {
	stream, dst := fleet.Stdout, s.attempt.Stdout
	if ev.Stderr {
		stream, dst = fleet.Stderr, s.attempt.Stderr
	}
	if dst != nil && !s.broken[stream] {
		_, err := dst.Write(ev.Bytes)
		s.broken[stream] = err != nil
	}
	s.link.client.Consumed(ev.Channel, len(ev.Bytes))
}

// exited notes how the command ended; the first word stays. From here the
// channel has the drain timeout to close.
func (s *session) exited(e exit) {
	if s.exit.known {
		return
	}
	s.exit = e
	s.enter(fleet.PhaseDrain, s.timeouts.Drain)
}

// closed is the orderly end of the channel.
func (s *session) closed() {
	switch {
	case s.exit.known:
		s.finish(s.ended(true))
	case s.overdue:
		s.fail(s.attempt.Fail(s.outcome(), fleet.ReasonTimeout, cause.Overdue(s.timeouts.Command)))
	default:
		s.fail(s.attempt.Fail(s.outcome(), fleet.ReasonExitMissing,
			errors.New("the server closed the channel without an exit status")))
	}
}

// ended is the end of an attempt when that of its command is known; complete says
// that the channel closed in order.
func (s *session) ended(complete bool) fleet.End {
	end := s.exit.end(s.attempt.Timeline.Phase(), complete)
	if s.overdue {
		end = cause.Terminated(end, s.timeouts.Command)
	}
	return end
}

// brokenBy is the end of the protocol. A command that went to a channel which the
// server has not opened went nowhere.
func (s *session) brokenBy(err error) {
	if wire, ok := errors.AsType[*sshwire.Error](err); ok && wire.Kind == sshwire.KindWrongGuess {
		s.proven, s.misfit = true, true
	}
	s.stopFor(reasonOf(err), err)
}

// lost is the end of the connection.
func (s *session) lost(err error) {
	r, named, ok := cause.Link(err)
	if !ok {
		r = fleet.ReasonConnClosed
	}
	s.stopFor(r, cause.Stopped(named, s.clock.Lost()-s.begun))
}

// stopFor ends the attempt for a reason that is not the command's, unless how
// the command ended is known.
func (s *session) stopFor(r fleet.Reason, err error) {
	if s.exit.known {
		s.finish(s.ended(false))
		return
	}
	s.fail(s.attempt.Fail(s.outcome(), r, err))
}

// heard is for every sign of life.
func (s *session) heard(now time.Time) {
	s.silent = 0
	if s.timeouts.Alive > 0 {
		s.askAt = now.Add(s.timeouts.Alive)
	}
}

// next is when the session is to be looked at, by clock, though nothing has come;
// zero: never.
func (s *session) next() time.Time {
	if s.askAt.IsZero() || !s.deadline.IsZero() && s.deadline.Before(s.askAt) {
		return s.deadline
	}
	return s.askAt
}

// passed is for the time that next has given: the phase is over, or the server
// is asked for a sign of life (faults.md T10). One that was asked before this
// process was stopped is asked once more.
func (s *session) passed(now time.Time) {
	switch {
	case !s.deadline.IsZero() && !now.Before(s.deadline):
		s.expire()
	case s.askAt.IsZero() || now.Before(s.askAt):
	case s.silent == connect.MaxSilent && s.asked == s.clock.Lost():
		s.stopFor(fleet.ReasonVanished, fmt.Errorf(
			"the server gave no sign of life for %v", time.Duration(connect.MaxSilent+1)*s.timeouts.Alive))
	default:
		s.silent = min(s.silent+1, connect.MaxSilent)
		s.asked = s.clock.Lost()
		s.askAt = now.Add(s.timeouts.Alive)
		s.link.client.Keepalive()
	}
}

// expire is for a deadline that has passed.
func (s *session) expire() {
	phase := s.attempt.Timeline.Phase()
	switch {
	case phase == fleet.PhaseRun && !s.overdue:
		s.terminate()
		return
	case phase == fleet.PhaseRun:
		s.stopFor(fleet.ReasonTimeout, cause.Overdue(s.timeouts.Command))
		return
	}
	s.misfit = s.guessed && (phase == fleet.PhaseSession || phase == fleet.PhaseExec)
	s.stopFor(cause.Deadline(phase), cause.Late(phase, s.timeouts, false))
}

// terminate asks the server to end the command, and gives it a moment to show
// that it did.
func (s *session) terminate() {
	s.overdue = true
	s.link.client.Signal(s.channel, "TERM")
	s.deadline = s.clock.Now().Add(connect.TermGrace)
}

// stalled is for a server that takes nothing from us.
func (s *session) stalled() {
	s.stopFor(fleet.ReasonStalled, cause.Late(fleet.PhaseRun, s.timeouts, false))
}

// interrupted is for a run that ends.
func (s *session) interrupted(ctx context.Context) {
	if s.exit.known || s.outcome() == fleet.OutcomeUnknown {
		s.stopFor(fleet.ReasonInterrupted, context.Cause(ctx))
		return
	}
	s.fail(cause.Interrupted(ctx, s.attempt))
}

func (s *session) fail(f *fleet.Error) { s.finish(f.End()) }

func (s *session) finish(e fleet.End) {
	if s.end == nil {
		s.end = &e
	}
}
