package become

import (
	"cmp"
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
	// Direct has sudo start the command's words themselves, without a shell as the other user;
	// see remote.Become. Commands have no wrapper, terminal or standard input then.
	Direct bool
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
		Method: cmp.Or(o.Method, remote.Sudo), User: cmp.Or(o.User, "root"), Nonce: nonce, Shell: o.Shell,
		Ask: o.Passwords != nil, Terminal: a.PTY != nil, Held: a.HasInput(), Direct: o.Direct,
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
	t, f := d.try(a, d.quietFirst(a.Target))
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

var errDirect = errors.New("a command that sudo starts directly has no wrapper, no terminal, no standard input and at most some 120 KiB")

// try prepares one attempt. With quiet the method must not ask for a password.
func (d *Dialer) try(a *ssh.Attempt, quiet bool) (*try, *fleet.Error) {
	o := d.opts
	if quiet {
		o.Passwords = nil
	}
	text := o.text(a, remote.NewNonce())
	if text.Raw && (a.HasInput() || a.Line != "") {
		return nil, a.Fail(fleet.OutcomeNeverStarted, fleet.ReasonBecomeNeedsTTY, errExact)
	}
	if text.Direct && (a.HasInput() || a.PTY != nil || a.Line != "") {
		return nil, a.Fail(fleet.OutcomeNeverStarted, fleet.ReasonBadTarget, errDirect)
	}
	line, err := text.Line(a.Exec(), a.Line != "")
	if err != nil {
		return nil, a.Fail(fleet.OutcomeNeverStarted, fleet.ReasonBadTarget, err)
	}
	t := newTry(d.opts, text, a)
	if t.attempt.Line, t.noted = line, d.noted(a.Target); t.noted && text.Ask {
		t.attempt.Tell("host cache: %s asks for a password", text.Method)
	}
	return t, nil
}

// quietFirst reports whether a command is tried without a password first: where none is needed
// it then starts without waiting for remote.Go. su has no such mode.
func (d *Dialer) quietFirst(t ssh.Target) bool {
	return d.opts.Passwords != nil && d.opts.Method != remote.Su && !d.noted(t)
}

// noted reports whether the host is known to ask the account for a password.
func (d *Dialer) noted(t ssh.Target) bool {
	return ssh.Noted(d.inner, t, d.note(t))
}

// remember notes whether the host has asked for a password.
func (d *Dialer) remember(t *try) {
	if asks := t.sent; asks != t.noted && (asks || t.became) {
		ssh.Note(d.inner, t.attempt.Target, d.note(t.attempt.Target), asks)
	}
}

// note returns the word for that. It depends on who becomes whom, and how.
func (d *Dialer) note(t ssh.Target) string {
	b := d.opts.text(&ssh.Attempt{}, "")
	name := "become-asks"
	if b.Direct { // sudo lists what it would not run
		name = "become-lists"
	}
	return ssh.Word(name, string(b.Method), t.User, b.User)
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
			if t.needed && ctx.Err() == nil {
				go c.again(ctx, t, done) // the intent of another start is stored; whoever waits for done waits for it
				return
			}
			c.dialer.remember(t)
			if t.unclear && ctx.Err() == nil {
				c.probe(ctx, t, end, done)
				return
			}
			c.over(t)
			done(end)
		})
	}
}

// again tries with a password what was refused without.
func (c *conn) again(ctx context.Context, refused *try, done func(fleet.End)) {
	t, f := c.dialer.try(refused.given, false)
	if f != nil {
		c.over(refused)
		done(f.End())
		return
	}
	t.attempt.Tell("%s wants a password, or allows nothing: once more with one", t.text.Method)
	c.Conn.StartNext(t.begin(ctx), &t.attempt, c.ended(ctx, t, done))
}

// over closes a connection that only this package has kept.
func (c *conn) over(t *try) {
	if t.attempt.Keep && !t.keep {
		_ = c.Close()
	}
}

// StartNext implements ssh.Conn.
func (c *conn) StartNext(ctx context.Context, a *ssh.Attempt, done func(fleet.End)) {
	t, f := c.dialer.try(a, c.dialer.quietFirst(a.Target))
	if f != nil {
		_ = c.Close()
		done(f.End())
		return
	}
	t.attempt.SameHost(c.first.attempt.Progress)
	c.Conn.StartNext(t.begin(ctx), &t.attempt, c.ended(ctx, t, done))
}

var errTimeout = errors.New("the other user was not reached in time")
