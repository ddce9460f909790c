package plan

import (
	"context"
	"fmt"
	"slices"

	"shoal/fleet"
	"shoal/hosts"
	"shoal/internal/ssh"
	"shoal/internal/ssh/config"
)

// Listed returns what the inventory knew of targets when an earlier run recorded them,
// for Options.Entry.
func Listed(targets []fleet.Target) func(fleet.Target) hosts.Entry {
	entries := make(map[int]hosts.Entry)
	for _, t := range targets {
		if r := t.Route; r != nil && (r.Listed != "" || r.KeyFile != "" || r.Options != nil) {
			entries[t.Index] = hosts.Entry{Address: r.Listed, IdentityFile: r.KeyFile, SSHOptions: r.Options}
		}
	}
	return func(t fleet.Target) hosts.Entry { return entries[t.Index] }
}

// keep returns the planned endpoint with the address, alias, jump hosts and proxy command
// of an earlier run.
func (p *Planner) keep(ctx context.Context, planned *ssh.Endpoint, earlier *fleet.Route) *ssh.Endpoint {
	switch {
	case planned.Err != nil: // it must not replace what is recorded
		failed := *planned
		failed.Route = *earlier
		return &failed
	case earlier.Unresolved || sameWay(&planned.Route, earlier):
		return planned
	}
	p.tell("ssh_config or the inventory has another way to some of the targets now; they are reached as the run reached them")
	kept := *planned
	kept.Address, kept.HostKeyAlias, kept.ProxyCommand = earlier.Address, earlier.HostKeyAlias, earlier.ProxyCommand
	kept.Jump, kept.Via = nil, nil
	if s := *kept.Settings; s.Program.ControlPath != "" { // it leads where ssh_config leads now
		s.Program.ControlPath = ""
		kept.Settings = p.shareSettings(&s)
	}
	if earlier.Via != nil {
		hop := p.keepJump(ctx, earlier.Via)
		kept.Jump, kept.Via, kept.Err = hop, &hop.Target, hop.Err()
	}
	return p.shareEndpoint(&kept)
}

// keepJump plans a jump host of an earlier run and the jump hosts before it.
func (p *Planner) keepJump(ctx context.Context, t *fleet.Target) *ssh.Target {
	earlier := t.Route
	if earlier == nil {
		earlier = &fleet.Route{}
	}
	r, err := p.opts.Config.Hop(ctx, config.Jump{User: t.User, Host: t.Host.Name, Port: t.Port})
	if err != nil {
		hop := Refuse(ssh.Target{Target: *t}, fmt.Errorf("ssh_config: jump host: %w", err))
		return &hop
	}
	p.tellTrust(r)
	e := p.keep(ctx, p.endpoint(r, t.Host.Name, hosts.Entry{}, nil, NoProgram), earlier)
	return p.shareJump(e.Target(*t))
}

// sameWay reports whether two routes have the same address, alias, jump hosts and proxy
// command.
func sameWay(a, b *fleet.Route) bool {
	return a.Address == b.Address && a.HostKeyAlias == b.HostKeyAlias &&
		slices.Equal(a.ProxyCommand, b.ProxyCommand) && sameJump(a.Via, b.Via)
}

func sameJump(a, b *fleet.Target) bool {
	if a == nil || b == nil {
		return a == b
	}
	ra, rb := a.Route, b.Route
	if ra == nil {
		ra = &fleet.Route{}
	}
	if rb == nil {
		rb = &fleet.Route{}
	}
	return a.Host == b.Host && a.User == b.User && a.Port == b.Port && (ra.Unresolved || rb.Unresolved || sameWay(ra, rb))
}
