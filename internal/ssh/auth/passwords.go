package auth

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"sync"
	"time"

	"shoal/fleet"
)

// PasswordOptions say where the password comes from and how it is spent.
type PasswordOptions struct {
	// Source gives the password; it is called once in a run. Required.
	Source Source
	// MaxRejections is how many servers may reject the password in a row, before
	// any has accepted it, until no other gets it, so that a mistyped password
	// does not lock the account everywhere; 0 means 3.
	MaxRejections int
	// MaxUnanswered is the same for servers that reject the password or do not
	// say what they think of it: they close the connection, fall silent or ask for
	// a new password. A right password may meet that (an account that has expired
	// on some hosts), and a wrong one may be counted all the same, so that it is
	// more than MaxRejections, and not without end; 0 means 10.
	MaxUnanswered int
	// AnswerTime is how long a server may think until the next gets the password,
	// as if it had not answered; what it says later still counts. 0 means 5 s: a
	// wrong password takes most servers 2 to 3 s.
	AnswerTime time.Duration
	// Prompts are the keyboard-interactive prompts that the password answers.
	// Empty means those that end in "password:" or "password for NAME:", in
	// upper or lower case, and do not speak of a new, old or one-time one.
	Prompts []*regexp.Regexp
}

// Validate says what is wrong with the options.
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

// Passwords gives one password to many servers, with care: each gets it once, and
// until the first accepts it, no more than MaxRejections have it at a time or have
// rejected it, and no more than MaxUnanswered have had it at all. It implements
// the seam by which a Dialer asks (ssh.Passwords).
//
// Every password that is given out is a loan of its own. It ends when the Dialer
// tells what the server answered, and otherwise with the context that it was
// given for, so that a server which closes, breaks the protocol or says nothing
// takes no place from others.
//
// A Dialer calls Password or Answer only after the host key was found to be
// known, sends what it gets and overwrites it. Passwords is safe for concurrent
// use.
type Passwords struct {
	opts   PasswordOptions
	secret *lazy[Secret]

	mu         sync.Mutex
	accounts   map[account]state
	accepted   bool // some server took it; the counts below matter no more
	rejected   int
	unanswered int
	out        int // loans whose answer is waited for
	// changed is closed and replaced whenever one of the above changes.
	changed chan struct{}
}

// An account is what a wrong password is counted against.
type account struct {
	user, address string
}

func accountOf(t fleet.Target) account { return account{t.User, t.Address()} }

// A state is how far an account is.
type state uint8

const (
	fresh state = iota // the password was not given
	spent              // it was, and was not accepted
	taken              // it was accepted
)

// NewPasswords asks nobody yet.
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

// Prepare gets the password from its source now, so that nobody is asked when
// the run is under way.
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

// Password gives the password for t, a copy for the caller to overwrite. ctx is
// that of the connection, and has to end with it: a password whose answer was not
// told by answered when ctx ends counts as unanswered. Until some server has
// accepted the password, Password waits for the answers of others.
//
// The error is a *fleet.Error with fleet.ReasonAuthFailed when this server had its
// one attempt or too many have not accepted the password, and with
// fleet.ReasonNoIdentity when the source gave none; it is that of ctx when ctx
// ends first.
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

// Answer gives the password as the answer to the only prompt of a
// keyboard-interactive request (RFC 4256 §3.2), as Password does. A prompt that
// shows what is typed, or that is not in the list, gets none: the error is a
// *fleet.Error with fleet.ReasonAuthFailed. A request with several prompts is not
// to be answered at all, one with none needs no answer.
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

// Wipe overwrites the password. Nobody gets it from then on. It is for after the
// run.
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

// try gives a channel to wait for when it is too early to tell.
func (p *Passwords) try(ctx context.Context, t fleet.Target) (l *loan, wait <-chan struct{}, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	a := accountOf(t)
	count := p.rejected + p.unanswered
	switch {
	case ctx.Err() != nil:
		return nil, nil, fmt.Errorf("waiting for the password: %w", context.Cause(ctx))
	case p.accounts[a] == taken:
	case p.accounts[a] != fresh:
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

// stoppedLocked says why no other server gets the password. p.mu must be held.
func (p *Passwords) stoppedLocked() error {
	silent := ""
	if p.unanswered > 0 {
		silent = fmt.Sprintf(", left without an answer by %d", p.unanswered)
	}
	return fmt.Errorf("the password was rejected by %d servers%s and accepted by none, "+
		"so that no other gets it: accounts could be locked\nhint: check the password and the login name", p.rejected, silent)
}
