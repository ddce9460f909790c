package transfer

import (
	"context"
	"fmt"
	"io"

	"shoal/fleet"
	"shoal/internal/hint"
	"shoal/internal/remote"
	"shoal/internal/ssh"
)

// A Dialer implements ssh.Dialer: its connections push files to the path that is the target's
// command.
type Dialer struct {
	inner ssh.Dialer
	push  *Push
}

// NewDialer returns a Dialer that connects through inner.
func NewDialer(inner ssh.Dialer, p *Push) *Dialer { return &Dialer{inner, p} }

// Dial implements ssh.Dialer.
func (d *Dialer) Dial(ctx context.Context, a *ssh.Attempt) (ssh.Conn, error) {
	nonce := remote.NewNonce()
	line, before, err := d.push.request(a.Target.Command, nonce)
	if err != nil {
		return nil, a.Fail(fleet.OutcomeNeverStarted, fleet.ReasonBadTarget, err)
	}
	c := &conn{push: d.push, attempt: *a, answer: newAnswer(nonce), stdout: a.Stdout}
	c.attempt.Line, c.attempt.Stdout, c.attempt.Input = line, c.answer, input{before, d.push.payload}
	if c.Conn, err = d.inner.Dial(ctx, &c.attempt); err != nil {
		return nil, err
	}
	return c, nil
}

// An input is the list of entries, if it does not fit into the command line, and their bytes.
type input struct {
	before string
	ssh.Input
}

// Size implements ssh.Input.
func (i input) Size() int64 { return int64(len(i.before)) + i.Input.Size() }

// ReadAt implements ssh.Input.
func (i input) ReadAt(p []byte, at int64) (n int, err error) {
	if at < int64(len(i.before)) {
		n = copy(p, i.before[at:])
	}
	if n == len(p) {
		return n, nil
	}
	if i.Input.Size() == 0 {
		return n, io.EOF
	}
	m, err := i.Input.ReadAt(p[n:], at+int64(n)-int64(len(i.before)))
	return n + m, err
}

type conn struct {
	ssh.Conn
	push    *Push
	attempt ssh.Attempt
	answer  *answer
	stdout  io.Writer
}

// Start implements ssh.Conn.
func (c *conn) Start(ctx context.Context, done func(fleet.End)) {
	c.Conn.Start(ctx, func(end fleet.End) { done(c.judge(end)) })
}

// judge converts the end of the script to the end of the push. A complete answer is proof,
// also where the end of the channel was not seen.
func (c *conn) judge(end fleet.End) fleet.End {
	v, ok := c.answer.parse(len(c.push.Entries))
	switch {
	case ok && v.done:
		if end.Outcome != fleet.OutcomeOK {
			return end
		}
		if !v.verified {
			end.Flags |= fleet.FlagUnverified
		}
		if c.stdout != nil {
			_, _ = io.WriteString(c.stdout, v.text(c.push)) // whoever reads it decides about errors
		}
	case ok && end.Outcome == fleet.OutcomeFailed:
		why := reasons[v.word]
		end.Reason = why.reason
		where := c.attempt.Target.Command
		if v.entry >= 0 && !c.push.Only {
			where = c.push.Entries[v.entry].Name + " in " + where
		}
		end.Err = hint.Wrap(fmt.Errorf("pushing to %.200q: %s", where, why.text), why.hint)
	case end.Outcome == fleet.OutcomeOK || end.Outcome == fleet.OutcomeFailed:
		// No shell, or one that ended before its work.
		f := c.attempt.Fail(fleet.OutcomeUnknown, fleet.ReasonNoReceipt,
			hint.New(fmt.Sprintf("the host did not answer what became of the push (exit status %d)", end.Status), "it needs /bin/sh and the usual tools of a POSIX system; standard error has what it said"))
		return f.End()
	}
	return end
}
