package sshreason

import (
	"errors"
	"fmt"
	"io"
	"syscall"
	"time"

	"shoal/fleet"
	"shoal/internal/ssh"
)

// ErrClosed means that the peer closed the connection in order.
var ErrClosed = errors.New("the server closed the connection")

// errReset means that the peer reset the connection.
var errReset = errors.New("the server reset the connection")

// WriteTimeout limits a write to a peer that has stopped reading (faults.md T11),
// in phases without a shorter deadline: 30 s.
const WriteTimeout = 30 * time.Second

// errGaveUp means that the kernel has given the connection up.
var errGaveUp = errors.New("the server is not heard of any more, and the system gave the connection up")

// GaveUp reports whether the kernel has given a connection up: nothing from the peer arrived for so long,
// or there is no way to it any more.
func GaveUp(err error) bool {
	for _, e := range []error{syscall.ETIMEDOUT, syscall.EHOSTUNREACH, syscall.ENETUNREACH, syscall.EHOSTDOWN, syscall.ENETDOWN} {
		if errors.Is(err, e) {
			return true
		}
	}
	return false
}

// Ended returns why a connection has ended, of the last errors of writing, which may be nil, and
// reading. The kernel says once that it has given it up, and is read as a close then.
func Ended(writing, reading error) error {
	if GaveUp(writing) {
		return writing
	}
	return reading
}

// Link classifies an error of reading from or writing to an open connection. ok is
// false if err is neither a close nor a reset nor [GaveUp]; for deadlines use [Deadline]. A
// *fleet.Error in the chain, as from a lost jump host, has the reason.
func Link(err error) (r fleet.Reason, named error, ok bool) {
	if f, ok := errors.AsType[*fleet.Error](err); ok {
		return f.Reason, f.Err, true
	}
	switch {
	case errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE):
		return fleet.ReasonConnReset, errReset, true
	case GaveUp(err):
		return fleet.ReasonVanished, fmt.Errorf("%w: %w", errGaveUp, err), true
	case errors.Is(err, ErrClosed), errors.Is(err, io.EOF):
		return fleet.ReasonConnClosed, ErrClosed, true
	}
	return fleet.ReasonNone, err, false
}

// Stopped adds to err that this process was stopped for the duration lost while the
// connection was open: servers drop clients that do not answer. With 0 it returns
// err.
func Stopped(err error, lost time.Duration) error {
	if lost <= 0 {
		return err
	}
	return fmt.Errorf("%w; this process had been stopped for %v meanwhile", err, lost.Round(time.Second))
}

// Deadline returns the reason for a deadline that passed in phase p.
func Deadline(p fleet.Phase) fleet.Reason {
	switch p {
	case fleet.PhaseBanner:
		return fleet.ReasonBannerTimeout
	case fleet.PhaseAuth:
		return fleet.ReasonAuthTimeout
	case fleet.PhaseSession:
		return fleet.ReasonSessionTimeout
	case fleet.PhaseExec:
		return fleet.ReasonExecTimeout
	case fleet.PhaseRun, fleet.PhaseDrain:
		return fleet.ReasonStalled
	default:
		return fleet.ReasonKexTimeout
	}
}

// TimeoutError returns the error for a deadline that passed in phase p. byConnect
// means that it was the connect timeout.
func TimeoutError(p fleet.Phase, t ssh.Timeouts, byConnect bool) error {
	limit, what := t.Kex, "the key exchange did not end"
	switch p {
	case fleet.PhaseBanner:
		what = "no SSH greeting came"
	case fleet.PhaseAuth:
		limit, what = t.Auth, "authentication did not end"
	case fleet.PhaseSession, fleet.PhaseExec:
		limit, what = t.Session, "no answer came"
	case fleet.PhaseRun, fleet.PhaseDrain:
		return fmt.Errorf("the server took nothing from us for %v", WriteTimeout)
	}
	if byConnect {
		return fmt.Errorf("%s before the %w of %v passed", what, ssh.ErrConnectTimeout, t.Connect)
	}
	return fmt.Errorf("%s within %v", what, limit)
}

// Refusal returns the attempt's failure for an error of a local policy. The reason
// is that of a *fleet.Error in the chain, or else otherwise.
func Refusal(a *ssh.Attempt, p fleet.Phase, otherwise fleet.Reason, err error) *fleet.Error {
	if f, ok := errors.AsType[*fleet.Error](err); ok {
		return a.FailIn(p, a.Execution.Failed(), f.Reason, f.Err)
	}
	return a.FailIn(p, a.Execution.Failed(), otherwise, err)
}
