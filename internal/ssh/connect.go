package ssh

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"sync/atomic"
	"time"

	xssh "golang.org/x/crypto/ssh"

	"shoal/fleet"
)

// A Dialer opens connections. It is safe for concurrent use.
type Dialer interface {
	// Dial connects to the attempt's target, checks the host key and authenticates. It
	// returns at the deadline of each phase, and immediately when ctx ends. Every
	// error is a *fleet.Error; after an error nothing of the attempt remains open.
	Dial(ctx context.Context, a *Attempt) (Conn, error)
}

// A Conn is an authenticated connection. Its methods must be called from one
// goroutine, except Close, which may be called from any.
type Conn interface {
	// Start runs the attempt's command and returns without waiting for it. It must be
	// called at most once. done is called exactly once, on another goroutine or before
	// Start returns, after the last write to the attempt's Stdout and Stderr; it must
	// not block. When ctx ends, the command is abandoned.
	Start(ctx context.Context, done func(fleet.End))
	// StartNext runs a further attempt on the connection, as Start does. It may be
	// called after done was, if the attempt that has ended had Keep set. If the
	// connection was not kept, or has ended since, a is never started. Only Close and
	// the end of an attempt that is not kept end the connection: ctx is a's alone.
	StartNext(ctx context.Context, a *Attempt, done func(fleet.End))
	// Close closes the connection and releases its resources. A running command is
	// abandoned, and done is still called. Close may be repeated.
	Close() error
}

// A Keeper is a Conn that tells when it has ended between two attempts.
type Keeper interface {
	Conn
	// HostKey returns the host key that was checked.
	HostKey() xssh.PublicKey
	// OnEnd sets the function that is called once, with the cause, when StartNext cannot
	// start an attempt any more: before done of the attempt with which the connection has
	// ended, or at any time between two attempts, also by OnEnd itself. It must not block. OnEnd
	// must be called before Start, on a connection whose first attempt has Keep set.
	OnEnd(func(cause error))
}

// An Attempt is one try at one target, on connections of its own or, by Conn.StartNext,
// on that of an earlier attempt. Dialers do not change its parameters; one that
// stands before another passes on a copy, which shares the Progress.
type Attempt struct {
	*Progress
	Target Target
	// At, if not nil, is dialled in place of the target's name: one name may have several
	// addresses. It has no effect on a target that is reached through a jump host or a
	// proxy command.
	At *netip.AddrPort
	// Line is sent in the exec request instead of Target.Command; "" means
	// Target.Command. Package internal/remote/wrap sets it.
	Line string
	// PTY requests a pseudo-terminal before the command; nil means none. The command is
	// sent when the server has granted it, one round trip later than without: a server
	// would also run a command that follows a refusal. The end then has
	// fleet.FlagPTY, and Stdout receives both streams. EOF does not reach a terminal:
	// Input has to end in its end-of-file character.
	PTY *PTY
	// Input is the command's standard input; nil or empty means EOF at once. It is sent
	// after the server has accepted the command, from the first byte on each
	// connection, at the pace of the server and without a copy in memory, and followed
	// by EOF. Bytes that the command does not read are dropped without an error.
	Input Input
	// Stream, if not nil, is the command's standard input in place of Input, for input that
	// becomes available while the command runs. It belongs to this one attempt.
	Stream Stream
	// Limit replaces Timeouts.Command for this attempt; 0 means Timeouts.Command,
	// negative means no limit.
	Limit time.Duration
	// Stdout and Stderr receive the command's output as it arrives. Each is written by
	// one goroutine at a time, but both may be written at the same time. A blocking
	// write blocks the server (the SSH window closes). After a failed write the rest
	// of that stream is read and dropped, so that the other stream goes on. Write must
	// not keep p.
	Stdout, Stderr io.Writer
	// Intent, if not nil, is called before the bytes that carry the command are passed
	// to the kernel, once for each time they are sent. If it fails, the command is not
	// sent and the attempt is never started.
	Intent func() error
	// Dialled, if not nil, is told the address that was dialled for a target that has a name, by a
	// Dialer that has another process make the attempts: there Intent comes before it is known. It must
	// not block.
	Dialled func(netip.AddrPort)
	// Drain, when closed, means that nothing more is to be started: a connection that turns
	// out to be dead is not replaced by another. nil means never.
	Drain <-chan struct{}
	// Until is the phase of connecting at whose end Dial hangs up and returns ErrUntil, having
	// sent nothing that belongs to the next: PhaseDial, PhaseBanner, PhaseKex or
	// PhaseHostkey. Only package internal/ssh/client has it. 0 means none.
	Until fleet.Phase
	// Subsystem means that Line is the name of a subsystem, which is started in place of a
	// command (RFC 4254 §6.5).
	Subsystem bool
	// Agent asks for the agent of the target's Settings to be forwarded, in the flight of the
	// command. Where that is withheld or the server refuses it, the command runs without, and
	// the end has fleet.FlagNoAgent.
	Agent bool
	// Hold means that Start is called late: no byte of the command is sent before, and
	// the authenticated connection waits for Start without a deadline.
	Hold bool
	// Idempotent means that the command may run more than once: whoever made the
	// attempt repeats it if its outcome is unknown.
	Idempotent bool
	// Keep keeps the connection open for Conn.StartNext, if the server reports the
	// command's exit and closes its channel, and may keep it after the command timeout.
	// Otherwise it is closed as it is without Keep. Conn.Close must follow.
	Keep bool
	// Interrupt means that a command which runs when ctx ends is sent TERM. With Keep the
	// connection may be kept then.
	Interrupt bool
	// Anew means that no connection that is held is used: another one may lead to another
	// machine.
	Anew bool
	// Verbose, if not nil, is told what the Dialer chooses and learns, a line at a time
	// and without its end. It holds no secret; bytes of a peer are bounded and quoted. It
	// is called from many goroutines and must not block.
	Verbose   func(line string)
	connectBy time.Time // see ConnectBy; zero: not asked for yet
}

// ErrByHand is why the context of a single attempt has ended: a person has given it up, and the run
// goes on. Any other cause is the run's.
var ErrByHand = errors.New("it was cancelled by hand")

// ErrUntil is the cause of an attempt that has ended as Attempt.Until says.
var ErrUntil = errors.New("the attempt has come as far as it should")

// ConnectBy returns when the attempt's connect timeout limit passes, which begins
// with the first call: it covers all connections of the attempt, also those of a
// fallback. now and the result are instants of one clock. A limit of 0 means none,
// and the result is the zero time. Only the Dialer and its Network call it, on one
// goroutine.
func (a *Attempt) ConnectBy(now time.Time, limit time.Duration) time.Time {
	if limit <= 0 {
		return time.Time{}
	}
	if a.connectBy.IsZero() {
		a.connectBy = now.Add(limit)
	}
	return a.connectBy
}

// Progress is how far an attempt has come.
type Progress struct {
	// Timeline is advanced by the Dialer and its Conn.
	Timeline fleet.Timeline
	// Signed is set once the login has been signed, by a Dialer that can tell: what remains is to
	// wait for the server, which costs this machine nothing.
	Signed atomic.Bool
	// Execution records how far the command has come, as the Dialer and its Conn
	// report it, and decides whether the command may have run.
	Execution Execution
	// AgentUse counts what the host has asked a forwarded agent.
	AgentUse AgentUse
	// Connection is set by a Dialer that holds connections.
	Connection *fleet.Connection
	// Address is the address that was dialled for a target that has a name, before the
	// command is sent; nil if the target has an address, or is reached through a jump host
	// or a proxy command.
	Address *netip.AddrPort
	// BecomeOutput is set by a Dialer that becomes another user, before done is called; see
	// fleet.Result. nil means none.
	BecomeOutput *string
	// Elsewhere is set, before the attempt ends, by a Dialer that has another process make the attempts:
	// its Attempt, Started, Took and AgentSignatures replace what was measured here, and the sizes of
	// its outputs are of what was not written to Stdout and Stderr. nil means that it was made here.
	Elsewhere *fleet.Result

	hostKeys HostKeys
	hostKey  xssh.PublicKey
	userKey  xssh.PublicKey
}

// Identified reports the host key that hostKeys.Check has accepted. Dialers call it before
// anything that depends on the key.
func (p *Progress) Identified(hostKeys HostKeys, key xssh.PublicKey) {
	p.hostKeys, p.hostKey = hostKeys, key
}

// LoggedIn reports the key with which the server has let us in. Dialers call it before Dial returns,
// unless it was let in without one, or by a key that the Dialer does not know.
func (p *Progress) LoggedIn(key xssh.PublicKey) { p.userKey = key }

// UserKey returns the key that LoggedIn has reported; nil: none.
func (p *Progress) UserKey() xssh.PublicKey { return p.userKey }

// SameHost takes over what Identified has reported for an earlier attempt on the connection.
func (p *Progress) SameHost(earlier *Progress) {
	p.hostKeys, p.hostKey = earlier.hostKeys, earlier.hostKey
}

// AllowSecret returns nil if the attempt's host has proven its identity by the rule of
// [PasswordGuard], so that a secret may be sent through the connection. It may be called once
// Dial has returned.
func (a *Attempt) AllowSecret() error {
	guard, ok := a.hostKeys.(PasswordGuard)
	if !ok || a.hostKey == nil {
		return errUnproven
	}
	return guard.AllowPassword(context.Background(), a.Target, a.hostKey) // Accepted has stored it
}

var errUnproven = errors.New("the password was not sent: nothing tells whether the host key is known")

// An Input is a command's standard input, for example a *strings.Reader or an
// *io.SectionReader on a file. It is safe for concurrent use, does not change, and its
// ReadAt does not block for long. An error of ReadAt ends the attempt without EOF.
type Input interface {
	io.ReaderAt
	Size() int64
}

// A Stream is a command's standard input that becomes available while the command runs. The
// client calls its methods, one at a time, after the server has accepted the command.
type Stream interface {
	// Next reads into p what is available now, from offset at on, and does not block. at is
	// how much was sent before, so that it never falls; p may be empty. It returns 0 and no
	// error while there is nothing more, and io.EOF if nothing follows what it returns. Any
	// other error ends the attempt.
	Next(p []byte, at int64) (n int, err error)
	// Notify is called once, before Next. wake must be called whenever Next may return more
	// than before. It may be called from any goroutine, also within Notify and writes to
	// Stdout and Stderr, and does nothing once the attempt has ended.
	Notify(wake func())
}

// HasInput reports whether the command has a standard input, perhaps an empty Stream.
func (a *Attempt) HasInput() bool { return a.Stream != nil || a.InputSize() > 0 }

// InputSize returns the number of bytes of Input.
func (a *Attempt) InputSize() int64 {
	if a.Input == nil {
		return 0
	}
	return max(a.Input.Size(), 0)
}

// InputFailed returns the failure of an attempt whose Input could not be read.
func (a *Attempt) InputFailed(err error) *fleet.Error {
	return a.Fail(a.Execution.Failed(), fleet.ReasonInternal, fmt.Errorf("reading the command's standard input: %w", err))
}

// Intend calls Intent, if not nil, and classifies its error. It must be called
// before each Execution.Queue, and may be called long before; until then further
// calls do nothing. After Execution.Withdraw it fails.
func (a *Attempt) Intend() *fleet.Error {
	stopped, err := a.Execution.intend(a.Intent)
	switch {
	case stopped != nil:
		return a.Fail(a.Execution.Interrupted(), fleet.ReasonInterrupted, stopped)
	case err != nil:
		if f, ok := errors.AsType[*fleet.Error](err); ok { // package persist's: the run's own reason
			return a.Fail(a.Execution.Failed(), f.Reason, f.Err)
		}
		return a.Fail(a.Execution.Failed(), fleet.ReasonStoreFailed,
			fmt.Errorf("writing down that the command is about to be sent: %w", err))
	}
	return nil
}

// Exec returns the text of the exec request (RFC 4254 §6.5).
func (a *Attempt) Exec() string {
	if a.Line != "" {
		return a.Line
	}
	return a.Target.Command
}

// Fail returns err as the attempt's failure in the current phase.
func (a *Attempt) Fail(o fleet.Outcome, r fleet.Reason, err error) *fleet.Error {
	return a.FailIn(a.Timeline.Phase(), o, r, err)
}

// FailIn returns err as the attempt's failure in phase p.
func (a *Attempt) FailIn(p fleet.Phase, o fleet.Outcome, r fleet.Reason, err error) *fleet.Error {
	return &fleet.Error{Host: a.Target.Host.String(), Outcome: o, Phase: p, Reason: r, Err: err}
}

// A Network opens the byte stream to a target. It is safe for concurrent use.
// Package internal/ssh/tcp has the default one.
type Network interface {
	// Open advances the attempt's timeline through resolve and dial. It returns at its
	// deadline, and immediately when ctx ends. Every error is a *fleet.Error.
	Open(ctx context.Context, a *Attempt) (net.Conn, error)
}

// HostKeys checks host keys. Implementations are safe for concurrent use; package
// internal/ssh/hostkeys has them.
type HostKeys interface {
	// Algorithms returns the host-key algorithms to offer to this target, best first,
	// so that the server presents a known key. Empty means no preference.
	Algorithms(t Target) []string
	// Check returns nil for a trusted key. Every error refuses it; a *fleet.Error in
	// its chain has the reason, otherwise the reason is fleet.ReasonHostkeyFailed.
	Check(t Target, remote net.Addr, key xssh.PublicKey) error
	// Accepted is called when the target with this key has authenticated us. A policy
	// that learns keys stores the key here; an error means that it could not, or not before
	// ctx ended, which is that of authentication.
	Accepted(ctx context.Context, t Target, key xssh.PublicKey) error
}

// A KeyReleaser is a HostKeys that is notified of connections whose key passed
// Check and that ended before Accepted: such a key has proven nothing. Released is
// called once for each Check that returned nil and is not followed by an Accepted
// that returned nil.
type KeyReleaser interface {
	Released(t Target, key xssh.PublicKey)
}

// ReleaseKey calls h.Released if h is a KeyReleaser and key is not nil.
func ReleaseKey(h HostKeys, t Target, key xssh.PublicKey) {
	if r, ok := h.(KeyReleaser); ok && key != nil {
		r.Released(t, key)
	}
}

// Identities returns the keys to offer. Implementations are safe for concurrent
// use; package internal/ssh/auth has them.
type Identities interface {
	// Signers returns the keys to offer to this target, best first. An error ends the
	// attempt in phase auth; a *fleet.Error in its chain has the reason, otherwise the
	// reason is fleet.ReasonAgentUnavailable.
	Signers(ctx context.Context, t Target) ([]xssh.Signer, error)
}

// Passwords answers servers that ask for a password. Implementations are safe for
// concurrent use; package internal/ssh/auth has one. Dialers call it after trying
// all keys, and only if [AllowPassword] returns nil.
//
// ctx is that of one connection: it ends at the deadline of authentication, and at
// the latest when the connection attempt returns. answered reports whether the
// server accepted the secret; if it was not called when ctx ends, the secret counts
// as unanswered. answered is nil if err is not.
type Passwords interface {
	// Password returns the password for this target; the caller overwrites it. An
	// error ends the attempt in phase auth; a *fleet.Error in its chain has the
	// reason, otherwise the reason is fleet.ReasonAuthFailed.
	Password(ctx context.Context, t fleet.Target) (password []byte, answered func(accepted bool), err error)
	// Answer answers one prompt of keyboard-interactive authentication (RFC 4256).
	// prompt is the server's text; echo means that typed text would be shown. An error
	// means that this prompt gets no answer.
	Answer(ctx context.Context, t fleet.Target, prompt string, echo bool) (answer []byte, answered func(accepted bool), err error)
}

// A PasswordGuard is a HostKeys that decides which hosts may get a password: a
// policy may trust a key enough to send it signatures, which are worthless
// elsewhere, but not enough to send it a secret.
type PasswordGuard interface {
	// AllowPassword returns nil if the target has proven its identity: known_hosts has
	// the key that Check accepted, or the CA of its certificate, or the key is stored
	// there now, before ctx has ended. An error says why not.
	AllowPassword(ctx context.Context, t Target, key xssh.PublicKey) error
}

var errNoPassword = errors.New("ssh_config allows no password for this host")

// AllowPassword returns nil if t with this key, which keys.Check has accepted, may
// get a password. A HostKeys that is not a [PasswordGuard] allows none.
func AllowPassword(ctx context.Context, keys HostKeys, t Target, key xssh.PublicKey) error {
	if t.Endpoint != nil && t.Endpoint.Settings != nil && !t.Endpoint.Settings.Password {
		return errNoPassword
	}
	guard, ok := keys.(PasswordGuard)
	if !ok {
		return errUnproven
	}
	return guard.AllowPassword(ctx, t, key)
}

// A KeyProver is a PasswordGuard that tells what AllowPassword would say, without storing a key for it.
type KeyProver interface {
	Proven(t Target, key xssh.PublicKey) bool
}

// Proven reports whether t with this key, which keys.Check has accepted, has proven its
// identity. It does so by the rule of [PasswordGuard], whether or not t takes passwords. A key is
// stored for it only by keys that are no [KeyProver].
func Proven(keys HostKeys, t Target, key xssh.PublicKey) bool {
	if p, ok := keys.(KeyProver); ok {
		return p.Proven(t, key)
	}
	guard, ok := keys.(PasswordGuard)
	return ok && guard.AllowPassword(context.Background(), t, key) == nil
}

// Timeouts are the time limits of an attempt. Each starts with its phase, and no
// byte from the peer extends it.
type Timeouts struct {
	Connect time.Duration // from the name look-up to the end of authentication; 0 means no limit
	Dial    time.Duration // name look-up and TCP connect; 0 means 10 s
	Kex     time.Duration // version line, key exchange and host key; 0 means 15 s
	Auth    time.Duration // user authentication; 0 means 30 s
	Session time.Duration // opening the channel and the answer to exec; 0 means 15 s
	Command time.Duration // from the answer to exec to TERM (see TermGrace); 0 means no limit
	Drain   time.Duration // from the exit status to the channel's close; 0 means 5 s

	// Alive is the time without a message from the server, while its command runs,
	// after which a keepalive is sent; after MaxSilent keepalives without an answer
	// the server counts as vanished. 0 means 15 s; negative disables keepalives.
	Alive time.Duration
	// AliveMax replaces MaxSilent; 0 means MaxSilent, negative means none.
	AliveMax int
}

// ErrConnectTimeout is in the chain of a failure caused by Timeouts.Connect or
// Settings.Connect: the target has used up all its time.
var ErrConnectTimeout = errors.New("connect timeout")

// TermGrace is the time that a command has to end after TERM (RFC 4254 §6.9), which
// is sent when the command timeout has passed.
const TermGrace = time.Second

// Validate returns an error for negative durations.
func (t Timeouts) Validate() error {
	for _, d := range []time.Duration{t.Connect, t.Dial, t.Kex, t.Auth, t.Session, t.Command, t.Drain} {
		if d < 0 {
			return fmt.Errorf("a timeout of %v is negative; 0 means the default", d)
		}
	}
	return nil
}

// For returns the timeouts of one attempt: t with the attempt's Limit, and with the
// target's own settings where these apply.
func (t Timeouts) For(a *Attempt) Timeouts {
	if a.Limit != 0 {
		t.Command = max(a.Limit, 0)
	}
	own := a.Target.Settings()
	if t.Connect == 0 {
		t.Connect = own.Connect
	}
	if own.Alive > 0 {
		t.Alive = own.Alive
	}
	if own.AliveMax != 0 {
		t.AliveMax = own.AliveMax
	}
	return t
}

// WithDefaults returns t with every 0 that means a default replaced.
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
