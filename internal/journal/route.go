package journal

import (
	"encoding/json"
	"fmt"

	"shoal/fleet"
)

// routeJSON is the stored form of a fleet.Route. A jump host's target has no command, so
// none is stored.
type routeJSON struct {
	Address      string    `json:"address,omitempty"`
	HostKeyAlias string    `json:"host_key_alias,omitempty"`
	ProxyCommand [][]byte  `json:"proxy_command,omitempty"`
	Via          *jumpJSON `json:"via,omitempty"`
	Listed       string    `json:"listed,omitempty"`
	KeyFile      string    `json:"key_file,omitempty"`
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

func encodeRoute(r *fleet.Route) (any, error) {
	if r == nil { // the route is unknown
		return nil, nil
	}
	shape, err := routeShape(r, maxJumps)
	if err != nil {
		return nil, err
	}
	text, err := json.Marshal(shape)
	return string(text), err
}

func routeShape(r *fleet.Route, jumps int) (*routeJSON, error) {
	if r == nil {
		return nil, nil
	}
	if jumps == 0 {
		return nil, fmt.Errorf("more than %d jump hosts behind each other", maxJumps)
	}
	j := &routeJSON{Address: r.Address, HostKeyAlias: r.HostKeyAlias, Listed: r.Listed, KeyFile: r.KeyFile}
	for _, arg := range r.ProxyCommand {
		j.ProxyCommand = append(j.ProxyCommand, []byte(arg))
	}
	if via := r.Via; via != nil {
		route, err := routeShape(via.Route, jumps-1)
		if err != nil {
			return nil, err
		}
		j.Via = &jumpJSON{via.Host.Name, via.Host.User, via.Host.Port, via.User, via.Port, route}
	}
	return j, nil
}

func decodeRoute(text string) (*fleet.Route, error) {
	var j routeJSON
	if err := json.Unmarshal([]byte(text), &j); err != nil {
		return nil, err
	}
	return j.route(), nil
}

func (j *routeJSON) route() *fleet.Route {
	if j == nil {
		return nil
	}
	r := &fleet.Route{Address: j.Address, HostKeyAlias: j.HostKeyAlias, Listed: j.Listed, KeyFile: j.KeyFile}
	for _, arg := range j.ProxyCommand {
		r.ProxyCommand = append(r.ProxyCommand, string(arg))
	}
	if v := j.Via; v != nil {
		r.Via = &fleet.Target{
			Host: fleet.Host{Name: v.Host, User: v.HostUser, Port: v.HostPort},
			User: v.User, Port: v.Port, Route: v.Route.route(),
		}
	}
	return r
}
