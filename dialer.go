package shoal

import (
	"context"
	"errors"
	"fmt"

	"shoal/fleet"
	"shoal/internal/plan"
	"shoal/internal/ssh"
	"shoal/internal/ssh/auth"
	"shoal/internal/ssh/client"
	"shoal/internal/ssh/hostcache"
	"shoal/internal/ssh/hostkeys"
	"shoal/internal/ssh/tunnel"
	"shoal/internal/ssh/xcrypto"
)

// OpenDialer returns the Dialer that Run would use, for planned targets. It reads
// the files that Options name and asks for the passphrases that Preview's targets
// need. Call it to share a Dialer between runs, or to prompt before a run: set
// Options.Dialer to it, and call closer after the last run.
func (o Options) OpenDialer(ctx context.Context) (d ssh.Dialer, closer func(), err error) {
	if o.Dialer != nil {
		return o.Dialer, func() {}, nil
	}
	keys := hostkeys.NewRouter(hostkeys.Options{Alias: plan.Alias}, plan.Trust)
	keyring, err := auth.NewKeyring(auth.KeyringOptions{Passphrase: o.Passphrase, MaxKeys: o.MaxKeys})
	if err != nil {
		return nil, nil, fmt.Errorf("loading identities: %w", err)
	}
	if err := o.prepare(ctx, keys, keyring); err != nil {
		_ = keyring.Close()
		return nil, nil, err
	}
	o.tell(keys, keyring)
	d, closeDialer, err := o.dialer(keys, auth.Router{Keyring: keyring, Want: plan.Want})
	if err != nil {
		_ = keyring.Close()
		return nil, nil, err
	}
	return d, func() {
		if err := closeDialer(); err != nil {
			o.notice(err.Error())
		}
		_ = keyring.Close()
	}, nil
}

// dialer returns the client that Options.Client names. Connections to jump hosts
// always use package internal/ssh/client.
func (o Options) dialer(keys ssh.HostKeys, identities ssh.Identities) (ssh.Dialer, func() error, error) {
	clock := o.Engine.Clock
	network := tunnel.New(tunnel.Options{Direct: o.Network, Timeouts: o.Timeouts, Clock: clock})
	std, err := xcrypto.New(xcrypto.Options{
		HostKeys: keys, Identities: identities, Passwords: o.passwords(), Timeouts: o.Timeouts, Clock: clock, Network: network,
	})
	if err != nil {
		return nil, nil, err
	}
	memory := o.memory()
	fast, err := client.New(client.Options{
		HostKeys:   keys,
		Identities: identities,
		Passwords:  o.passwords(),
		Timeouts:   o.Timeouts,
		Clock:      clock,
		Pipeline:   o.Pipeline,
		Classical:  o.Classical,
		Memory:     memory,
		Network:    network,
		Fallback:   std,
		Trace:      o.Trace,
	})
	if err != nil {
		return nil, nil, err
	}
	network.Use(fast)
	closer := func() error { return errors.Join(fast.Close(), network.Close(), memory.Close()) }
	if o.Client == ClientStandard {
		return std, closer, nil
	}
	return fast, closer, nil
}

// passwords returns o.Passwords restricted to hosts for which ssh_config allows
// them.
func (o Options) passwords() ssh.Passwords {
	if o.Passwords == nil {
		return nil
	}
	return allowedPasswords{o.Passwords}
}

type allowedPasswords struct{ ssh.Passwords }

func (p allowedPasswords) Password(ctx context.Context, t fleet.Target) ([]byte, func(accepted bool), error) {
	if !plan.TakesPassword(t) {
		return nil, nil, errNoPassword
	}
	return p.Passwords.Password(ctx, t)
}

func (p allowedPasswords) Answer(
	ctx context.Context, t fleet.Target, prompt string, echo bool,
) ([]byte, func(accepted bool), error) {
	if !plan.TakesPassword(t) {
		return nil, nil, errNoPassword
	}
	return p.Passwords.Answer(ctx, t, prompt, echo)
}

var errNoPassword = errors.New("ssh_config allows no password for this host")

// memory opens the host cache. On failure it sends a notice and returns nil: the
// run works without it.
func (o Options) memory() *hostcache.Cache {
	if o.StateDir == "" {
		return nil
	}
	m, err := hostcache.Open(o.StateDir, hostcache.Options{})
	if err != nil {
		o.notice(fmt.Sprintf("%v; this run goes on without it", err))
	}
	return m
}

func (o Options) notice(text string) {
	if o.Notice != nil {
		o.Notice(text)
	}
}

// tell passes problems of known_hosts and of the identities to Notice.
func (o Options) tell(keys *hostkeys.Router, keyring *auth.Keyring) {
	for _, p := range keys.Problems() {
		o.notice(p.Error())
	}
	for _, n := range keyring.Notices() {
		o.notice(n)
	}
}
