package hosts

import (
	"fmt"
	"strconv"

	"shoal/fleet"
	"shoal/hosts/internal/ordered"
	"shoal/hosts/internal/problem"
)

// jsonLine reads {"host": …} with "user", "port", "address", "identity_file" and
// "groups"; every other key is an attribute.
func (l *loader) jsonLine(at place, line string, add func(found)) {
	n, fault := ordered.JSON([]byte(line))
	if fault != nil {
		l.failed(at, line, fault)
		return
	}
	f, err := l.jsonEntry(n)
	if err != nil {
		l.failed(at, line, err)
		return
	}
	if !l.count(at, line, 1) {
		return
	}
	f.at, f.section = at, l.group
	if l.group != "" {
		l.universe.AddGroup(l.group, f.host.Name)
	}
	for _, group := range f.facts.groups {
		l.universe.AddGroup(group, f.host.Name)
	}
	add(f)
}

func (l *loader) jsonEntry(n *ordered.Node) (found, error) {
	f := found{facts: new(facts)}
	if n.Field("host") == nil {
		return f, &fault{`no "host"`, `write {"host": "node1"}`}
	}
	for key, value := range n.Fields() {
		if value.Kind == ordered.Null {
			continue
		}
		if err := f.setJSON(key.Text, value); err != nil {
			return f, err
		}
	}
	if f.host.Name == "" {
		return f, &fault{`"host" is null`, `write {"host": "node1"}`}
	}
	return f, nil
}

func (f *found) setJSON(name string, n *ordered.Node) error {
	if name == "groups" {
		return f.setGroups(n)
	}
	if !n.IsScalar() {
		return problem.Faultf("write text, a number, true or false", "%q is %v", problem.Bounded(name), n.Kind)
	}
	switch name {
	case "host":
		h, err := ParseHost(n.Text)
		if err != nil {
			return err
		}
		return joinHost(&f.host, h)
	case "user":
		if err := CheckUser(n.Text); err != nil {
			return err
		}
		return joinHost(&f.host, fleet.Host{User: n.Text})
	case "port":
		port, err := parsePort(n.Text)
		if err != nil {
			return err
		}
		return joinHost(&f.host, fleet.Host{Port: port})
	case "address":
		f.facts.address = n.Text
		return checkAddressee(n.Text)
	case "identity_file":
		f.facts.identity = n.Text
		return checkIdentity(n.Text)
	}
	return f.facts.set(name, n.Text)
}

// setGroups sets the groups from a list of names.
func (f *found) setGroups(n *ordered.Node) error {
	const hint = `write "groups": ["web", "eu"]`
	if n.Kind != ordered.List {
		return problem.Faultf(hint, `"groups" is %v`, n.Kind)
	}
	for _, item := range n.Items {
		if item.Kind != ordered.Text || !header.MatchString("["+item.Text+"]") {
			return problem.Faultf(hint, "%q is not the name of a group", problem.Bounded(item.Text))
		}
		f.facts.groups = append(f.facts.groups, item.Text)
	}
	return nil
}

// joinHost merges part into h; it is an error if they contradict each other.
func joinHost(h *fleet.Host, part fleet.Host) error {
	if h.User != "" && part.User != "" && h.User != part.User {
		return &fault{fmt.Sprintf("user is %q and %q", h.User, part.User), "write it once"}
	}
	if h.Port != 0 && part.Port != 0 && h.Port != part.Port {
		return &fault{"port is " + strconv.Itoa(int(h.Port)) + " and " + strconv.Itoa(int(part.Port)), "write it once"}
	}
	if part.Name != "" {
		h.Name = part.Name
	}
	if part.User != "" {
		h.User = part.User
	}
	if part.Port != 0 {
		h.Port = part.Port
	}
	return nil
}
