package ssh

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"time"

	xssh "golang.org/x/crypto/ssh"

	"shoal/fleet"
)

// A Dialer opens connections. It is safe for concurrent use.
type Dialer interface {
	// Dial connects to the attempt's target, has the host key judged and
	// authenticates. It ends by itself at the deadline of each phase, and at
	// once when ctx ends. Every error is a *fleet.Error; after one nothing of
	// the attempt is left behind.
	Dial(ctx context.Context, a *Attempt) (Conn, error)
}

// A Conn is an authenticated connection. Its methods are for one goroutine,
// but Close may be called from any.
type Conn interface {
	// Start runs the attempt's command and returns without waiting for it. It
	// is called at most once. done is called exactly once, on another
	// goroutine or before Start returns, after the last write to the attempt's
	// Stdout and Stderr; it must not block. When ctx ends, the command is
	// abandoned where it stands.
	Start(ctx context.Context, done func(fleet.End))
	// Close drops the connection and frees what it holds. A command that is
	// still running is abandoned; done is still called. Close may be repeated.
	Close() error
}

// An Attempt is one try at one target: what is wanted, and how far it has come.
type Attempt struct {
	// Target has User, Port and Command filled in.
	Target fleet.Target
	// Line is sent in the exec request instead of Target.Command; "" means that
	// the command is. Package internal/remote/wrap sets it.
	Line string
	// Limit is this attempt's command timeout instead of Timeouts.Command; 0 means
	// that one, negative means none.
	Limit time.Duration
	// Timeline is moved on by the Dialer and its Conn.
	Timeline fleet.Timeline
	// Stdout and Stderr take the command's output as it comes. Each is written
	// by one goroutine at a time, but the two may be written at once. A write
	// that waits makes the server wait (the SSH window closes); one that fails
	// does not: the rest of that stream is read and dropped, so that a stream
	// never waits for the other. p is not theirs to keep.
	Stdout, Stderr io.Writer
	// Intent, when it is set, is called before the bytes that carry the command
	// are handed to the kernel, once for each time that they are. Its error
	// keeps the command from being sent: the attempt has never started.
	Intent func() error
	// Execution is told by the Dialer and its Conn how far the command has come,
	// and asked by everybody what that means.
	Execution Execution
	// Hold says that Start comes late: no byte of the command leaves before it,
	// and an authenticated connection waits for it without a deadline.
	Hold bool
}

// Intend calls Intent, if there is one, and names its error. It has to come
// before each Execution.Queue, and may come well before it: a second call before
// that does nothing. After Execution.Withdraw it fails.
func (a *Attempt) Intend() *fleet.Error {
	stopped, err := a.Execution.intend(a.Intent)
	switch {
	case stopped != nil:
		return a.Fail(a.Execution.Interrupted(), fleet.ReasonInterrupted, stopped)
	case err != nil:
		return a.Fail(a.Execution.Failed(), fleet.ReasonStoreFailed,
			fmt.Errorf("writing down that the command is about to be sent: %w", err))
	}
	return nil
}

// Exec is the text of the exec request (RFC 4254 §6.5).
func (a *Attempt) Exec() string {
	if a.Line != "" {
		return a.Line
	}
	return a.Target.Command
}

// Fail gives err as the attempt's failure in the phase where it now stands.
func (a *Attempt) Fail(o fleet.Outcome, r fleet.Reason, err error) *fleet.Error {
	return a.FailIn(a.Timeline.Phase(), o, r, err)
}

// FailIn gives err as the attempt's failure in the given phase.
func (a *Attempt) FailIn(p fleet.Phase, o fleet.Outcome, r fleet.Reason, err error) *fleet.Error {
	return &fleet.Error{Host: a.Target.Host.String(), Outcome: o, Phase: p, Reason: r, Err: err}
}

// A Network opens the stream of bytes to a target. It is safe for concurrent
// use. Package internal/ssh/tcp has the usual one.
type Network interface {
	// Open moves the attempt's timeline through resolve and dial. It ends by
	// itself at its deadline, and at once when ctx ends. Every error is a
	// *fleet.Error.
	Open(ctx context.Context, a *Attempt) (net.Conn, error)
}

// HostKeys judges host keys. Implementations are safe for concurrent use;
// package internal/ssh/hostkeys has them.
type HostKeys interface {
	// Algorithms lists the host-key algorithms to offer to this target, best
	// first, so that a server shows a key that is known. Empty means no
	// preference.
	Algorithms(t fleet.Target) []string
	// Check gives nil for a trusted key. Every error refuses it; a *fleet.Error
	// in its chain gives the reason, otherwise it is
	// fleet.ReasonHostkeyFailed.
	Check(t fleet.Target, remote net.Addr, key xssh.PublicKey) error
	// Accepted tells that the target with this key let us in. A policy that
	// learns keys learns here, and an error means that it could not.
	Accepted(t fleet.Target, key xssh.PublicKey) error
}

// A KeyReleaser is a HostKeys that is told of connections that were let in by Check
// and ended before Accepted: their keys have proven nothing. Released is called once
// for each Check that gave nil and is not followed by an Accepted that gave nil.
type KeyReleaser interface {
	Released(t fleet.Target, key xssh.PublicKey)
}

// ReleaseKey tells h where it wants to know. A nil key is none.
func ReleaseKey(h HostKeys, t fleet.Target, key xssh.PublicKey) {
	if r, ok := h.(KeyReleaser); ok && key != nil {
		r.Released(t, key)
	}
}

// Identities gives the keys to offer. Implementations are safe for concurrent
// use; package internal/ssh/auth has them.
type Identities interface {
	// Signers lists the keys to offer to this target, best first. An error
	// ends the attempt in phase auth; a *fleet.Error in its chain gives the
	// reason, otherwise it is fleet.ReasonAgentUnavailable.
	Signers(ctx context.Context, t fleet.Target) ([]xssh.Signer, error)
}

// Passwords answers servers that ask for a password. Implementations are safe
// for concurrent use; package internal/ssh/auth has one. Dialers ask after the keys, and
// only where [AllowPassword] returns nil.
//
// ctx is that of one connection: it ends at the deadline of authentication, and
// at the latest when the connection attempt returns, however it ends. answered
// tells whether the server accepted what was given; a password whose answer was
// not told when ctx ends counts as unanswered. answered is nil if err is not.
type Passwords interface {
	// Password returns the password for this target, for the caller to overwrite.
	// An error ends the attempt in phase auth; a *fleet.Error in its chain gives
	// the reason, otherwise it is fleet.ReasonAuthFailed.
	Password(ctx context.Context, t fleet.Target) (password []byte, answered func(accepted bool), err error)
	// Answer answers one prompt of keyboard-interactive authentication
	// (RFC 4256), whose text is the server's; echo says that what is typed would
	// be shown. An error means that this prompt gets no answer.
	Answer(ctx context.Context, t fleet.Target, prompt string, echo bool) (answer []byte, answered func(accepted bool), err error)
}

// A PasswordGuard is a HostKeys that decides which hosts may get a password: a
// policy may trust a key enough to offer it signatures, which are worth nothing
// elsewhere, and not enough to show it a secret.
type PasswordGuard interface {
	// AllowPassword returns nil if the target has proven to be the host that is
	// meant: known_hosts has the key, which Check has accepted, or vouches for its
	// certificate, or the key is stored there now. An error says why not.
	AllowPassword(t fleet.Target, key xssh.PublicKey) error
}

// AllowPassword returns nil if t with this key, which keys.Check has accepted, may
// get a password. A HostKeys that is no [PasswordGuard] allows none.
func AllowPassword(keys HostKeys, t fleet.Target, key xssh.PublicKey) error {
	guard, ok := keys.(PasswordGuard)
	if !ok {
		return errors.New("the password was not sent: nothing tells whether the host key is known")
	}
	return guard.AllowPassword(t, key)
}

// Timeouts are the deadlines of an attempt. Each is absolute, from the start of
// its phase, and no byte from the peer moves it.
type Timeouts struct {
	Connect time.Duration // all from the name look-up to being authenticated; 0 means no limit beside the phases' own
	Dial    time.Duration // name look-up and TCP connect; 0 means 10 s
	Kex     time.Duration // version line, key exchange and host key; 0 means 15 s
	Auth    time.Duration // user authentication; 0 means 30 s
	Session time.Duration // opening the channel and the answer to exec; 0 means 15 s
	Command time.Duration // from the answer to exec to TERM, which has TermGrace to work; 0 means no limit
	Drain   time.Duration // from the exit status to the channel's close; 0 means 5 s

	// Alive is how long a server may say nothing while its command runs before
	// it is asked for a sign of life; after MaxSilent questions without an
	// answer it counts as gone. 0 means 15 s; negative means that it is never
	// asked.
	Alive time.Duration
}

// ErrConnectTimeout is in the chain of a failure for which Timeouts.Connect has
// passed, or that of the Route: the target has had all the time that it was given.
var ErrConnectTimeout = errors.New("connect timeout")

// TermGrace is how long a command that has taken too long, and was sent TERM
// (RFC 4254 §6.9), has to show that it ended.
const TermGrace = time.Second

// MaxSilent is how many questions for a sign of life a server may leave
// unanswered.
const MaxSilent = 3

// Validate refuses negative durations.
func (t Timeouts) Validate() error {
	for _, d := range []time.Duration{t.Connect, t.Dial, t.Kex, t.Auth, t.Session, t.Command, t.Drain} {
		if d < 0 {
			return fmt.Errorf("a timeout of %v is negative; 0 means the default", d)
		}
	}
	return nil
}

// For gives the deadlines of one attempt: its own, and those of its target's Route
// where t has none.
func (t Timeouts) For(a *Attempt) Timeouts {
	if a.Limit != 0 {
		t.Command = max(a.Limit, 0)
	}
	route := a.Target.Route
	if route == nil {
		return t
	}
	if t.Connect == 0 {
		t.Connect = route.Connect
	}
	if route.Alive > 0 {
		t.Alive = route.Alive
	}
	return t
}

// WithDefaults gives t with every 0 that stands for a default replaced.
func (t Timeouts) WithDefaults() Timeouts {
	for _, d := range []struct {
		field    *time.Duration
		standard time.Duration
	}{
		{&t.Dial, 10 * time.Second},
		{&t.Kex, 15 * time.Second},
		{&t.Auth, 30 * time.Second},
		{&t.Session, 15 * time.Second},
		{&t.Drain, 5 * time.Second},
		{&t.Alive, 15 * time.Second},
	} {
		if *d.field == 0 {
			*d.field = d.standard
		}
	}
	return t
}
