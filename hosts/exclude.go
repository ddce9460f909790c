package hosts

import "shoal/fleet"

// exclusions are the hosts to exclude. In their keys "" and 0 mean any user and any
// port.
type exclusions struct {
	byKey map[key]*exclusion
	order []*exclusion
}

type exclusion struct {
	host fleet.Host
	used bool
}

func newExclusions() *exclusions {
	return &exclusions{byKey: make(map[key]*exclusion)}
}

// add adds a host unless it is there already.
func (e *exclusions) add(h fleet.Host) {
	k := key{user: h.User, name: canonical(h.Name), port: h.Port}
	if e.byKey[k] == nil {
		x := &exclusion{host: h}
		e.byKey[k] = x
		e.order = append(e.order, x)
	}
}

// match reports whether an entry is excluded, and marks all exclusions that match it.
func (e *exclusions) match(k key) bool {
	if len(e.byKey) == 0 {
		return false
	}
	matched := false
	for _, meant := range [...]key{
		{user: k.user, name: k.name, port: k.port},
		{user: k.user, name: k.name},
		{name: k.name, port: k.port},
		{name: k.name},
	} {
		if x := e.byKey[meant]; x != nil {
			x.used, matched = true, true
		}
	}
	return matched
}

// idle returns the exclusions that matched no host.
func (e *exclusions) idle() sample {
	var idle sample
	for _, x := range e.order {
		if !x.used {
			idle.add(x.host)
		}
	}
	return idle
}
