package ssh

import (
	"sync"

	"shoal/fleet"
)

// An Execution is the one owner of the question whether an attempt's command may
// have run. Dialers and connections report to it what happens, in this order:
//
//	Attempt.Intend      that it is about to be sent is written down
//	Queue               the bytes that carry it wait to be sent
//	Writing, Wrote      the kernel takes them
//	Rejected … Started  what the server says
//	Failed, Interrupted the attempt ends: which outcome is true?
//
// A command whose last byte has not been handed to the kernel did not run: a
// packet that is not whole cannot be opened. Where they answer that it did not
// run, Failed and Interrupted discard what is queued, and Writing refuses from
// then on. One that has left may have run, unless the server has said that it
// did not:
//
//   - USERAUTH_FAILURE (RFC 4252 §5.1) for the request that it was sent behind,
//     until another request leaves: a server may keep what came behind the
//     first and take it once it has let us in. So it is with USERAUTH_SUCCESS
//     and CHANNEL_OPEN_CONFIRMATION, which take such a proof back.
//   - UNIMPLEMENTED for CHANNEL_OPEN (RFC 4253 §11.4), CHANNEL_OPEN_FAILURE
//     (RFC 4254 §5.1), another channel number than the one that it went to.
//   - CHANNEL_FAILURE for exec (RFC 4254 §5.4), before any sign that it runs.
//   - DISCONNECT before USERAUTH_SUCCESS (RFC 4253 §11.1): it is authenticated
//     and in order, and nothing comes behind it.
//
// The end of the TCP connection proves nothing: anybody on the path can forge it,
// and drop what the server had sent before. That holds for an OpenSSH server
// too that closes where USERAUTH_SUCCESS would come, as for an account that PAM
// has expired: whether it let us in before cannot be told.
//
// Signs that the command runs (CHANNEL_SUCCESS, output, an exit status) are
// stronger than any word against it that comes later.
//
// The zero value is an attempt that has not begun. Methods may be called from
// several goroutines.
type Execution struct {
	mu        sync.Mutex
	intended  bool  // an intent was written down, or may have been
	unused    bool  // the bytes that the last intent is for are not queued yet
	withdrawn error // why no other intent is to be written; nil: it may be
	ranBefore bool  // on an earlier connection the command may have run

	// Of the present connection.
	written   uint64 // bytes that the kernel has taken
	writes    int    // that are going on
	end       uint64 // written once the command has left whole; 0: it is not queued
	word      word   // the server's last that counts
	rejected  uint64 // the word against holds while written is not more; of wordRejected
	discarded bool   // no byte leaves any more: the command would run, and is said not to
}

// A word is what a server has said of a command.
type word uint8

const (
	wordNone     word = iota
	wordRejected      // it did not let us in
	wordAgainst       // the command has not run and will not
	wordFor           // it runs
)

// intend has the intent written down by write, unless one is that no bytes are
// queued for yet. stopped is the cause of Withdraw.
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

// Intended reports whether an intent was written down in this attempt. An attempt
// with one is never cancelled.
func (e *Execution) Intended() bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.intended
}

// Withdraw forbids every intent from now on, and reports whether there has been
// none: then the command has not been sent and will not be. cause is the error
// of a later Attempt.Intend; it is not nil.
func (e *Execution) Withdraw(cause error) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.withdrawn = cause
	return !e.intended
}

// Connected begins another connection of the attempt, on which nothing has been
// sent.
func (e *Execution) Connected() {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.ranBefore = e.mayHaveRun()
	e.written, e.writes, e.end, e.word, e.rejected, e.discarded = 0, 0, 0, wordNone, 0, false
}

// Queue says that the command is among the next ahead bytes that the kernel will
// take on this connection, at least 1: it has left once these have. Too few make
// it count as sent too early, which is safe.
func (e *Execution) Queue(ahead int) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.unused = false
	e.end, e.word = e.written+uint64(max(ahead, 1)), wordNone
}

// Queued reports whether the command is on its way on this connection, or has
// left.
func (e *Execution) Queued() bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.end > 0
}

// Writing reports whether bytes may be handed to the kernel. Where it is true,
// Wrote has to follow.
func (e *Execution) Writing() bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.discarded {
		return false
	}
	e.writes++
	return true
}

// Wrote says that the kernel has taken n bytes.
func (e *Execution) Wrote(n int) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.writes--
	e.written += uint64(max(n, 0))
}

// Left reports whether the server may have got the command.
func (e *Execution) Left() bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.left()
}

func (e *Execution) left() bool {
	return e.end > 0 && !e.discarded && (e.written >= e.end || e.writes > 0)
}

// Rejected is USERAUTH_FAILURE for the only request in flight, with waiting bytes
// queued that the kernel has not taken.
func (e *Execution) Rejected(waiting int) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.end > 0 && e.word <= wordRejected {
		e.word, e.rejected = wordRejected, e.written+uint64(waiting)
	}
}

// LetIn is USERAUTH_SUCCESS or CHANNEL_OPEN_CONFIRMATION: what was kept behind a
// request that was rejected may run now.
func (e *Execution) LetIn() {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.word == wordRejected {
		e.word = wordNone
	}
}

// Ignored says that the server did not know the channel: the command may be
// queued anew.
func (e *Execution) Ignored() {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.word != wordFor {
		e.end, e.word = 0, wordNone
	}
}

// Refused is any other word of the server's that the command has not run and
// will not. It reports whether that is a proof: not after a sign that it runs.
func (e *Execution) Refused() bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.word != wordFor {
		e.word = wordAgainst
	}
	return e.word == wordAgainst
}

// Started is any sign that the command runs or has run.
func (e *Execution) Started() {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.end > 0 {
		e.word = wordFor
	}
}

// NotStarted is the proof of the far end's own wrapper, which did run, that it
// has not started the command.
func (e *Execution) NotStarted() {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.word = wordAgainst
}

// Failed gives the outcome of an attempt that fails now: never started or
// unknown. A command that has not left whole never does from here on.
func (e *Execution) Failed() fleet.Outcome {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.failed()
}

// Interrupted gives the outcome of an attempt that is stopped now, like Failed:
// one without an intent is cancelled.
func (e *Execution) Interrupted() fleet.Outcome {
	e.mu.Lock()
	defer e.mu.Unlock()
	if o := e.failed(); e.intended {
		return o
	}
	return fleet.OutcomeCancelled
}

// Check gives o, unless it denies what is known: an attempt with an intent is
// not cancelled, and a command that may have run is unknown.
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

// CanFlush reports whether all bytes that are queued may still leave: not those
// with which a command would run though the attempt has ended.
func (e *Execution) CanFlush() bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.end == 0 || e.left() && (e.word == wordAgainst || e.mayHaveRun())
}

// failed discards what could make the answer untrue: the rest of the command, or
// another request behind one that was rejected.
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
