package config

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// Route resolves a host and its jump hosts, in the order of connecting; the host itself is
// last. As in ssh, each jump host is resolved with its own part of the configuration and
// without -o options, and the first jump host with its own ProxyJump, if it has one. Loops and
// routes of more than 16 jump hosts are errors.
func (c *Config) Route(ctx context.Context, host string, o Options) ([]*Resolved, error) {
	target, err := c.Resolve(ctx, host, o)
	if err != nil {
		return nil, err
	}
	route := []*Resolved{target}
	for jumps := target.Jumps; len(jumps) > 0; {
		if len(route) > maxJumps {
			return nil, fmt.Errorf("resolving %.80q: more than %d jump hosts", host, maxJumps)
		}
		last := jumps[len(jumps)-1]
		hop, err := c.hop(ctx, last, jumps[:len(jumps)-1])
		if err != nil {
			return nil, fmt.Errorf("resolving %.80q: jump host: %w", host, err)
		}
		same := func(r *Resolved) bool { return r.HostName == hop.HostName && r.Port == hop.Port && r.User == hop.User }
		if slices.ContainsFunc(route, same) {
			return nil, fmt.Errorf("resolving %.80q: jump host loop by way of %.80q", host, last)
		}
		route = append(route, hop)
		jumps = hop.Jumps
	}
	slices.Reverse(route)
	return route, nil
}

// hop resolves a jump host that is reached through the ones in before.
func (c *Config) hop(ctx context.Context, j Jump, before []Jump) (*Resolved, error) {
	texts := make([]string, len(before))
	for i, b := range before {
		texts[i] = b.String()
	}
	return c.resolveHop(ctx, j, strings.Join(texts, ","))
}

// Hop resolves a jump host as Route does, but without jump hosts of its own.
func (c *Config) Hop(ctx context.Context, j Jump) (*Resolved, error) {
	return c.resolveHop(ctx, j, "none")
}

func (c *Config) resolveHop(ctx context.Context, j Jump, before string) (*Resolved, error) {
	o := Options{User: j.User, Port: j.Port, Jump: before}
	r, err := c.resolve(ctx, j.Host, &o, false)
	if err == nil {
		err = r.refusedAsHop()
	}
	if err != nil {
		return nil, fmt.Errorf("resolving %.80q: %w", j.Host, err)
	}
	return r, nil
}

// refusedAsHop is refused for a jump host, on which no command runs: keywords about what runs
// there do not matter.
func (r *Resolved) refusedAsHop() error {
	err := r.refused(false)
	if p, ok := errors.AsType[*Problem](err); ok && (p.Keyword == "remotecommand" || p.Keyword == "sessiontype") {
		return nil
	}
	return err
}
