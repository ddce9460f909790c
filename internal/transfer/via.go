package transfer

import (
	"context"
	"errors"
	"fmt"

	"shoal/fleet"
	"shoal/internal/hint"
	"shoal/internal/ssh"
)

// dialSFTP connects for a push by SFTP.
func (d *Dialer) dialSFTP(ctx context.Context, a *ssh.Attempt, nonce string) (ssh.Conn, error) {
	if err := errors.Join(CheckDest(a.Target.Command), d.push.Options.Validate()); err != nil {
		return nil, a.Fail(fleet.OutcomeNeverStarted, fleet.ReasonBadTarget, err)
	}
	attempt := *a
	s := newSFTPPush(d.push, nonce, a.Target, a.Stdout)
	attempt.Line, attempt.Subsystem, attempt.Stdout, attempt.Stream = "", "sftp", s, s
	c, err := dial(ctx, d.inner, &attempt, func(end fleet.End) fleet.End { return s.judge(&attempt, end) })
	if err != nil {
		s.end()
	}
	return c, err
}

// An eitherConn pushes by sh, and by SFTP on the same connection where no sh has answered.
type eitherConn struct {
	ssh.Conn
	push    *pushing
	attempt *ssh.Attempt
	nonce   string
}

// Start implements ssh.Conn.
func (c *eitherConn) Start(ctx context.Context, done func(fleet.End)) {
	c.Conn.Start(ctx, func(end fleet.End) {
		if end = c.push.judge(end); end.Reason == fleet.ReasonNoReceipt && ctx.Err() == nil {
			go c.again(ctx, end, done) // a connection is not used within done; whoever waits for done waits for it
			return
		}
		_ = c.Close()
		done(end)
	})
}

// again pushes by SFTP. If there is no such server either, first is the end.
func (c *eitherConn) again(ctx context.Context, first fleet.End, done func(fleet.End)) {
	s := newSFTPPush(c.push.push, c.nonce, c.attempt.Target, c.attempt.Stdout)
	next := &ssh.Attempt{
		Progress: new(ssh.Progress), Target: c.attempt.Target, Subsystem: "sftp", Stdout: s, Stream: s, Stderr: c.attempt.Stderr,
		Limit: c.attempt.Limit, Verbose: c.attempt.Verbose,
	}
	next.Tell("no sh has answered; pushing by SFTP")
	c.StartNext(ctx, next, func(end fleet.End) {
		if end = s.judge(next, end); end.Outcome != fleet.OutcomeOK && s.verdict.word == "" {
			end = first
		}
		_ = c.Close()
		done(end)
	})
}

// judge converts the end of the session to that of the push.
func (s *sftpPush) judge(a *ssh.Attempt, end fleet.End) fleet.End {
	s.end()
	v := s.verdict
	if s.stalled && end.Outcome == fleet.OutcomeUnknown {
		end.Reason, end.Err = fleet.ReasonStalled, errStalled
		return end
	}
	switch {
	case end.Outcome != fleet.OutcomeOK && end.Outcome != fleet.OutcomeFailed:
	case v.done && end.Outcome == fleet.OutcomeOK:
		s.tell("%s", v.text(s.push))
	case v.word != "" && !v.done:
		where := s.dest
		if v.entry >= 0 && !s.push.Only {
			where = s.push.Entries[v.entry].Name + " in " + where
		}
		end.Outcome = fleet.OutcomeFailed
		end.Reason, end.Err = v.failure(fmt.Sprintf("pushing to %.200q by SFTP", where))
	case v.done:
	default:
		return a.Fail(fleet.OutcomeUnknown, fleet.ReasonNoReceipt,
			hint.New(fmt.Sprintf("the host ended SFTP before all was written (exit status %d)", end.Status), "it may have no SFTP server, or print text at login; --via sh needs none")).End()
	}
	return end
}

var _ ssh.Stream = (*sftpPush)(nil)
