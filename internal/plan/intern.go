package plan

import (
	"fmt"
	"strconv"

	"shoal/fleet"
	"shoal/internal/ssh"
)

// A key identifies equal settings. Strings are encoded with their length, so that the
// encoding is unambiguous.
type key []byte

func (k key) text(s string) key {
	k = strconv.AppendInt(k, int64(len(s)), 10)
	return append(append(k, ':'), s...)
}

func (k key) list(texts []string) key {
	k = k.number(int64(len(texts)))
	if texts == nil {
		k = append(k, 'n')
	}
	for _, s := range texts {
		k = k.text(s)
	}
	return k
}

func (k key) number(n int64) key { return append(strconv.AppendInt(k, n, 10), ' ') }

func (k key) flag(set bool) key {
	if set {
		return append(k, 'y')
	}
	return append(k, '-')
}

func keyOf(s *ssh.Settings) key {
	k := make(key, 0, 768)
	k = k.text(s.Family).text(s.Bind).text(s.BindInterface).number(int64(s.Connect)).number(int64(s.Alive))
	k = k.list(s.Kex).list(s.HostKeys).list(s.Ciphers).list(s.MACs).flag(s.HostKeysFixed)
	k = k.list(s.UserKeys).number(int64(s.RekeyBytes)).list(s.Env)
	k = k.list(s.Keys.Files).list(s.Keys.Certificates).flag(s.Keys.Defaults).text(s.Keys.AgentSocket).flag(s.Keys.Only)
	k = k.list(s.Known.Files).list(s.Known.Revoked).number(int64(s.Known.Policy)).number(int64(s.Known.RSABits))
	return k.flag(s.Known.HashNames).flag(s.Password)
}

// An endpointKey identifies equal endpoints.
type endpointKey struct {
	user                                    string
	port                                    uint16
	address, alias, proxy, listed, identity, options string
	settings                                *ssh.Settings
	jump                                    *ssh.Target
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
	k := keyOf(s)
	p.mu.Lock()
	defer p.mu.Unlock()
	if known := p.settings[string(k)]; known != nil { // without allocating the key
		return known
	}
	return p.settings.share(string(k), s)
}

// shareEndpoint shares e, unless it cannot be used.
func (p *Planner) shareEndpoint(e *ssh.Endpoint) *ssh.Endpoint {
	if e.Err != nil {
		return e
	}
	k := endpointKey{
		user: e.User, port: e.Port, address: e.Address, alias: e.HostKeyAlias, listed: e.Listed, identity: e.KeyFile,
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
