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

// ErrClosed stands for the peer's orderly end of a connection.
var ErrClosed = errors.New("the server closed the connection")

// errReset stands for its other end.
var errReset = errors.New("the server reset the connection")

// WriteTimeout ends a write to a peer that has stopped reading (faults.md T11),
// in phases whose own deadline does not: 30 s.
const WriteTimeout = 30 * time.Second

// Link names the end of reading from or writing to an open connection. ok is
// false when err is neither an end nor a reset of it; deadlines are for
// [Deadline]. A *fleet.Error in the chain, as a lost jump host gives, knows the
// reason.
func Link(err error) (r fleet.Reason, named error, ok bool) {
	if f, ok := errors.AsType[*fleet.Error](err); ok {
		return f.Reason, f.Err, true
	}
	switch {
	case errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE):
		return fleet.ReasonConnReset, errReset, true
	case errors.Is(err, ErrClosed), errors.Is(err, io.EOF):
		return fleet.ReasonConnClosed, ErrClosed, true
	}
	return fleet.ReasonNone, err, false
}

// Stopped adds to the end of a connection that this process was stopped for so
// long while it was open: servers give up on clients that do not answer.
func Stopped(err error, lost time.Duration) error {
	if lost <= 0 {
		return err
	}
	return fmt.Errorf("%w; this process had been stopped for %v meanwhile", err, lost.Round(time.Second))
}

// Deadline is the reason for a deadline that passed in phase p.
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

// TimeoutError says which deadline passed in phase p. byConnect says that it was that of
// the whole connect.
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

// Refusal turns the error of a policy of ours into the attempt's failure. A
// *fleet.Error in the chain knows the reason.
func Refusal(a *ssh.Attempt, p fleet.Phase, otherwise fleet.Reason, err error) *fleet.Error {
	if f, ok := errors.AsType[*fleet.Error](err); ok {
		return a.FailIn(p, a.Execution.Failed(), f.Reason, f.Err)
	}
	return a.FailIn(p, a.Execution.Failed(), otherwise, err)
}
