package connect

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"os"
	"slices"

	"shoal/internal/hint"
	"shoal/internal/ssh"
	"shoal/internal/ssh/auth"
	"shoal/internal/ssh/client"
	"shoal/internal/ssh/hostcache"
	"shoal/internal/ssh/hostkeys"
	"shoal/internal/ssh/openssh"
	"shoal/internal/ssh/tunnel"
	"shoal/internal/ssh/xcrypto"
)

// connections are a Dialer and what it needs.
type connections struct {
	dialer ssh.Dialer
	close  func()
}

// connect returns the Dialer for planned targets. It reads the known_hosts files and asks
// for the passphrases that the endpoints need; nil means only what Options name.
func (o Options) connect(ctx context.Context, endpoints iter.Seq[*ssh.Endpoint]) (*connections, error) {
	if o.Engine.Dialer != nil {
		return &connections{o.Engine.Dialer, func() {}}, nil
	}
	if o.Hold != nil {
		return o.Hold.connect(ctx, o, endpoints)
	}
	c, err := o.credentials(ctx, endpoints)
	if err != nil {
		return nil, err
	}
	known, err := c.prepare(ctx, o, endpoints)
	if err != nil {
		c.close()
		return nil, err
	}
	own, err := o.dialer(known, c.keyring, c.agents)
	if err != nil {
		_ = known.Close() // it was only read
		c.close()
		return nil, err
	}
	d, leave := own.Dialer, func() {}
	if o.Persist != nil {
		d, leave = o.Persist.before(ctx, o, d, known, c.keyring)
	}
	return &connections{d, func() {
		leave()
		if err := own.close(); err != nil {
			o.notice(err.Error())
		}
		_ = known.Close() // it was only read
		c.close()
	}}, nil
}

// credentials are what targets are authenticated with, and the agents for them.
type credentials struct {
	keyring *auth.Keyring
	agents  *auth.Forwarder
	told    int // of the keyring's notices
	// known has read the files of Options.KnownHosts; nil once prepare has returned it.
	known *hostkeys.Verifier
}

// credentials returns those that Options name.
func (o Options) credentials(ctx context.Context, endpoints iter.Seq[*ssh.Endpoint]) (*credentials, error) {
	keyring, err := auth.NewKeyring(auth.KeyringOptions{Passphrase: o.Passphrase, MaxKeys: o.MaxKeys})
	if err != nil {
		return nil, fmt.Errorf("loading identities: %w", err)
	}
	agents, err := auth.NewForwarder(o.Forwarding)
	if err != nil {
		_ = keyring.Close()
		return nil, err
	}
	c := &credentials{keyring: keyring, agents: agents, known: hostkeys.NewVerifier()}
	if err := o.checkNamed(ctx, keyring, c.known, batch(endpoints)); err != nil {
		c.close()
		return nil, err
	}
	return c, nil
}

// prepare loads what the endpoints need and returns their known hosts, whose Close is the
// caller's. It tells what is left out, once.
func (c *credentials) prepare(ctx context.Context, o Options, endpoints iter.Seq[*ssh.Endpoint]) (_ *hostkeys.Verifier, err error) {
	known := c.known
	if c.known = nil; known == nil {
		known = hostkeys.NewVerifier()
	}
	defer func() {
		if err != nil {
			_ = known.Close() // it was only read
		}
	}()
	if endpoints != nil {
		if err := prepare(ctx, endpoints, known, c.keyring); err != nil {
			return nil, err
		}
		if err := o.checkForwarded(ctx, endpoints, c.agents); err != nil {
			return nil, err
		}
	}
	for _, p := range known.Problems() {
		o.notice(p.Error())
	}
	notices := c.keyring.Notices()
	for _, n := range notices[c.told:] {
		o.notice(n)
	}
	c.told = len(notices)
	return known, nil
}

func (c *credentials) close() {
	_ = c.keyring.Close()
	_ = c.agents.Close()
	if c.known != nil {
		_ = c.known.Close()
	}
}

// checkForwarded returns an error if an agent that must be forwarded does not answer.
func (o Options) checkForwarded(ctx context.Context, endpoints iter.Seq[*ssh.Endpoint], agents *auth.Forwarder) error {
	seen := make(map[ssh.AgentSpec]bool)
	for e := range endpoints {
		if e.Err != nil || e.Settings.Agent == (ssh.AgentSpec{}) || seen[e.Settings.Agent] {
			continue
		}
		spec := e.Settings.Agent
		seen[spec] = true
		err := hint.New("there is no agent to forward", "start one, or have SSH_AUTH_SOCK name its socket")
		if spec.Socket != "" {
			err = agents.Check(ctx, spec.Socket)
		}
		switch {
		case err != nil && spec.Required:
			return err
		case err != nil:
			o.notice(err.Error())
		}
	}
	return nil
}

// prepare opens the known_hosts files of the endpoints and loads their keys.
func prepare(ctx context.Context, endpoints iter.Seq[*ssh.Endpoint], known *hostkeys.Verifier, keyring *auth.Keyring) error {
	seen := make(map[*ssh.Settings]bool)
	var specs []ssh.KeySpec
	for e := range endpoints {
		if e.Err != nil || seen[e.Settings] {
			continue
		}
		seen[e.Settings] = true
		specs = append(specs, e.Settings.Keys)
		if _, err := known.Store(ssh.Target{Endpoint: e}); err != nil {
			return fmt.Errorf("reading known_hosts: %w", err)
		}
	}
	return keyring.Prepare(ctx, slices.Values(specs))
}

// batch reports whether all endpoints that are offered key files have BatchMode; false
// without any.
func batch(endpoints iter.Seq[*ssh.Endpoint]) bool {
	if endpoints == nil {
		return false
	}
	found := false
	for e := range endpoints {
		if e.Err != nil || len(e.Settings.Keys.Files) == 0 {
			continue
		}
		if !e.Settings.Keys.NoPassphrase {
			return false
		}
		found = true
	}
	return found
}

// checkNamed returns an error if a key file or known_hosts file named in Options is
// unusable. batch says that an encrypted key file is left out.
func (o Options) checkNamed(ctx context.Context, keyring *auth.Keyring, known *hostkeys.Verifier, batch bool) error {
	if len(o.Identities) > 0 {
		set, err := keyring.Set(ctx, ssh.KeySpec{Files: o.Identities, AgentSocket: o.agentSocket(), NoPassphrase: batch})
		if err == nil {
			err = set.Unusable()
		}
		if err != nil {
			return fmt.Errorf("loading identities: %w", err)
		}
	}
	if o.KnownHosts != nil {
		if err := known.Read(o.KnownHosts...); err != nil {
			return fmt.Errorf("reading known_hosts: %w", err)
		}
		for _, path := range o.KnownHosts {
			if _, err := os.Stat(path); errors.Is(err, os.ErrNotExist) && (o.HostKeys == nil || *o.HostKeys == ssh.HostKeysStrict) {
				o.notice(fmt.Sprintf("the known_hosts file %q does not exist, so that it knows no host", path))
			}
		}
	}
	return nil
}

// agentSocket returns the agent's socket without regard to ssh_config.
func (o Options) agentSocket() string {
	switch o.Agent {
	case "":
		return os.Getenv("SSH_AUTH_SOCK")
	case NoAgent:
		return ""
	}
	return o.Agent
}

// A dialer is a client, with what it connects through.
type dialer struct {
	ssh.Dialer
	network *tunnel.Network
	close   func() error
}

// dialer returns the client that Options.Client names. Connections to jump hosts
// always use package internal/ssh/client.
func (o Options) dialer(keys ssh.HostKeys, identities ssh.Identities, agents ssh.Agents) (*dialer, error) {
	clock := o.Engine.Clock
	network := tunnel.New(tunnel.Options{Direct: o.Network, Timeouts: o.Timeouts, Clock: clock, Verbose: o.Engine.Verbose})
	std, err := xcrypto.New(xcrypto.Options{
		HostKeys: keys, Identities: identities, Passwords: o.Passwords, Agents: agents, Timeouts: o.Timeouts, Clock: clock, Network: network,
	})
	if err != nil {
		return nil, err
	}
	program, err := openssh.New(openssh.Options{
		HostKeys: keys, Identities: identities, Agents: agents, Timeouts: o.Timeouts, Clock: clock, Network: network,
	})
	if err != nil {
		return nil, err
	}
	memory := o.memory()
	fast, err := client.New(client.Options{
		HostKeys:   keys,
		Identities: identities,
		Passwords:  o.Passwords,
		Agents:     agents,
		Timeouts:   o.Timeouts,
		Clock:      clock,
		Pipeline:   o.Pipeline,
		Classical:  o.Classical,
		Memory:     memory,
		Network:    network,
		Fallback:   std,
		Program:    program,
		Trace:      o.Trace,
	})
	if err != nil {
		return nil, err
	}
	network.Use(fast)
	d := &dialer{fast, network, func() error { return errors.Join(fast.Close(), network.Close(), memory.Close(), program.Close()) }}
	switch o.Client {
	case ClientStandard:
		d.Dialer = std
	case ClientSSH:
		if err := program.Available(); err != nil {
			return nil, errors.Join(err, d.close())
		}
		d.Dialer = program
	}
	return d, nil
}

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
	if o.Engine.Notice != nil {
		o.Engine.Notice(text)
	}
}
