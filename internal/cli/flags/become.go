package flags

import (
	"context"
	"errors"
	"fmt"
	"time"

	"shoal/internal/cli/console"
	"shoal/internal/hint"
	"shoal/internal/remote"
	"shoal/internal/remote/become"
	"shoal/internal/ssh"
	"shoal/internal/ssh/auth"
)

// BecomeFlags are the flags for becoming another user.
type BecomeFlags struct {
	on, askPass, first   bool
	direct               bool
	user, becomePassFile string
	method               Choice
	limit                time.Duration
}

// Become returns the flags as a group.
func (f *BecomeFlags) Become() FlagGroup {
	g := NewGroup("Becoming another user")
	g.BoolVar(&f.on, "become", false, "run as another user, by sudo without a password unless another flag is given")
	g.StringVar(&f.user, "become-user", "root", "become `USER`")
	f.method = Choice{Value: string(remote.Sudo), Words: []string{string(remote.Sudo), string(remote.Doas), string(remote.Su)}}
	g.Var(&f.method, "become-method", "become it by `WAY`: sudo, doas or su")
	g.BoolVar(&f.direct, "become-direct", false, "have sudo start the command's words themselves, for sudoers that allow certain commands only; no shell, wrapper or standard input then, and a status of 1 may be sudo's own")
	g.BoolVar(&f.askPass, "ask-become-pass", false, "ask for the password for that once; it goes to hosts with a known key, once to each")
	g.StringVar(&f.becomePassFile, "become-password-file", "", "read that password from `FILE`")
	g.BoolVar(&f.first, "become-first", true, "let one host accept the password before it goes to others, so that a wrong one locks no accounts; =false lets three try")
	f.limit = become.DefaultTimeout
	g.Var((*Seconds)(&f.limit), "become-timeout", "to become it, and again from the password on")
	return g
}

// BecomeStdin reports whether the password is read from standard input.
func (f *BecomeFlags) BecomeStdin() bool { return f.on && IsStdin(f.becomePassFile) }

// BecomeOptions returns whom commands run as, without the password; nil means the account.
// given reports which flags were given.
func (f *BecomeFlags) BecomeOptions(given func(name string) bool) (*become.Options, error) {
	if !f.on {
		for _, name := range []string{"become-user", "become-method", "become-direct", "ask-become-pass", "become-password-file", "become-first", "become-timeout"} {
			if given(name) {
				return nil, hint.Wrap(fmt.Errorf("--%s has no effect without --become", name), "add --become")
			}
		}
		return nil, nil
	}
	switch {
	case f.askPass && f.becomePassFile != "":
		return nil, errors.New("--ask-become-pass and --become-password-file cannot go together")
	case f.direct && f.method.Value != string(remote.Sudo):
		return nil, hint.New("--become-direct is for sudo: doas and su do not tell whether they allow a command", "leave it out")
	case f.limit <= 0:
		return nil, errors.New("--become-timeout has to be positive")
	case !f.hasPassword() && given("become-first"):
		return nil, hint.New("--become-first is about a password, and none is given", "--ask-become-pass asks for one")
	}
	o := &become.Options{Method: remote.Method(f.method.Value), User: f.user, Timeout: f.limit, Direct: f.direct}
	if f.hasPassword() {
		o.Passwords = unread{}
	}
	return o, o.Validate()
}

func (f *BecomeFlags) hasPassword() bool { return f.askPass || f.becomePassFile != "" }

// ReadBecomePassword gets the password for o, if there is to be one.
func (f *BecomeFlags) ReadBecomePassword(ctx context.Context, o *become.Options) error {
	if o == nil || !f.hasPassword() {
		return nil
	}
	source := auth.FromFile(f.becomePassFile)
	if f.askPass {
		source = console.AskBecomePassword(f.method.Value, f.user)
	}
	p, err := auth.NewBecomePasswords(source, f.first, o.Timeout)
	if err != nil {
		return err
	}
	if err := p.Prepare(ctx); err != nil {
		return err // it says what was asked for
	}
	o.Passwords = p
	return nil
}

// unread stands for a password that is still to be read.
type unread struct{ ssh.Passwords }
