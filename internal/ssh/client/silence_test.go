package client

import (
	"context"
	"io"
	"net"
	"testing"
	"testing/synctest"
	"time"

	"shoal/fleet"
	"shoal/internal/ssh"
)

// mutes are servers that send their version line and nothing else.
type mutes struct{ dials int }

func (m *mutes) Open(context.Context, *ssh.Attempt) (net.Conn, error) {
	m.dials++
	ours, theirs := net.Pipe()
	go func() {
		defer func() { _ = theirs.Close() }()
		_, _ = io.Copy(io.Discard, theirs)
	}()
	go func() { _, _ = io.WriteString(theirs, "SSH-2.0-OpenSSH_9.2\r\n") }()
	return ours, nil
}

// A server that says nothing behind its version line is given another connection, in case it has
// discarded what came before the line, and no more time for the phase than any other.
// faults.md: T04
func TestSilenceBehindTheVersionLine(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := new(mutes)
		r := newRig(fleet.Host{Name: "192.0.2.1", Port: 22}, nil)
		r.Network = m
		began := time.Now()
		end := r.run(t, "true")
		if end.Outcome != fleet.OutcomeNeverStarted || end.Reason != fleet.ReasonKexTimeout || end.Phase != fleet.PhaseKex {
			t.Errorf("ended %v(%s) in %v: %v", end.Outcome, end.Reason, end.Phase, end.Err)
		}
		if took := time.Since(began); took != r.Timeouts.Kex || m.dials != 2 {
			t.Errorf("%d connections in %v, want 2 in %v", m.dials, took, r.Timeouts.Kex)
		}
	})
}
