package client

import (
	"testing"

	"shoal/internal/ssh"
	"shoal/internal/ssh/wire"
)

// Without strict key exchange the command does not leave before its channel is
// open: an UNIMPLEMENTED for the early CHANNEL_OPEN could be provoked.
// faults.md: S22
func TestNoEarlyCommandWithoutStrictKex(t *testing.T) {
	for _, strict := range []bool{true, false} {
		h := &handshake{attempt: new(ssh.Attempt), plan: plan{earlyExec: true, earlyAuth: true}}
		if f := h.take(wire.Negotiated{Strict: strict}); f != nil || h.plan.earlyExec != strict || !h.plan.earlyAuth {
			t.Errorf("strict %v: early command %v, early authentication %v (%v)", strict, h.plan.earlyExec, h.plan.earlyAuth, f)
		}
	}
}
