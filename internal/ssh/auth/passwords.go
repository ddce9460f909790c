package auth

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"sync"
	"time"

	"shoal/fleet"
	"shoal/internal/hint"
	"shoal/internal/ui"
)

// PasswordOptions configure where the password comes from and how often it may be tried.
type PasswordOptions struct {
	// Source returns the password; it is called once per run. Required.
	Source Source
	// MaxRejections is how many servers may reject the password before any has accepted it;
	// after that it is sent to no further server, so that a mistyped password does not lock the
	// account everywhere. 0 means 3.
	MaxRejections int
	// MaxUnanswered is the same limit for servers that reject the password or give no answer:
	// they close the connection, stop responding or ask for a new password. A right password
	// may cause that (the account has expired on some hosts), and a wrong one may be counted by
	// the server nevertheless, so the limit is higher than MaxRejections. 0 means 10.
	MaxUnanswered int
	// AnswerTime is how long to wait for a server's answer before the next server may get the
	// password, as if the first had not answered; a later answer still counts. 0 means 5 s:
	// most servers take 2 to 3 s to reject a password.
	AnswerTime time.Duration
	// Prompts match the keyboard-interactive prompts that the password answers. Empty means
	// prompts that end in "password:" or "password for NAME:", in upper or lower case, and do
	// not mention a new, old or one-time password.
	Prompts []*regexp.Regexp
}

// Validate returns an error if the options are invalid.
func (o PasswordOptions) Validate() error {
	switch {
	case o.Source == nil:
		return errors.New("there is no source for the password")
	case o.MaxRejections < 0, o.MaxUnanswered < 0:
		return errors.New("the number of rejections is negative")
	case o.AnswerTime < 0:
		return errors.New("the time for an answer is negative")
	}
	return nil
}

const (
	defaultMaxRejections = 3
	defaultMaxUnanswered = 10
	defaultAnswerTime    = 5 * time.Second
)

func (o PasswordOptions) withDefaults() PasswordOptions {
	if o.MaxRejections == 0 {
		o.MaxRejections = defaultMaxRejections
	}
	if o.MaxUnanswered == 0 {
		o.MaxUnanswered = max(defaultMaxUnanswered, o.MaxRejections)
	}
	if o.AnswerTime == 0 {
		o.AnswerTime = defaultAnswerTime
	}
	return o
}

// Passwords hands out one password to many servers with care: each server gets it once. Until
// the first server accepts it, at most MaxRejections servers have it outstanding or have
// rejected it, and at most MaxUnanswered have had it at all. It implements ssh.Passwords, which
// Dialers use.
//
// Each password given out is a separate loan. It ends when the Dialer reports the server's
// answer, otherwise with its context, so that a server that closes, breaks the protocol or does
// not respond does not block others.
//
// A Dialer calls Password or Answer only after the host key was verified, sends the result and
// overwrites it. Passwords is safe for concurrent use.
type Passwords struct {
	opts   PasswordOptions
	secret *lazy[Secret]

	mu         sync.Mutex
	accounts   map[account]state
	accepted   bool // a server accepted it; the counts below no longer matter
	rejected   int
	unanswered int
	out        int // loans that wait for the answer
	// changed is closed and replaced whenever a field above changes.
	changed chan struct{}
}

// An account is the unit that failed logins are counted against.
type account struct {
	user, address string
	way           string // jump hosts and proxy command: behind others, a private address is another server's
}

func accountOf(t fleet.Target) account {
	a := account{user: t.User, address: t.Address()}
	for route := t.Route; route != nil; route = route.Via.Route {
		if route.Via == nil {
			if len(route.ProxyCommand) > 0 {
				a.way += fmt.Sprintf("%q", route.ProxyCommand)
			}
			break
		}
		a.way += route.Via.Address() + " "
	}
	return a
}

// A state is the password's state for an account.
type state uint8

const (
	fresh state = iota // the password was not given out
	lent               // it was given out, and the answer may still come
	spent              // it was given out and not accepted
	lost               // it was given out, and the connection ended before the answer
	taken              // it was accepted
)

// NewPasswords returns Passwords for the options. It does not call the Source yet.
func NewPasswords(o PasswordOptions) (*Passwords, error) {
	if err := o.Validate(); err != nil {
		return nil, err
	}
	return &Passwords{
		opts:     o.withDefaults(),
		secret:   newLazy[Secret](),
		accounts: make(map[account]state),
		changed:  make(chan struct{}),
	}, nil
}

// NewBecomePasswords returns Passwords for becoming another user on hosts within limit. If
// first is set, no second host gets the password before one has accepted it, unless the
// connection to the first was lost; and a rejection by it is the last.
func NewBecomePasswords(source Source, first bool, limit time.Duration) (*Passwords, error) {
	o := PasswordOptions{Source: source, AnswerTime: 2 * limit} // the host's end comes before
	if first {
		o.MaxRejections, o.MaxUnanswered = 1, 3
	}
	return NewPasswords(o)
}

// Prepare gets the password from its source now, so that nobody is asked during the run.
func (p *Passwords) Prepare(ctx context.Context) error {
	_, err := p.load(ctx)
	return err
}

func (p *Passwords) load(ctx context.Context) (Secret, error) {
	secret, err := p.secret.get(ctx, func() (Secret, error) { return p.opts.Source.secret(ctx) })
	if err == nil && secret.Empty() {
		err = errWiped
	}
	if err != nil {
		return Secret{}, fmt.Errorf("getting the password: %w", err)
	}
	return secret, nil
}

// Password returns the password for t, as a copy that the caller overwrites. ctx must end with
// the connection: if answered was not called before ctx ends, the password counts as
// unanswered. Until a server has accepted the password, Password may wait for the answers of
// other servers, and while another connection waits for the answer of this server, for that.
//
// The error is a *fleet.Error: with fleet.ReasonAuthFailed if this server had its one attempt
// or too many servers have not accepted the password, with fleet.ReasonNoIdentity if the source
// failed. If ctx ends first, it is the error of ctx.
func (p *Passwords) Password(ctx context.Context, t fleet.Target) (password []byte, answered func(accepted bool), err error) {
	secret, err := p.load(ctx)
	if err != nil && ctx.Err() == nil {
		return nil, nil, fail(t, fleet.ReasonNoIdentity, err)
	}
	if err != nil {
		return nil, nil, err
	}
	l, err := p.admit(ctx, t)
	if err != nil {
		return nil, nil, err
	}
	return secret.Reveal(), l.answered, nil
}

// Answer returns the password as the answer to the only prompt of a keyboard-interactive
// request (RFC 4256 §3.2), like Password. For a prompt that echoes the input, or is not in the
// list, it returns a *fleet.Error with fleet.ReasonAuthFailed. The caller must not answer a
// request with several prompts; one with none needs no answer.
func (p *Passwords) Answer(
	ctx context.Context, t fleet.Target, prompt string, echo bool,
) (answer []byte, answered func(accepted bool), err error) {
	switch {
	case echo:
		return nil, nil, fail(t, fleet.ReasonAuthFailed,
			fmt.Errorf("the server asks %.64q and would show the answer, so that it gets no password", prompt))
	case !allowedPrompt(prompt, p.opts.Prompts):
		return nil, nil, fail(t, fleet.ReasonAuthFailed,
			fmt.Errorf("the server asks %.64q, which the password does not answer", prompt))
	}
	return p.Password(ctx, t)
}

// Renew lets the servers that gave no answer have the password once more: a new run begins, in
// which the connection may last. What has rejected it does not get it again, and the limits go on.
func (p *Passwords) Renew() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for a, s := range p.accounts {
		if s == lost {
			delete(p.accounts, a)
		}
	}
}

// Wipe overwrites the password; it is no longer handed out. Call it after the run.
func (p *Passwords) Wipe() {
	secret, err := p.secret.get(context.Background(), func() (Secret, error) { return Secret{}, errWiped })
	if err == nil {
		secret.Wipe()
	}
}

var errWiped = errors.New("the password was overwritten already")

// admit waits until the password may be given to t.
func (p *Passwords) admit(ctx context.Context, t fleet.Target) (*loan, error) {
	for {
		l, wait, err := p.try(ctx, t)
		if wait == nil {
			return l, err
		}
		select {
		case <-wait:
		case <-ctx.Done():
			return nil, fmt.Errorf("waiting until a server accepts the password: %w", context.Cause(ctx))
		}
	}
}

// try returns a channel to wait for if it cannot be decided yet.
func (p *Passwords) try(ctx context.Context, t fleet.Target) (l *loan, wait <-chan struct{}, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	a := accountOf(t)
	count := p.rejected + p.unanswered
	switch {
	case ctx.Err() != nil:
		return nil, nil, fmt.Errorf("waiting for the password: %w", context.Cause(ctx))
	case p.accounts[a] == taken:
	case p.accounts[a] == lent: // also after AnswerTime: the answer decides
		return nil, p.changed, nil
	case p.accounts[a] == spent, p.accounts[a] == lost:
		return nil, nil, fail(t, fleet.ReasonAuthFailed, errOnce)
	case p.accepted:
	case p.rejected >= p.opts.MaxRejections, count >= p.opts.MaxUnanswered:
		return nil, nil, fail(t, fleet.ReasonAuthFailed, p.stoppedLocked())
	case p.rejected+p.out >= p.opts.MaxRejections, count+p.out >= p.opts.MaxUnanswered:
		return nil, p.changed, nil
	}
	return p.lendLocked(ctx, a), nil, nil
}

var errOnce = errors.New("the password was sent to this server once already; each gets one attempt")

// stoppedLocked returns why no further server gets the password. p.mu must be held.
func (p *Passwords) stoppedLocked() error {
	silent := ""
	if p.unanswered > 0 {
		silent = fmt.Sprintf(", left without an answer by %d", p.unanswered)
	}
	return hint.Wrap(fmt.Errorf("the password was rejected by %s%s and accepted by none, "+
		"so that no other gets it: accounts could be locked", ui.CountOf(p.rejected, "server", "servers"), silent),
		"check the password and the login name")
}
