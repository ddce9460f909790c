package journal

import (
	"encoding/json"
	"fmt"

	"shoal/fleet"
)

// maxIndex bounds the index of a target and thereby the memory of a run: one bit per
// index.
const maxIndex = 1 << 30

// A bitset is a set of small non-negative integers. The zero value is empty.
type bitset []uint64

func (b *bitset) add(i int) {
	if need := i/64 + 1; need > len(*b) {
		*b = append(*b, make([]uint64, need-len(*b))...)
	}
	(*b)[i/64] |= 1 << (i % 64)
}

func (b bitset) has(i int) bool {
	return i >= 0 && i/64 < len(b) && b[i/64]&(1<<(i%64)) != 0
}

// routeJSON is the stored form of a fleet.Route. A jump host's target has no command, so
// none is stored.
type routeJSON struct {
	Address      string    `json:"address,omitempty"`
	HostKeyAlias string    `json:"host_key_alias,omitempty"`
	ProxyCommand [][]byte  `json:"proxy_command,omitempty"`
	Via          *jumpJSON `json:"via,omitempty"`
	Listed       string    `json:"listed,omitempty"`
	KeyFile      string    `json:"key_file,omitempty"`
	Options      [][]byte  `json:"options,omitempty"`
	Unresolved   bool      `json:"unresolved,omitempty"`
	Pool         string    `json:"pool,omitempty"`
}

type jumpJSON struct {
	Host     string     `json:"host"`
	HostUser string     `json:"host_user,omitempty"`
	HostPort uint16     `json:"host_port,omitempty"`
	User     string     `json:"user,omitempty"`
	Port     uint16     `json:"port,omitempty"`
	Route    *routeJSON `json:"route,omitempty"`
}

// maxJumps is the maximum length of a chain of jump hosts.
const maxJumps = 64

// encodeRoute returns the value of the column; nil for no route, which is unknown.
func encodeRoute(r *fleet.Route) (any, error) {
	if r == nil {
		return nil, nil
	}
	stored, err := storedRoute(r, maxJumps)
	if err != nil {
		return nil, err
	}
	text, err := json.Marshal(stored)
	return string(text), err
}

func storedRoute(r *fleet.Route, jumps int) (*routeJSON, error) {
	if r == nil {
		return nil, nil
	}
	if jumps == 0 {
		return nil, fmt.Errorf("more than %d jump hosts behind each other", maxJumps)
	}
	j := &routeJSON{Address: r.Address, HostKeyAlias: r.HostKeyAlias, Listed: r.Listed, KeyFile: r.KeyFile, Unresolved: r.Unresolved, Pool: r.Pool}
	for _, arg := range r.ProxyCommand {
		j.ProxyCommand = append(j.ProxyCommand, []byte(arg))
	}
	for _, option := range r.Options {
		j.Options = append(j.Options, []byte(option))
	}
	if via := r.Via; via != nil {
		route, err := storedRoute(via.Route, jumps-1)
		if err != nil {
			return nil, err
		}
		j.Via = &jumpJSON{via.Host.Name, via.Host.User, via.Host.Port, via.User, via.Port, route}
	}
	return j, nil
}

// decodeRoute is the inverse of encodeRoute.
func decodeRoute(text string) (*fleet.Route, error) {
	var j routeJSON
	if err := json.Unmarshal([]byte(text), &j); err != nil {
		return nil, fmt.Errorf("%w: a route: %w", ErrDamaged, err)
	}
	return j.route(), nil
}

func (j *routeJSON) route() *fleet.Route {
	if j == nil {
		return nil
	}
	r := &fleet.Route{Address: j.Address, HostKeyAlias: j.HostKeyAlias, Listed: j.Listed, KeyFile: j.KeyFile, Unresolved: j.Unresolved, Pool: j.Pool}
	for _, arg := range j.ProxyCommand {
		r.ProxyCommand = append(r.ProxyCommand, string(arg))
	}
	for _, option := range j.Options {
		r.Options = append(r.Options, string(option))
	}
	if v := j.Via; v != nil {
		r.Via = &fleet.Target{
			Host: fleet.Host{Name: v.Host, User: v.HostUser, Port: v.HostPort},
			User: v.User, Port: v.Port, Route: v.Route.route(),
		}
	}
	return r
}
