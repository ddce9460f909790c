package openssh

import (
	"context"
	"net"
	"os"
	"syscall"
	"testing"

	"shoal/fleet"
	"shoal/internal/ssh"
	"shoal/internal/ssh/sshreason"
)

// A full is a listener that cannot accept for so many times.
type full struct {
	net.Listener
	times  int
	closed bool
}

func (l *full) Accept() (net.Conn, error) {
	if l.times--; l.times < 0 {
		return nil, net.ErrClosed
	}
	return nil, &net.OpError{Op: "accept", Err: os.NewSyscallError("accept4", syscall.EMFILE)}
}

func (l *full) Close() error {
	l.closed = true
	return nil
}

// A program that is lent no keys because there is no descriptor is not left waiting, and the reason is said.
func TestNoDescriptorForTheAgent(t *testing.T) {
	l := &full{times: 1}
	attempt := &ssh.Attempt{Progress: new(ssh.Progress)}
	a := &agent{login: &login{attempt: attempt}, listener: l}
	a.serve()
	if f := sshreason.Refusal(attempt, fleet.PhaseAuth, fleet.ReasonAgentUnavailable, a.failed()); !l.closed || f.Reason != fleet.ReasonLocalFiles {
		t.Errorf("closed: %t, %v", l.closed, f)
	}
}

// Programs on the host are heard again once there is a descriptor.
func TestNoDescriptorForAWhile(t *testing.T) {
	l := &full{times: 2}
	f := &forwarder{listener: l}
	f.ctx, f.cancel = context.WithCancel(t.Context())
	defer f.cancel()
	f.serve()
	if l.times != -1 {
		t.Errorf("it was not tried again: %d", l.times)
	}
}
