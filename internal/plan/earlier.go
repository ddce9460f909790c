package plan

import (
	"context"
	"fmt"
	"slices"

	"shoal/fleet"
	"shoal/hosts"
	"shoal/internal/ssh/config"
)

// keep returns the planned route with the address, alias, jump hosts and proxy command of
// an earlier run.
func (p *Planner) keep(ctx context.Context, planned, earlier *fleet.Route) *fleet.Route {
	if planned.Err != nil || sameWay(planned, earlier) {
		return planned
	}
	p.tell("ssh_config or the inventory has another way to some of the targets now; they are reached as the run reached them")
	via, err := p.keepJump(ctx, earlier.Via)
	d, _ := planned.Detail.(*detail)
	route := *planned
	route.Address, route.HostKeyAlias = earlier.Address, earlier.HostKeyAlias
	route.Via, route.ProxyCommand, route.Err = via, earlier.ProxyCommand, err
	return p.shareRoute(&route, d)
}

// keepJump plans a jump host of an earlier run and the jump hosts before it.
func (p *Planner) keepJump(ctx context.Context, t *fleet.Target) (*fleet.Target, error) {
	if t == nil {
		return nil, nil
	}
	earlier := t.Route
	if earlier == nil {
		earlier = &fleet.Route{}
	}
	hops, err := p.opts.Config.Route(ctx, t.Host.Name, config.Options{User: t.User, Port: t.Port, Jump: "none"})
	if err != nil {
		return nil, fmt.Errorf("reading ssh_config for the jump host %s: %w", t.Host, err)
	}
	hop := *t
	hop.Route = p.keep(ctx, p.route(hops[len(hops)-1], t.Host.Name, hosts.Entry{}, nil), earlier)
	return &hop, hop.Route.Err
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
	return a.Host == b.Host && a.User == b.User && a.Port == b.Port && sameWay(ra, rb)
}
