package cluster

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"shoal/fleet"
	"shoal/internal/hint"
	"shoal/internal/remote"
	"shoal/internal/remote/become"
	"shoal/internal/ssh"
)

// A Become is the user as whom a worker runs a command. A password for that is the worker's own.
type Become struct {
	Method  remote.Method `json:"method,omitempty"`
	User    string        `json:"user,omitempty"`
	Direct  bool          `json:"direct,omitempty"`
	Timeout time.Duration `json:"timeout,omitempty"`
}

func (b Become) options(passwords ssh.Passwords) become.Options {
	return become.Options{Method: b.Method, User: b.User, Direct: b.Direct, Timeout: b.Timeout, Passwords: passwords}
}

func (b Become) validate() error {
	if err := b.options(nil).Validate(); err != nil {
		return fmt.Errorf("a shard with a user to become: %w", err)
	}
	return nil
}

// Become returns a Dialer whose commands workers run as the user that o names: only they can have a
// password for it.
func (c *Coordinator) Become(o become.Options) ssh.Dialer { return becoming{c, o} }

// Become is that of a Coordinator.
func (a *Asker) Become(o become.Options) ssh.Dialer { return becoming{a, o} }

type becoming struct {
	ssh.Dialer
	o become.Options
}

// Dial implements ssh.Dialer.
func (b becoming) Dial(ctx context.Context, a *ssh.Attempt) (ssh.Conn, error) {
	if b.o.Passwords != nil {
		return nil, a.Fail(fleet.OutcomeNeverStarted, fleet.ReasonBadTarget,
			hint.New("no password goes through NATS", "shoal worker --become-password-file names the worker's own"))
	}
	conn, err := b.Dialer.Dial(ctx, a)
	if err != nil {
		return nil, err
	}
	conn.(*host).become = &Become{Method: b.o.Method, User: b.o.User, Direct: b.o.Direct, Timeout: b.o.Timeout}
	return conn, nil
}

// becomers are the Dialers of a session for each user that its commands become.
type becomers struct {
	mu      sync.Mutex
	dialers map[Become]ssh.Dialer
	// passwords is the session's, so that one host of the run has to accept it before others get it.
	passwords ssh.Passwords
	read      bool
	err       error // why there is none although there should be
}

// dialer returns the Dialer for a user through inner. limit is that for becoming it.
func (b *becomers) dialer(w *Worker, user Become, inner ssh.Dialer) (ssh.Dialer, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if !b.read && w.BecomePasswords != nil {
		b.passwords, b.err = w.BecomePasswords(cmp.Or(user.Timeout, become.DefaultTimeout))
	}
	b.read = true
	if b.err != nil {
		return nil, b.err
	}
	if d := b.dialers[user]; d != nil {
		return d, nil
	}
	d, err := become.New(inner, user.options(b.passwords))
	if err != nil {
		return nil, err
	}
	if b.dialers == nil {
		b.dialers = make(map[Become]ssh.Dialer)
	}
	b.dialers[user] = d
	return d, nil
}

var errBecome = errors.New("the worker cannot become another user")
