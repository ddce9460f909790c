package engine

import (
	"time"

	"shoal/fleet"
	"shoal/internal/ssh"
)

// A View shows an attempt that is under way, as Options.Watch gets it. Its methods are safe for
// concurrent use and do not block. It stays valid after the attempt's end, and keeps its output
// in memory.
type View struct{ attempt *attempt }

// Of returns the target.
func (v *View) Of() fleet.Target { return v.attempt.attempt.Target.Target }

// Number is that of the attempt, from 1.
func (v *View) Number() int { return v.attempt.output.Attempt }

// Started returns when the attempt began.
func (v *View) Started() time.Time { return v.attempt.begun }

// Phase returns the current phase.
func (v *View) Phase() fleet.Phase { return v.attempt.progress.Timeline.Phase() }

// LastOutput returns when the last byte of the command's output came; zero: none has.
func (v *View) LastOutput() time.Time { return v.attempt.output.lastOutput() }

// Tail returns a copy of the end, of at most limit bytes, of what is kept of a stream, and how
// many bytes are kept. Once the attempt has ended its result has them, and Tail returns none.
func (v *View) Tail(s fleet.Stream, limit int) (end []byte, kept int64) {
	return v.attempt.output.tail(s, limit)
}

// Cancel ends the attempt as an abort of the run would: a command that was sent, or may have
// been, is given up and its outcome is unknown, and otherwise it is cancelled. The target gets
// no other attempt. An attempt that is held by a barrier ends when the barrier opens. Cancel
// needs Options.Cancellable, and has no effect on an attempt that has ended.
func (v *View) Cancel() {
	if cancel := v.attempt.cancel; cancel != nil {
		cancel(ssh.ErrByHand)
	}
}
