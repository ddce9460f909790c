package sshreason

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"syscall"

	"shoal/fleet"
	"shoal/internal/ssh"
)

// Dial classifies a failure of the name look-up or the TCP connect by the attempt's
// current phase. If ctx has ended, the attempt is interrupted.
func Dial(ctx context.Context, a *ssh.Attempt, err error) *fleet.Error {
	if ctx.Err() != nil {
		return Interrupted(ctx, a)
	}
	return a.Fail(fleet.OutcomeNeverStarted, dialReason(a.Timeline.Phase(), err), plainly(err))
}

// A plain error has words of our own for one of package net.
type plain struct {
	text  string
	cause error
}

func (e *plain) Error() string { return e.text }
func (e *plain) Unwrap() error { return e.cause }

// plainly rewords a failed look-up or connect, without the name server and the
// names of system calls.
func plainly(err error) error {
	if dns, ok := errors.AsType[*net.DNSError](err); ok {
		if dns.IsNotFound {
			return &plain{fmt.Sprintf("there is no host named %.200q", dns.Name), err}
		}
		return &plain{fmt.Sprintf("looking up %.200q: %.200s", dns.Name, dns.Err), err}
	}
	op, ok := err.(*net.OpError) //nolint:errorlint // whoever wrapped it has said more
	if !ok || op.Addr == nil {
		return err
	}
	cause := op.Err
	if call, ok := errors.AsType[*os.SyscallError](cause); ok {
		cause = call.Err
	}
	return &plain{fmt.Sprintf("connecting to %s: %v", op.Addr, cause), err}
}

// Interrupted returns the failure of an attempt that is stopped because ctx has
// ended.
func Interrupted(ctx context.Context, a *ssh.Attempt) *fleet.Error {
	return a.Fail(a.Execution.Interrupted(), fleet.ReasonInterrupted, context.Cause(ctx))
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
	if r := Local(err); r != fleet.ReasonNone {
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
	case TimedOut(err) && p == fleet.PhaseResolve:
		return fleet.ReasonResolveTimeout
	case TimedOut(err), errors.Is(err, syscall.ETIMEDOUT):
		return fleet.ReasonDialTimeout
	}
	return fleet.ReasonDialFailed
}

// Local returns the reason for a lack of local resources, which is no host's fault;
// fleet.ReasonNone for other errors.
func Local(err error) fleet.Reason {
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

// TimedOut reports whether err was caused by a deadline of ours. For those of the kernel see [GaveUp].
func TimedOut(err error) bool {
	return errors.Is(err, os.ErrDeadlineExceeded) || errors.Is(err, context.DeadlineExceeded)
}
