package plan

import (
	"strconv"

	"shoal/fleet"
)

// A key identifies equal routes or details. Strings are encoded with their length, so that
// the encoding is unambiguous.
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

func (d *detail) key() key {
	k := make(key, 0, 512)
	k = k.list(d.want.Files).list(d.want.Certificates).flag(d.want.Defaults).text(d.want.AgentSocket).flag(d.want.Only).flag(d.want.NoPassphrase).flag(d.want.SHA1)
	k = k.list(d.files).list(d.revoked).list(d.authorities).number(int64(d.policy)).number(int64(d.rsaBits))
	return k.flag(d.hashed).flag(d.password)
}

// maxShared is the maximum number of shared values kept.
const maxShared = 4096

// shareDetail returns the same pointer for equal details, and sets its number.
func (p *Planner) shareDetail(d *detail) *detail {
	k := d.key()
	p.mu.Lock()
	defer p.mu.Unlock()
	if known := p.details[string(k)]; known != nil {
		return known
	}
	if len(p.details) >= maxShared {
		clear(p.details)
	}
	p.numbered++
	d.number = p.numbered
	p.details[string(k)] = d
	return d
}

// shareRoute returns the same pointer for equal routes, so that ten thousand targets with
// equal routes need only one. It does not share routes with jump hosts.
func (p *Planner) shareRoute(r *fleet.Route, d *detail) *fleet.Route {
	if r.Err != nil || r.Via != nil {
		return r
	}
	k := make(key, 0, 256).number(int64(d.number)).text(r.Address).text(r.HostKeyAlias).list(r.ProxyCommand)
	k = k.text(r.Family).text(r.Bind).text(r.BindInterface).number(int64(r.Connect)).number(int64(r.Alive))
	k = k.number(int64(r.Attempts)).number(int64(r.AliveMax)).flag(r.KeepAlive).number(int64(r.RekeyAfter))
	k = k.list(r.Kex).list(r.HostKeys).list(r.Ciphers).list(r.MACs).flag(r.HostKeysFixed)
	k = k.list(r.Methods).list(r.UserKeys).number(int64(r.RekeyBytes)).list(r.Env).text(r.Listed).text(r.KeyFile)
	p.mu.Lock()
	defer p.mu.Unlock()
	if known := p.routes[string(k)]; known != nil {
		return known
	}
	if len(p.routes) >= maxShared {
		clear(p.routes)
	}
	p.routes[string(k)] = r
	return r
}
