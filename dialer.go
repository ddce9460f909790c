package shoal

import (
	"context"
	"errors"
	"fmt"

	"shoal/connect"
	"shoal/connect/express"
	"shoal/connect/recall"
	"shoal/connect/standard"
	"shoal/identity"
	"shoal/trust"
)

// OpenDialer reads known_hosts, loads the identities, asking for passphrases,
// and gives the Dialer that Run would use. Call it where several runs share one,
// or where questions have to come first: set Options.Dialer to it, and call
// closer after the last run.
func (o Options) OpenDialer(ctx context.Context) (d connect.Dialer, closer func(), err error) {
	if o.Dialer != nil {
		return o.Dialer, func() {}, nil
	}
	keys, err := trust.Open(trust.Options{Files: o.knownHosts(), Policy: o.HostKeys})
	if err != nil {
		return nil, nil, fmt.Errorf("reading known_hosts: %w", err)
	}
	identities, err := identity.Load(ctx, o.identities())
	if err != nil {
		return nil, nil, fmt.Errorf("loading identities: %w", err)
	}
	o.tell(keys, identities)
	d, closeDialer, err := o.dialer(keys, identities)
	if err != nil {
		_ = identities.Close()
		return nil, nil, err
	}
	return d, func() {
		if err := closeDialer(); err != nil {
			o.notice(err.Error())
		}
		_ = identities.Close()
	}, nil
}

// dialer makes the client that Options.Client names.
func (o Options) dialer(keys *trust.Store, identities *identity.Set) (connect.Dialer, func() error, error) {
	std, err := standard.New(standard.Options{
		HostKeys: keys, Identities: identities, Timeouts: o.Timeouts, Network: o.Network,
	})
	if err != nil {
		return nil, nil, err
	}
	if o.Client == ClientStandard {
		return std, func() error { return nil }, nil
	}
	memory := o.memory()
	fast, err := express.New(express.Options{
		HostKeys:   keys,
		Identities: identities,
		Timeouts:   o.Timeouts,
		Pipeline:   o.Pipeline,
		Classical:  o.Classical,
		Memory:     memory,
		Network:    o.Network,
		Fallback:   std,
		Trace:      o.Trace,
	})
	if err != nil {
		return nil, nil, err
	}
	return fast, func() error { return errors.Join(fast.Close(), memory.Close()) }, nil
}

// memory opens what is remembered of servers. A run goes on without it.
func (o Options) memory() *recall.Memory {
	if o.StateDir == "" {
		return nil
	}
	m, err := recall.Open(o.StateDir, recall.Options{})
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
