package identity

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"sync"

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
	// Prompts are the keyboard-interactive prompts that the password answers.
	// Empty means those that end in "password:" or "password for NAME:", in
	// upper or lower case, and do not speak of a new, old or one-time one.
	Prompts []*regexp.Regexp
}

// Validate says what is wrong with the options.
func (o PasswordOptions) Validate() error {
	if o.Source == nil {
		return errors.New("there is no source for the password")
	}
	if o.MaxRejections < 0 {
		return errors.New("the number of rejections is negative")
	}
	return nil
}

const defaultMaxRejections = 3

// Passwords gives one password to many servers, with care: each gets it once,
// and until the first accepts it no more than MaxRejections have it at a time or
// have rejected it. It implements the seam by which a Dialer asks:
//
//	Password(ctx context.Context, t fleet.Target) ([]byte, error)
//	Answer(ctx context.Context, t fleet.Target, prompt string, echo bool) ([]byte, error)
//	Answered(t fleet.Target, accepted bool)
//
// A Dialer calls Password or Answer only after the host key was found to be
// trusted, sends what it gives, overwrites it and tells the outcome by Answered.
// It is safe for concurrent use.
type Passwords struct {
	opts   PasswordOptions
	secret *lazy[Secret]

	mu       sync.Mutex
	accounts map[account]state
	rejected int  // counts until one accepts
	accepted bool // some server took it
	out      int  // given, outcome not known; counts until one accepts
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
	fresh   state = iota // the password was not given
	given                // it was, the outcome is not known
	refused              // it was rejected, or the outcome never came
	taken                // it was accepted
)

// NewPasswords asks nobody yet.
func NewPasswords(o PasswordOptions) (*Passwords, error) {
	if err := o.Validate(); err != nil {
		return nil, err
	}
	if o.MaxRejections == 0 {
		o.MaxRejections = defaultMaxRejections
	}
	return &Passwords{
		opts:     o,
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
// the attempt's: a password whose outcome is not told before ctx ends counts as
// rejected. Until some server has accepted the password it waits for the
// outcomes of others. The error is a *fleet.Error with fleet.ReasonAuthFailed
// when this server had its one attempt or too many have said no, and with
// fleet.ReasonNoIdentity when the source gave none; it is that of ctx when ctx
// ends first.
func (p *Passwords) Password(ctx context.Context, t fleet.Target) ([]byte, error) {
	secret, err := p.load(ctx)
	if err != nil && ctx.Err() == nil {
		return nil, fail(t, fleet.ReasonNoIdentity, err)
	}
	if err == nil {
		err = p.admit(ctx, t)
	}
	if err != nil {
		return nil, err
	}
	return secret.Reveal(), nil
}

// Answer gives the password as the answer to the only prompt of a
// keyboard-interactive request (RFC 4256 §3.2). A prompt that shows what is
// typed, or that is not in the list, gets none: the error is a *fleet.Error with
// fleet.ReasonAuthFailed. A request with several prompts is not to be answered
// at all, one with none needs no answer.
func (p *Passwords) Answer(ctx context.Context, t fleet.Target, prompt string, echo bool) ([]byte, error) {
	switch {
	case echo:
		return nil, fail(t, fleet.ReasonAuthFailed,
			fmt.Errorf("the server asks %.64q and would show the answer, so that it gets no password", prompt))
	case !allowedPrompt(prompt, p.opts.Prompts):
		return nil, fail(t, fleet.ReasonAuthFailed,
			fmt.Errorf("the server asks %.64q, which the password does not answer", prompt))
	}
	return p.Password(ctx, t)
}

// Answered tells what the server said to the password. For one that was not
// given it tells nothing.
func (p *Passwords) Answered(t fleet.Target, accepted bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	a := accountOf(t)
	switch {
	case p.accounts[a] == given:
		p.settle(a, accepted)
	case p.accounts[a] == taken && !accepted:
		p.accounts[a] = refused
	}
}

// forget settles what nobody has told of: servers count what they do not answer.
func (p *Passwords) forget(a account) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.accounts[a] == given {
		p.settle(a, false)
	}
}

// settle wants the lock held.
func (p *Passwords) settle(a account, accepted bool) {
	p.out--
	if accepted {
		p.accounts[a], p.accepted, p.rejected = taken, true, 0
	} else {
		p.accounts[a] = refused
		p.rejected++
	}
	close(p.changed)
	p.changed = make(chan struct{})
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

// admit waits until the password may be given to t and takes note of it.
func (p *Passwords) admit(ctx context.Context, t fleet.Target) error {
	for {
		changed, err := p.try(ctx, t)
		if changed == nil {
			return err
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return fmt.Errorf("waiting until a server accepts the password: %w", context.Cause(ctx))
		}
	}
}

// try gives a channel to wait for when it is too early to tell.
func (p *Passwords) try(ctx context.Context, t fleet.Target) (wait <-chan struct{}, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	a := accountOf(t)
	switch {
	case p.accounts[a] == taken:
		return nil, nil
	case p.accounts[a] != fresh:
		return nil, fail(t, fleet.ReasonAuthFailed, errOnce)
	case p.accepted:
	case p.rejected >= p.opts.MaxRejections:
		return nil, fail(t, fleet.ReasonAuthFailed, fmt.Errorf("the password was rejected by %d servers and accepted by none, "+
			"so that no other gets it: accounts could be locked\nhint: check the password and the login name", p.rejected))
	case p.rejected+p.out >= p.opts.MaxRejections:
		return p.changed, nil
	default:
		// The end of the attempt is the last moment to hear of it.
		context.AfterFunc(ctx, func() { p.forget(a) })
	}
	p.accounts[a] = given
	p.out++
	return nil, nil
}

var errOnce = errors.New("the password was sent to this server once already; each gets one attempt")
