package become

import (
	"context"
	"errors"
	"fmt"
	"time"

	"shoal/fleet"
	"shoal/internal/clock"
	"shoal/internal/hint"
	"shoal/internal/remote"
	"shoal/internal/ssh"
)

// DefaultTimeout is the time for becoming the other user.
const DefaultTimeout = time.Minute

// Options say whom commands run as.
type Options struct {
	// Method is how the account becomes the other user; "" means remote.Sudo.
	Method remote.Method
	// User is the other user; "" means root.
	User string
	// Passwords has the password, each for the account that has logged in. nil means that
	// no password is sent.
	Passwords ssh.Passwords
	// Timeout limits the time from the start until the command's user is the other one,
	// and anew from when the password was sent. It does not run while Passwords lets the
	// attempt wait for the answers of other hosts. 0 means DefaultTimeout.
	Timeout time.Duration
	// Clock is for Timeout; nil means the ordinary time.
	Clock *clock.Clock
	// Shell is the far end's POSIX shell; "" means /bin/sh.
	Shell string
}

// Validate returns an error for a value that is out of range.
func (o Options) Validate() error {
	if o.Timeout < 0 {
		return fmt.Errorf("a time of %v for becoming another user is negative", o.Timeout)
	}
	return o.text(&ssh.Attempt{}, remote.NewNonce()).Validate()
}

// text returns what an attempt's command is put into.
func (o Options) text(a *ssh.Attempt, nonce string) remote.Become {
	b := remote.Become{
		Method: o.Method, User: o.User, Nonce: nonce, Shell: o.Shell,
		Ask: o.Passwords != nil, Terminal: a.PTY != nil, Held: a.HasInput(),
	}
	if b.Method == "" {
		b.Method = remote.Sudo
	}
	if b.User == "" {
		b.User = "root"
	}
	if b.Ask && b.Method != remote.Sudo && a.PTY == nil {
		b.Terminal, b.Raw = true, true
	}
	return b
}

// Terminal reports whether commands get a terminal, which has one stream for both outputs and
// no input: doas and su read a password from nothing else.
func (o Options) Terminal() bool { return o.text(&ssh.Attempt{}, "").Raw }

// A Dialer implements ssh.Dialer: its connections run commands as another user.
type Dialer struct {
	inner ssh.Dialer
	opts  Options
}

// New returns a Dialer that connects through inner.
func New(inner ssh.Dialer, o Options) (*Dialer, error) {
	if err := o.Validate(); err != nil {
		return nil, err
	}
	return &Dialer{inner: inner, opts: o}, nil
}

// Dial implements ssh.Dialer.
func (d *Dialer) Dial(ctx context.Context, a *ssh.Attempt) (ssh.Conn, error) {
	t, f := d.try(a)
	if f != nil {
		return nil, f
	}
	c, err := d.inner.Dial(ctx, &t.attempt)
	if err != nil {
		return nil, err
	}
	return &conn{Conn: c, dialer: d, first: t}, nil
}

var errExact = hint.New("doas and su read a password from a terminal only, which would change what is sent and mix what is answered",
	"use --become-method sudo, or let doas ask for no password (nopass)")

// try prepares one attempt.
func (d *Dialer) try(a *ssh.Attempt) (*try, *fleet.Error) {
	text := d.opts.text(a, remote.NewNonce())
	if text.Raw && (a.HasInput() || a.Line != "") {
		return nil, a.Fail(fleet.OutcomeNeverStarted, fleet.ReasonBecomeNeedsTTY, errExact)
	}
	line, err := text.Line(a.Exec(), a.Line != "")
	if err != nil {
		return nil, a.Fail(fleet.OutcomeNeverStarted, fleet.ReasonBadTarget, err)
	}
	t := newTry(d.opts, text, a)
	t.attempt.Line = line
	return t, nil
}

// A conn runs commands as the other user.
type conn struct {
	ssh.Conn
	dialer *Dialer
	first  *try
}

// Start implements ssh.Conn.
func (c *conn) Start(ctx context.Context, done func(fleet.End)) {
	c.Conn.Start(c.first.begin(ctx), c.ended(ctx, c.first, done))
}

// ended returns what receives the end of a try.
func (c *conn) ended(ctx context.Context, t *try, done func(fleet.End)) func(fleet.End) {
	return func(end fleet.End) {
		t.finish(end, func(end fleet.End) {
			if t.unclear && ctx.Err() == nil {
				c.probe(ctx, t, end, done)
				return
			}
			c.over(t)
			done(end)
		})
	}
}

// over closes a connection that only this package has kept.
func (c *conn) over(t *try) {
	if t.attempt.Keep && !t.keep {
		_ = c.Close()
	}
}

// StartNext implements ssh.Conn.
func (c *conn) StartNext(ctx context.Context, a *ssh.Attempt, done func(fleet.End)) {
	t, f := c.dialer.try(a)
	if f != nil {
		_ = c.Close()
		done(f.End())
		return
	}
	t.attempt.SameHost(c.first.attempt.Progress)
	c.Conn.StartNext(t.begin(ctx), &t.attempt, c.ended(ctx, t, done))
}

var errTimeout = errors.New("the other user was not reached in time")
