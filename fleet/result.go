package fleet

import (
	"fmt"
	"time"
)

// A Stream is one of a command's two output streams.
type Stream uint8

// The streams.
const (
	Stdout Stream = iota
	Stderr
	NumStreams // how many there are; not a stream
)

var streamNames = [NumStreams]string{"stdout", "stderr"}

func (s Stream) String() string { return nameOf(streamNames[:], s) }

// Output is what came on one stream of the command.
type Output struct {
	// Bytes are kept as they came, up to the cap.
	Bytes []byte
	// Size counts every byte received, kept or not.
	Size int64
}

// Truncated says that more came than was kept.
func (o Output) Truncated() bool { return o.Size > int64(len(o.Bytes)) }

// An End is how one attempt ended.
type End struct {
	Outcome Outcome
	// Reason is "" for OK, Failed and Signalled, unless it was we who had the
	// command ended: ReasonTimeout, ReasonRemoteTimeout, ReasonKilled.
	Reason Reason
	// Phase is the phase in which the attempt ended.
	Phase Phase
	Flags Flags
	// Status is the exit status (RFC 4254 §6.10); it counts when
	// FlagExitKnown is set and Signal is "".
	Status uint32
	// Signal is the exit signal's name without "SIG", as the peer sent it:
	// hostile bytes until escaped. "" means that none came.
	Signal string
	// Err is the cause, for people; nil when the command ran to its end.
	Err error
}

// Exited is the end of a command whose exit status or, where it is not "", exit
// signal was received. complete says that the channel closed in order; otherwise
// output may be missing.
func Exited(p Phase, status uint32, signal string, complete bool) End {
	end := End{Phase: p, Flags: FlagExitKnown, Status: status, Signal: signal}
	switch {
	case signal != "":
		end.Outcome = OutcomeSignalled
	case status != 0:
		end.Outcome = OutcomeFailed
	default:
		end.Outcome = OutcomeOK
	}
	if !complete {
		end.Flags |= FlagOutputIncomplete
	}
	return end
}

// A Result is everything that is told about one target.
type Result struct {
	Target Target
	End
	// Attempt counts from 1; 0 means that none was made.
	Attempt int
	// Earlier are the attempts before this one; nil means that there were none.
	Earlier []Try
	// Started is when the attempt began, with a monotonic reading; zero when
	// none was made.
	Started time.Time
	// Took is the time spent in each phase.
	Took Durations
	// Stdout and Stderr are the command's output.
	Stdout, Stderr Output
}

// A Try is an attempt that another one followed.
type Try struct {
	End
	// Started is when it began, with a monotonic reading.
	Started time.Time
	// Took is the time from there to its end.
	Took time.Duration
}

// An Error is the failure of one attempt. Dialers and connections return
// nothing else; it unwraps to its cause.
type Error struct {
	Host    string // as the user wrote it
	Outcome Outcome
	Phase   Phase
	Reason  Reason
	Err     error // never nil
}

// Error says what happened, on which host and in which phase. Text that came
// from the peer is quoted inside Err already.
func (e *Error) Error() string {
	return fmt.Sprintf("%s: %s: %s: %v", e.Host, e.Phase, e.Reason, e.Err)
}

func (e *Error) Unwrap() error { return e.Err }

// End gives the failure as the end of its attempt.
func (e *Error) End() End {
	return End{Outcome: e.Outcome, Reason: e.Reason, Phase: e.Phase, Err: e.Err}
}
