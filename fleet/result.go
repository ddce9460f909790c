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
	NumStreams // number of streams; not a stream
)

var streamNames = [NumStreams]string{"stdout", "stderr"}

func (s Stream) String() string { return nameOf(streamNames[:], s) }

// Output is what was received on one stream of the command.
type Output struct {
	// Bytes are the first bytes received, unchanged, up to the limit.
	Bytes []byte
	// Size counts every byte received, kept or not.
	Size int64
}

// Truncated reports whether more was received than kept.
func (o Output) Truncated() bool { return o.Size > int64(len(o.Bytes)) }

// An End is how one attempt ended.
type End struct {
	Outcome Outcome
	// Reason is "" for OK, Failed and Signalled, unless we ended the command:
	// ReasonTimeout, ReasonRemoteTimeout, ReasonKilled.
	Reason Reason
	// Phase is the phase in which the attempt ended.
	Phase Phase
	Flags Flags
	// Status is the exit status (RFC 4254 §6.10); valid if FlagExitKnown is set and
	// Signal is "".
	Status uint32
	// Signal is the exit signal's name without "SIG", as the peer sent it: untrusted
	// bytes, to be escaped. "" means no signal.
	Signal string
	// Err is the cause, for people; nil if the command ran to its end.
	Err error
}

// Answered reports whether the command ran to its end by itself: no timeout of ours has ended it.
func (e *End) Answered() bool { return e.Outcome.Ran() && e.Reason == ReasonNone }

// Exited returns the end of a command whose exit status, or exit signal if not "",
// was received. complete means that the channel was closed in order; otherwise
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

// A Result is everything reported about one target.
type Result struct {
	Target Target
	End
	// Attempt counts from 1; 0 means that none was made.
	Attempt int
	// Earlier are the previous attempts; nil means none.
	Earlier []Try
	// Started is when the attempt began, with a monotonic reading; zero if none was
	// made.
	Started time.Time
	// Took is the time spent in each phase.
	Took Durations
	// AgentSignatures is how many signatures the host has got, or may have got, from a forwarded
	// agent, in all attempts.
	AgentSignatures int
	// BecomeOutput is what the host wrote before the command's user was the other one, such as a
	// lecture of sudo or a refusal: untrusted bytes, at most 4 KiB, without the password. It is
	// part of neither stream.
	BecomeOutput string
	// Connection says on which connection the attempt ran; nil where none are held.
	Connection *Connection
	// Stdout and Stderr are the command's output.
	Stdout, Stderr Output
}

// A Try is an attempt that was followed by another.
type Try struct {
	End
	// Started is when it began, with a monotonic reading.
	Started time.Time
	// Took is the time from Started to the attempt's end.
	Took time.Duration
}

// An Error is the failure of one attempt, and the only error type that Dialers and
// connections return. It unwraps to its cause.
type Error struct {
	Host    string // as the user wrote it
	Outcome Outcome
	Phase   Phase
	Reason  Reason
	Err     error // never nil
}

// Error returns host, phase, reason and cause. Text from the peer is already quoted
// in Err.
func (e *Error) Error() string {
	return fmt.Sprintf("%s: %s: %s: %v", e.Host, e.Phase, e.Reason, e.Err)
}

func (e *Error) Unwrap() error { return e.Err }

// End returns the failure as the end of its attempt.
func (e *Error) End() End {
	return End{Outcome: e.Outcome, Reason: e.Reason, Phase: e.Phase, Err: e.Err}
}
