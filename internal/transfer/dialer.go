package transfer

import (
	"context"
	"errors"

	"shoal/fleet"
	"shoal/internal/remote"
	"shoal/internal/ssh"
)

// A job is one attempt to copy.
type job interface {
	// attempt returns what the client runs.
	attempt() *ssh.Attempt
	// start returns the context for it. It must be called before the command starts.
	start(ctx context.Context) context.Context
	// judge converts the end of the command to that of the copy. slow means that it takes long.
	judge(end fleet.End) fleet.End
	slow() bool
	// end releases a job that was not started.
	end()
}

// A Dialer implements ssh.Dialer: its connections copy files. The target's command is the path
// there that files are pushed to, or the paths that are pulled; see Sources.
type Dialer struct {
	inner ssh.Dialer
	via   Via
	begin func(a *ssh.Attempt, nonce string, sftp bool) (job, error)
}

// NewDialer returns a Dialer that pushes through inner.
func NewDialer(inner ssh.Dialer, p *Push) *Dialer {
	return &Dialer{inner, p.Options.Via, p.begin}
}

// NewPullDialer returns a Dialer that pulls through inner.
func NewPullDialer(inner ssh.Dialer, p *Pull) *Dialer {
	return &Dialer{inner, p.Via, p.begin}
}

// Dial implements ssh.Dialer.
func (d *Dialer) Dial(ctx context.Context, a *ssh.Attempt) (ssh.Conn, error) {
	auto := d.via == ViaAuto
	sftp := d.via == ViaSFTP || auto && ssh.Noted(d.inner, a.Target, noted(a.Target))
	c, err := d.dial(ctx, a, sftp)
	if f, ok := errors.AsType[*fleet.Error](err); ok && auto && !sftp && f.Reason == fleet.ReasonWrapRefused {
		a.Tell("%v; copying by SFTP", f.Err) // nothing was sent
		return d.dial(ctx, a, true)
	}
	return c, err
}

// dial connects to copy in one way, or, with ViaAuto, in that one first.
func (d *Dialer) dial(ctx context.Context, a *ssh.Attempt, sftp bool) (ssh.Conn, error) {
	auto := d.via == ViaAuto
	j, err := d.begin(a, remote.NewNonce(), sftp)
	if err != nil {
		return nil, a.Fail(fleet.OutcomeNeverStarted, fleet.ReasonBadTarget, err)
	}
	attempt := j.attempt()
	attempt.Keep = a.Keep || auto
	c, err := d.inner.Dial(ctx, attempt)
	if err != nil {
		j.end()
		return nil, err
	}
	if !auto {
		return &conn{c, j}, nil
	}
	return &eitherConn{c, d, j, a, sftp}, nil
}

// A conn is a connection whose end is that of a job.
type conn struct {
	ssh.Conn
	job job
}

// Start implements ssh.Conn.
func (c *conn) Start(ctx context.Context, done func(fleet.End)) {
	c.Conn.Start(c.job.start(ctx), func(end fleet.End) { judge(c.job, end, done) })
}

// judge calls done with the end of the job, on a goroutine of its own if that takes long: other
// connections do not wait.
func judge(j job, end fleet.End, done func(fleet.End)) {
	if j.slow() {
		go func() { done(j.judge(end)) }() // whoever waits for done waits for it
		return
	}
	done(j.judge(end))
}

var _ ssh.Dialer = (*Dialer)(nil)
