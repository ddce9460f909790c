package hosts

import "shoal/fleet"

// exclusions are the hosts to leave out. In their keys "" and 0 stand for any
// user and any port.
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

// add takes a host once, however often it is written.
func (e *exclusions) add(h fleet.Host) {
	k := key{user: h.User, name: canonical(h.Name), port: h.Port}
	if e.byKey[k] == nil {
		x := &exclusion{host: h}
		e.byKey[k] = x
		e.order = append(e.order, x)
	}
}

// match says whether an entry is left out, and marks all exclusions that meant
// it.
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

// idle gives the exclusions that met no host.
func (e *exclusions) idle() sample {
	var idle sample
	for _, x := range e.order {
		if !x.used {
			idle.add(x.host)
		}
	}
	return idle
}
