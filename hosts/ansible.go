package hosts

import (
	"fmt"
	"slices"
	"strings"

	"shoal/fleet"
	"shoal/hosts/ansible"
	"shoal/hosts/internal/ordered"
	"shoal/hosts/internal/problem"
)

// ansibles holds what the Ansible inventories of a run know about hosts.
type ansibles struct {
	inv *ansible.Inventory
	// byName has the hosts by their names, regardless of case.
	byName map[string]*ansible.Host
	// unused counts hosts by the unsupported connection variable that they set.
	unused map[string]int
	judged map[*ansible.Host]*found
	// options are the ssh options by the values of argsVars.
	options map[[3]string][]string
	told    map[string]ansible.Value // of the host that is being judged
}

func newAnsibles(inv *ansible.Inventory) *ansibles {
	a := &ansibles{
		inv: inv, byName: make(map[string]*ansible.Host, inv.Len()),
		unused: make(map[string]int), judged: make(map[*ansible.Host]*found),
		told: make(map[string]ansible.Value), options: make(map[[3]string][]string),
	}
	for _, h := range inv.Hosts() {
		a.byName[canonical(h.Name)] = h
	}
	for _, h := range inv.Hosts() { // user@host is reached as host too
		if _, name, found := strings.Cut(h.Name, "@"); found && a.byName[canonical(name)] == nil {
			a.byName[canonical(name)] = h
		}
	}
	return a
}

// The variables that determine how a host is reached, the older name last: it takes
// precedence if both are set, as in Ansible (plugins/connection/ssh.py).
var (
	addressVars  = []string{"ansible_host", "ansible_ssh_host"}
	portVars     = []string{"ansible_port", "ansible_ssh_port"}
	userVars     = []string{"ansible_user", "ansible_ssh_user"}
	identityVars = []string{"ansible_private_key_file", "ansible_ssh_private_key_file"}
)

// sshConnections are the values of ansible_connection that mean SSH.
var sshConnections = []string{"", "ssh", "smart", "openssh", "paramiko", "paramiko_ssh", "ansible.builtin.ssh", "ansible.builtin.paramiko_ssh"}

// unusedVars change how Ansible runs a command; shoal has options of its own for them.
var unusedVars = []string{"ansible_become"}

// isPassword reports whether a variable holds a secret. Secrets never become attributes,
// because attributes appear in commands and records.
func isPassword(name string) bool {
	return strings.HasPrefix(name, "ansible_") &&
		(strings.HasSuffix(name, "_pass") || strings.HasSuffix(name, "_password") || strings.HasSuffix(name, "_passphrase"))
}

// judge converts a host to an entry, once; the error is the reason why it cannot be used.
func (a *ansibles) judge(h *ansible.Host) (*found, error) {
	if f := a.judged[h]; f != nil {
		return f, nil
	}
	f := &found{at: place{h.Source, h.Line}, facts: new(facts), known: true}
	parsed, err := ParseHost(h.Name)
	if err != nil {
		return nil, err
	}
	if parsed.Port != 0 {
		return nil, &fault{"a port in an inventory's host name", "write ansible_port"}
	}
	f.host = parsed
	told := a.told
	clear(told)
	short, _, _ := strings.Cut(h.Name, ".")
	told["inventory_hostname"] = ansible.Value{Text: h.Name, Kind: ordered.Text}
	told["inventory_hostname_short"] = ansible.Value{Text: short, Kind: ordered.Text}
	for name, v := range a.inv.Vars(h) {
		told[name] = v
		if v.Kind == ordered.Null || v.Kind == ordered.Secret {
			continue
		}
		if isPassword(name) {
			a.unused[name]++
			continue
		}
		f.facts.attrs = append(f.facts.attrs, attribute{name, v.Text})
	}
	for _, name := range unusedVars {
		if v := told[name]; v.Text != "" {
			a.unused[name]++
		}
	}
	if err := f.reach(told); err != nil {
		return nil, err
	}
	if f.facts.options, err = a.args(told); err != nil {
		return nil, err
	}
	a.judged[h] = f
	return f, nil
}

// reach sets address, user, port and key from a host's variables.
func (f *found) reach(told map[string]ansible.Value) error {
	connection, err := pickVar(told, "ansible_connection")
	if err != nil {
		return err
	}
	if !slices.Contains(sshConnections, connection) {
		return &fault{fmt.Sprintf("its ansible_connection is %q, not SSH", problem.Bounded(connection)), "leave it out with -x or !"}
	}
	if f.facts.address, err = pickVar(told, addressVars...); err != nil {
		return err
	}
	if f.facts.address == f.host.Name {
		f.facts.address = ""
	}
	if f.facts.address != "" {
		if err := checkAddressee(f.facts.address); err != nil {
			return err
		}
	}
	if f.facts.identity, err = pickVar(told, identityVars...); err != nil {
		return err
	}
	if err := checkIdentity(f.facts.identity); err != nil {
		return err
	}
	user, err := pickVar(told, userVars...)
	if err != nil {
		return err
	}
	if user != "" {
		if err := CheckUser(user); err != nil {
			return err
		}
		f.host.User = user
	}
	port, err := pickVar(told, portVars...)
	if err != nil || port == "" {
		return err
	}
	f.host.Port, err = parsePort(port)
	return err
}

// pickVar returns the value of the last of the names that is set, "" if none is.
func pickVar(told map[string]ansible.Value, names ...string) (string, error) {
	for _, name := range slices.Backward(names) {
		v, there := told[name]
		if !there || v.Kind == ordered.Null {
			continue
		}
		if v.Kind == ordered.Secret {
			return "", &fault{name + " is encrypted", "write it in plain text"}
		}
		if v.Kind == ordered.List || v.Kind == ordered.Map {
			return "", &fault{fmt.Sprintf("%s is %v", name, v.Kind), "write one value"}
		}
		text, err := expand(told, v.Text)
		if err != nil {
			return "", fmt.Errorf("%s: %w", name, err)
		}
		return text, nil
	}
	return "", nil
}

// host returns the host of the inventories that an entry names; nil: there is none.
func (a *ansibles) host(h fleet.Host) *ansible.Host {
	if known := a.byName[canonical(h.User+"@"+h.Name)]; known != nil {
		return known
	}
	return a.byName[canonical(h.Name)]
}

// about returns what the inventories know of the host that an entry names. What the entry
// itself says takes precedence.
func (a *ansibles) about(h fleet.Host) (f *found, err error) {
	known := a.host(h)
	switch {
	case known == nil:
		return nil, nil //nolint:nilnil // unknown is no error
	case known == a.byName[canonical(h.User+"@"+h.Name)]:
		h.User = "" // it belongs to the inventory's name
	}
	judged, err := a.judge(known)
	if err != nil {
		return nil, err
	}
	copied := *judged
	copied.host.Name = h.Name
	if h.User != "" {
		copied.host.User = h.User
	}
	if h.Port != 0 {
		copied.host.Port = h.Port
	}
	return &copied, nil
}

func (a *ansibles) notices() []string {
	notices := slices.Clone(a.inv.Notices)
	names := make([]string, 0, len(a.unused))
	for name := range a.unused {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		notices = append(notices, fmt.Sprintf("%s of %s not used", name, plural(a.unused[name], "host", "hosts")))
	}
	return notices
}
