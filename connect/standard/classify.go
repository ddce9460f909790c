package standard

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"syscall"
	"unicode"

	"golang.org/x/crypto/ssh"

	"shoal/connect"
	"shoal/fleet"
)

// reasonDeadline stands for "the phase's deadline passed" until the phase names
// it. It never leaves the package.
const reasonDeadline fleet.Reason = "deadline"

// classifyDial names the failure of the look-up or of the TCP connect.
func classifyDial(ctx context.Context, a *connect.Attempt, err error) *fleet.Error {
	if ctx.Err() != nil {
		return a.Fail(fleet.OutcomeCancelled, fleet.ReasonInterrupted, context.Cause(ctx))
	}
	return a.Fail(fleet.OutcomeNeverStarted, dialReason(a.Timeline.Phase(), err), err)
}

func dialReason(p fleet.Phase, err error) fleet.Reason {
	if dns, ok := errors.AsType[*net.DNSError](err); ok {
		switch {
		case dns.IsNotFound:
			return fleet.ReasonNameNotFound
		case dns.IsTimeout:
			return fleet.ReasonResolveTimeout
		}
		return fleet.ReasonResolveFailed
	}
	if r := localReason(err); r != fleet.ReasonNone {
		return r
	}
	switch {
	case errors.Is(err, syscall.ECONNREFUSED):
		return fleet.ReasonConnRefused
	case errors.Is(err, syscall.EHOSTUNREACH):
		return fleet.ReasonHostUnreachable
	case errors.Is(err, syscall.ENETUNREACH):
		return fleet.ReasonNetUnreachable
	case errors.Is(err, syscall.ECONNRESET):
		return fleet.ReasonConnReset
	case timedOut(err) && p == fleet.PhaseResolve:
		return fleet.ReasonResolveTimeout
	case timedOut(err):
		return fleet.ReasonDialTimeout
	}
	return fleet.ReasonDialFailed
}

// localReason names a lack of this machine's own, which is no fault of a host.
func localReason(err error) fleet.Reason {
	switch {
	case errors.Is(err, syscall.EMFILE), errors.Is(err, syscall.ENFILE):
		return fleet.ReasonLocalFiles
	case errors.Is(err, syscall.EADDRNOTAVAIL):
		return fleet.ReasonLocalPorts
	case errors.Is(err, syscall.ENOBUFS), errors.Is(err, syscall.ENOMEM), errors.Is(err, syscall.EAGAIN):
		return fleet.ReasonLocalMemory
	}
	return fleet.ReasonNone
}

func timedOut(err error) bool {
	return errors.Is(err, os.ErrDeadlineExceeded) || errors.Is(err, context.DeadlineExceeded) ||
		errors.Is(err, syscall.ETIMEDOUT)
}

// classify names the end of an open connection: err is what the library gave,
// wireErr what reading from the connection gave, if it ended.
func classify(err, wireErr error) (fleet.Reason, error) {
	if _, ok := errors.AsType[*ssh.AlgorithmNegotiationError](err); ok {
		return fleet.ReasonNoCommonAlgorithm, tame(err)
	}
	if isDisconnect(err) {
		return fleet.ReasonDisconnected, tame(err)
	}
	for _, e := range []error{err, wireErr} {
		switch {
		case timedOut(e):
			return reasonDeadline, e
		case errors.Is(e, syscall.ECONNRESET), errors.Is(e, syscall.EPIPE):
			return fleet.ReasonConnReset, errors.New("the server reset the connection")
		case errors.Is(e, errPeerClosed):
			return fleet.ReasonConnClosed, errPeerClosed
		}
	}
	return fleet.ReasonProtocolError, tame(err)
}

// deadlineReason is the reason for a deadline that passed in phase p.
func deadlineReason(p fleet.Phase) fleet.Reason {
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

// isDisconnect finds SSH_MSG_DISCONNECT, which the library gives as an error of
// a type that it does not export. The type's name is all there is to go by; a
// test fails when it changes.
func isDisconnect(err error) bool {
	for ; err != nil; err = errors.Unwrap(err) {
		if fmt.Sprintf("%T", err) == "*ssh.disconnectMsg" {
			return true
		}
	}
	return false
}

// refusal turns the error of a policy of ours into the attempt's failure. A
// *fleet.Error in the chain knows the reason.
func refusal(a *connect.Attempt, p fleet.Phase, otherwise fleet.Reason, err error) *fleet.Error {
	if f, ok := errors.AsType[*fleet.Error](err); ok {
		return a.FailIn(p, fleet.OutcomeNeverStarted, f.Reason, f.Err)
	}
	return a.FailIn(p, fleet.OutcomeNeverStarted, otherwise, err)
}

// maxErrorText bounds the text of a library error, which may hold what the peer
// sent.
const maxErrorText = 600

// tame gives err with a text that is bounded and has no control characters.
func tame(err error) error { return tamed{err} }

type tamed struct{ error }

func (t tamed) Unwrap() error { return t.error }

func (t tamed) Error() string {
	text := strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return unicode.ReplacementChar
	}, strings.TrimPrefix(t.error.Error(), "ssh: handshake failed: "))
	if len(text) > maxErrorText {
		text = strings.ToValidUTF8(text[:maxErrorText], "") + "…"
	}
	return text
}
