package ssh

import (
	"sync"

	"shoal/fleet"
)

// An Execution decides whether an attempt's command may have run, and is the only
// place that does. Dialers and connections report events to it, in this order:
//
//	Attempt.Intend      the intent to send the command is recorded
//	Queue               the bytes that carry it are queued
//	Writing, Wrote      they are passed to the kernel
//	Rejected … Started  the server's answers
//	Failed, Interrupted the attempt ends: which outcome is true?
//
// A command whose last byte was not passed to the kernel did not run: an incomplete
// packet cannot be decrypted. If Failed or Interrupted answer that it did not run,
// they discard the queued bytes, and Writing returns false from then on. A command
// that was sent may have run, unless the server has said that it did not:
//
//   - USERAUTH_FAILURE (RFC 4252 §5.1) for the request before the command, until
//     another request is sent: a server may keep what followed the first request
//     and process it once it has authenticated us. So USERAUTH_SUCCESS and
//     CHANNEL_OPEN_CONFIRMATION revoke this proof.
//   - UNIMPLEMENTED for CHANNEL_OPEN (RFC 4253 §11.4), CHANNEL_OPEN_FAILURE (RFC
//     4254 §5.1), a channel number other than the one the command was sent to.
//   - CHANNEL_FAILURE for exec (RFC 4254 §5.4), before any sign that the command
//     runs.
//   - DISCONNECT before USERAUTH_SUCCESS (RFC 4253 §11.1): it is authenticated and
//     in order, and nothing follows it.
//
// The end of the TCP connection proves nothing: anybody on the path can forge it
// and drop what the server sent before. This includes an OpenSSH server that closes
// the connection instead of sending USERAUTH_SUCCESS, as for an account that PAM
// reports as expired: whether it authenticated us before cannot be known.
//
// Standard input follows the command and has no influence, however much of it was sent.
//
// Signs that the command runs (CHANNEL_SUCCESS, output, an exit status) outweigh
// any later message that it did not.
//
// The zero value is an attempt that has not begun. Methods are safe for concurrent
// use.
type Execution struct {
	mu        sync.Mutex
	withdrawn error // why no further intent is allowed; nil: allowed
	intended  bool  // an intent was recorded, or may have been
	unused    bool  // the last intent's bytes are not queued yet
	ranBefore bool  // the command may have run on an earlier connection

	// State of the current connection.
	discarded bool   // no more bytes may be sent: the outcome says that the command did not run
	word      word   // the server's last valid statement
	writes    int    // writes in progress
	written   uint64 // bytes accepted by the kernel
	end       uint64 // value of written at which the whole command was sent; 0: not queued
	rejected  uint64 // wordRejected holds while written <= rejected
}

// A word is what the server has said about the command.
type word uint8

const (
	wordNone     word = iota
	wordRejected      // authentication failed
	wordAgainst       // it has not run and will not
	wordFor           // it runs or has run
)

// intend records the intent by calling write, unless the previous intent's bytes
// are not queued yet. stopped is the cause passed to Withdraw.
func (e *Execution) intend(write func() error) (stopped, err error) {
	e.mu.Lock()
	unused, stopped := e.unused, e.withdrawn
	e.intended = e.intended || stopped == nil
	e.mu.Unlock()
	switch {
	case unused:
		return nil, nil
	case stopped != nil:
		return stopped, nil
	}
	if write != nil {
		if err := write(); err != nil {
			return nil, err
		}
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	e.unused = true
	return nil, nil
}

// Intended reports whether an intent was recorded in this attempt. If so, its
// outcome is never cancelled.
func (e *Execution) Intended() bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.intended
}

// Withdraw forbids further intents and reports whether there has been none, so that
// the command was not sent and will not be. Later calls of Attempt.Intend fail with
// cause, which must not be nil.
func (e *Execution) Withdraw(cause error) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.withdrawn = cause
	return !e.intended
}

// Connected starts a new connection of the attempt, on which nothing was sent yet.
func (e *Execution) Connected() {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.ranBefore = e.mayHaveRun()
	e.written, e.writes, e.end, e.word, e.rejected, e.discarded = 0, 0, 0, wordNone, 0, false
}

// Queue reports that the command is within the next ahead bytes, at least 1, that
// the kernel will accept on this connection: it is sent once they are. If ahead is
// too small, the command counts as sent too early, which is safe.
func (e *Execution) Queue(ahead int) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.unused = false
	e.end, e.word = e.written+uint64(max(ahead, 1)), wordNone
}

// Queued reports whether the command was queued or sent on this connection.
func (e *Execution) Queued() bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.end > 0
}

// Writing reports whether bytes may be passed to the kernel. If true, Wrote must
// follow.
func (e *Execution) Writing() bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.discarded {
		return false
	}
	e.writes++
	return true
}

// Wrote reports that the kernel has accepted n bytes.
func (e *Execution) Wrote(n int) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.writes--
	e.written += uint64(max(n, 0))
}

// Left reports whether the server may have received the command.
func (e *Execution) Left() bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.left()
}

func (e *Execution) left() bool {
	return e.end > 0 && !e.discarded && (e.written >= e.end || e.writes > 0)
}

// Rejected reports USERAUTH_FAILURE for the only outstanding request, while waiting
// bytes are queued that the kernel has not accepted.
func (e *Execution) Rejected(waiting int) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.end > 0 && e.word <= wordRejected {
		e.word, e.rejected = wordRejected, e.written+uint64(waiting)
	}
}

// LetIn reports USERAUTH_SUCCESS or CHANNEL_OPEN_CONFIRMATION: what followed a
// rejected request may run now.
func (e *Execution) LetIn() {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.word == wordRejected {
		e.word = wordNone
	}
}

// Ignored reports that the server does not know the channel: the command may be
// queued again.
func (e *Execution) Ignored() {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.word != wordFor {
		e.end, e.word = 0, wordNone
	}
}

// Refused reports any other message of the server that the command has not run and
// will not. It reports whether that is a proof: after a sign that the command runs
// it is not. A command that was refused before it was sent is not sent any more.
func (e *Execution) Refused() bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.word != wordFor {
		e.word = wordAgainst
		e.discarded = e.discarded || e.end > 0 && !e.left()
	}
	return e.word == wordAgainst
}

// Started reports a sign that the command runs or has run.
func (e *Execution) Started() {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.end > 0 {
		e.word = wordFor
	}
}

// NotStarted reports that the remote wrapper, which did run, has proven that it did
// not start the command.
func (e *Execution) NotStarted() {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.word = wordAgainst
}

// Failed returns the outcome of an attempt that fails now: never started or
// unknown. An incompletely sent command is not sent any more.
func (e *Execution) Failed() fleet.Outcome {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.failed()
}

// Interrupted returns the outcome of an attempt that is stopped now. It is that of
// Failed, or cancelled if there was no intent.
func (e *Execution) Interrupted() fleet.Outcome {
	e.mu.Lock()
	defer e.mu.Unlock()
	if o := e.failed(); e.intended {
		return o
	}
	return fleet.OutcomeCancelled
}

// Check returns o, corrected if it contradicts what is known: an attempt with an
// intent is not cancelled, and a command that may have run is unknown.
func (e *Execution) Check(o fleet.Outcome) fleet.Outcome {
	e.mu.Lock()
	defer e.mu.Unlock()
	switch {
	case !o.DidNotRun():
		return o
	case e.mayHaveRun():
		return fleet.OutcomeUnknown
	case o == fleet.OutcomeCancelled && e.intended:
		return fleet.OutcomeNeverStarted
	}
	return o
}

// CanFlush reports whether all queued bytes may still be sent. They may not if they
// would make a command run whose attempt has ended.
func (e *Execution) CanFlush() bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.end == 0 || e.left() && (e.word == wordAgainst || e.mayHaveRun())
}

// failed returns the outcome and discards bytes that could make it untrue: the rest
// of the command, or another request after a rejected one. mu must be held.
func (e *Execution) failed() fleet.Outcome {
	if e.mayHaveRun() {
		return fleet.OutcomeUnknown
	}
	e.discarded = e.discarded || e.end > 0 && (!e.left() || e.word == wordRejected)
	return fleet.OutcomeNeverStarted
}

func (e *Execution) mayHaveRun() bool {
	switch {
	case e.ranBefore:
		return true
	case !e.left():
		return false
	case e.word == wordRejected:
		return e.written > e.rejected || e.writes > 0
	}
	return e.word != wordAgainst
}
