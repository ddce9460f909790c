package engine

import (
	"time"

	"shoal/fleet"
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
