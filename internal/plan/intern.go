package plan

import (
	"fmt"
	"reflect"

	"shoal/fleet"
	"shoal/internal/ssh"
)

// An endpointKey identifies equal endpoints.
type endpointKey struct {
	user                                                   string
	port                                                   uint16
	address, alias, proxy, listed, identity, options, pool string
	settings                                               *ssh.Settings
	jump                                                   *ssh.Target
}

// A jumpKey identifies equal jump hosts.
type jumpKey struct {
	host     fleet.Host
	endpoint *ssh.Endpoint
}

// maxShared is the maximum number of shared values of each kind that are kept.
const maxShared = 4096

// A table shares equal values: ten thousand targets that are reached alike need one
// Endpoint.
type table[K comparable, V any] map[K]*V

// share returns the value that was first shared with this key.
func (t table[K, V]) share(k K, v *V) *V {
	if known := t[k]; known != nil {
		return known
	}
	if len(t) >= maxShared {
		clear(t)
	}
	t[k] = v
	return v
}

func (p *Planner) shareSettings(s *ssh.Settings) *ssh.Settings {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !reflect.DeepEqual(s, p.last) {
		p.last = p.settings.share(fmt.Sprintf("%#v", *s), s) // tells nil from empty
	}
	return p.last
}

// shareEndpoint shares e, unless it cannot be used.
func (p *Planner) shareEndpoint(e *ssh.Endpoint) *ssh.Endpoint {
	if e.Err != nil {
		return e
	}
	k := endpointKey{
		user: e.User, port: e.Port, address: e.Address, alias: e.HostKeyAlias, listed: e.Listed, identity: e.KeyFile, pool: e.Pool,
		settings: e.Settings, jump: e.Jump,
	}
	if len(e.ProxyCommand) > 0 {
		k.proxy = fmt.Sprintf("%q", e.ProxyCommand)
	}
	if len(e.Options) > 0 {
		k.options = fmt.Sprintf("%q", e.Options)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.endpoints.share(k, e)
}

func (p *Planner) shareJump(t ssh.Target) *ssh.Target {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.jumps.share(jumpKey{t.Host, t.Endpoint}, &t)
}
