package transfer

import (
	"context"
	"fmt"

	"shoal/fleet"
	"shoal/internal/remote"
	"shoal/internal/ssh"
)

// A Via says how files are copied.
type Via string

// The ways. "" means ViaSh.
const (
	ViaSh   Via = "sh"   // a stream to sh, in one exec
	ViaSFTP Via = "sftp" // for accounts without a shell
	ViaAuto Via = "auto" // the one where the other does not work, sh first
)

// SFTP reports whether SFTP is used, perhaps.
func (v Via) SFTP() bool { return v == ViaSFTP || v == ViaAuto }

func (v Via) validate() error {
	switch v {
	case "", ViaSh, ViaSFTP, ViaAuto:
		return nil
	}
	return fmt.Errorf("via %.20q: want sh, sftp or auto", string(v))
}

// noted returns the word by which ssh.Notes remember, for ViaAuto, that SFTP worked and sh did not.
func noted(t ssh.Target) string { return ssh.Word("sftp", t.User) }

// An eitherConn copies in one way, and in the other where nothing has answered, on the same connection
// if it can.
type eitherConn struct {
	ssh.Conn
	dialer  *Dialer
	first   job
	attempt *ssh.Attempt
	sftp    bool // the first way
}

// Start implements ssh.Conn.
func (c *eitherConn) Start(ctx context.Context, done func(fleet.End)) {
	c.Conn.Start(c.first.start(ctx), func(end fleet.End) {
		judge(c.first, end, func(end fleet.End) {
			if unanswered(end) && ctx.Err() == nil {
				go c.again(ctx, end, done) // a connection is not used within done; whoever waits for done waits for it
				return
			}
			_ = c.Close()
			done(end)
		})
	})
}

// unanswered reports whether the host does not know the way.
func unanswered(end fleet.End) bool {
	return end.Reason == fleet.ReasonNoReceipt || end.Outcome == fleet.OutcomeRefused && end.Reason == fleet.ReasonExecRefused
}

// again copies in the other way. If that certainly did nothing, or nothing answers there either, first
// is the end. It must not hide that files may have been written.
func (c *eitherConn) again(ctx context.Context, first fleet.End, done func(fleet.End)) {
	a := &ssh.Attempt{
		Progress: new(ssh.Progress), Target: c.attempt.Target, Stdout: c.attempt.Stdout, Stderr: c.attempt.Stderr,
		Limit: c.attempt.Limit, Verbose: c.attempt.Verbose,
	}
	j, err := c.dialer.begin(a, remote.NewNonce(), !c.sftp)
	if err != nil {
		_ = c.Close()
		done(first)
		return
	}
	a.Tell("%s has not answered; copying by %s", name(c.sftp), name(!c.sftp))
	start := c.StartNext
	if first.Outcome == fleet.OutcomeRefused { // such a connection is not kept
		_ = c.Close()
		next, err := c.dialer.inner.Dial(ctx, j.attempt())
		if err != nil {
			j.end()
			done(first)
			return
		}
		c.Conn = next
		start = func(ctx context.Context, _ *ssh.Attempt, done func(fleet.End)) { next.Start(ctx, done) }
	}
	start(j.start(ctx), j.attempt(), func(end fleet.End) {
		judge(j, end, func(end fleet.End) {
			_ = c.Close()
			switch {
			case end.Outcome.DidNotRun(), unanswered(end) && !first.Outcome.DidNotRun():
				done(first)
				return
			case end.Outcome == fleet.OutcomeOK, end.Outcome == fleet.OutcomeFailed:
				ssh.Note(c.dialer.inner, c.attempt.Target, noted(c.attempt.Target), !c.sftp)
			}
			done(end)
		})
	})
}

func name(sftp bool) string {
	if sftp {
		return "SFTP"
	}
	return "sh"
}
