package transfer

import (
	"context"
	"fmt"
	"io"
	"strings"

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
	if d.push.Options.Via == "sftp" {
		return d.dialSFTP(ctx, a, nonce)
	}
	line, before, err := d.push.request(a.Target.Command, nonce)
	if err != nil {
		return nil, a.Fail(fleet.OutcomeNeverStarted, fleet.ReasonBadTarget, err)
	}
	p := &pushing{push: d.push, attempt: *a, answer: newAnswer(nonce), stdout: a.Stdout}
	p.attempt.Line, p.attempt.Stdout = line, p.answer
	if d.push.asks() || d.push.Size > askFrom {
		p.exchange = d.push.exchange(nonce, a.Target, a.Stdout)
		p.attempt.Stdout, p.attempt.Stream = p.exchange, p.exchange
	} else {
		p.attempt.Input = ssh.JoinInputs(strings.NewReader(before), d.push.payload)
	}
	p.attempt.Keep = a.Keep || d.push.Options.Via == "auto"
	c, err := d.inner.Dial(ctx, &p.attempt)
	switch {
	case err != nil:
		p.exchange.end()
		return nil, err
	case d.push.Options.Via == "auto":
		return &eitherConn{c, p, a, remote.NewNonce()}, nil
	}
	return &conn{c, p.judge}, nil
}

// A conn runs a script whose end judge converts to that of the copy.
type conn struct {
	ssh.Conn
	judge func(fleet.End) fleet.End
}

// Start implements ssh.Conn.
func (c *conn) Start(ctx context.Context, done func(fleet.End)) {
	c.Conn.Start(ctx, func(end fleet.End) { done(c.judge(end)) })
}

// dial connects for an attempt with the script's command line, output and input.
func dial(ctx context.Context, inner ssh.Dialer, a *ssh.Attempt, judge func(fleet.End) fleet.End) (ssh.Conn, error) {
	c, err := inner.Dial(ctx, a)
	if err != nil {
		return nil, err
	}
	return &conn{c, judge}, nil
}

// A pushing is one attempt to push.
type pushing struct {
	push    *Push
	attempt ssh.Attempt
	answer  *answer
	stdout  io.Writer

	exchange *exchange // nil: the bytes are sent without a question
}

// judge converts the end of the script to the end of the push. A complete answer is proof,
// also where the end of the channel was not seen.
func (p *pushing) judge(end fleet.End) fleet.End {
	if p.exchange != nil {
		p.exchange.end()
		p.answer = p.exchange.line
		if p.exchange.stalled && end.Outcome == fleet.OutcomeUnknown {
			end.Reason, end.Err = fleet.ReasonStalled, errStalled
		}
	}
	v, ok := p.answer.parse(len(p.push.Entries))
	switch {
	case ok && v.done:
		if end.Outcome != fleet.OutcomeOK {
			return end
		}
		if !v.verified {
			end.Flags |= fleet.FlagUnverified
		}
		if p.stdout != nil {
			_, _ = io.WriteString(p.stdout, v.text(p.push)) // whoever reads it decides about errors
		}
	case ok && end.Outcome == fleet.OutcomeFailed:
		where := p.attempt.Target.Command
		if v.entry >= 0 && !p.push.Only {
			where = p.push.Entries[v.entry].Name + " in " + where
		}
		end.Reason, end.Err = v.failure(fmt.Sprintf("pushing to %.200q", where))
	case end.Outcome == fleet.OutcomeOK || end.Outcome == fleet.OutcomeFailed:
		// No shell, or one that ended before its work.
		f := p.attempt.Fail(fleet.OutcomeUnknown, fleet.ReasonNoReceipt,
			hint.New(fmt.Sprintf("the host did not answer what became of the push (exit status %d)", end.Status), noAnswerHint))
		return f.End()
	}
	return end
}
