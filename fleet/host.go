package fleet

import (
	"net"
	"strconv"
	"strings"
)

// DefaultPort is the SSH port (RFC 4251 §9.3 and IANA). A port of 0 means it.
const DefaultPort = 22

// A Host is a machine as named in the inventory. The zero value names no host.
// Hosts are comparable.
type Host struct {
	// Name is the DNS name or IP address as the user wrote it, without brackets and
	// port. known_hosts is searched for this name, not for the address it resolves to.
	Name string
	// Port is the TCP port; 0 means that none was given.
	Port uint16
	// User is the login name; "" means that none was given.
	User string
}

// String returns the shortest text that parses back to h: user and port only if
// they were given, an IPv6 address in brackets if a port follows.
func (h Host) String() string {
	if h.User == "" && h.Port == 0 {
		return h.Name
	}
	var b strings.Builder
	if h.User != "" {
		b.WriteString(h.User)
		b.WriteByte('@')
	}
	if h.Port == 0 {
		b.WriteString(h.Name)
	} else {
		b.WriteString(net.JoinHostPort(h.Name, strconv.Itoa(int(h.Port))))
	}
	return b.String()
}

// Attrs are a host's attributes by name, such as env=prod.
type Attrs interface {
	// Attr returns the value of an attribute; ok is false if the host lacks it.
	Attr(name string) (value string, ok bool)
}

// A Target is a host in a run. The same host may be several targets, each with
// an Index of its own.
type Target struct {
	// Host is the inventory's entry, and the name shown to people.
	Host Host
	// Index is the position in the run's input, from 0.
	Index int
	// User is the login name to use. "" means Host.User or else the run's default; a
	// Dialer always gets it filled in.
	User string
	// Port is the TCP port to use. 0 means Host.Port or else DefaultPort; a Dialer
	// always gets it filled in.
	Port uint16
	// Attrs are the host's attributes; nil means none.
	Attrs Attrs
	// Route is how the target is reached; nil means directly, by its name.
	Route *Route
	// Command is the command to run, with its placeholders replaced. It is set before
	// the connection starts so that a Dialer can send it early.
	Command string
}

// Address returns the host and port to dial, an IPv6 address in brackets.
func (t Target) Address() string {
	port := t.Port
	if port == 0 {
		port = t.Host.Port
	}
	if port == 0 {
		port = DefaultPort
	}
	return net.JoinHostPort(t.Dialled(), strconv.Itoa(int(port)))
}

// Dialled returns the name or address to dial.
func (t Target) Dialled() string {
	if t.Route != nil && t.Route.Address != "" {
		return t.Route.Address
	}
	return t.Host.Name
}

// A Route is what is recorded of the way to a target that is not reached simply by
// its name, so that it can be reached in the same way again. Many targets may share
// one; it must not change once a run has begun.
type Route struct {
	// Address is the name or IP address to dial, without port; "" means Host.Name. As
	// in ssh, known_hosts is searched for it.
	Address string
	// HostKeyAlias is the name to search known_hosts for instead, without a port; ""
	// means none.
	HostKeyAlias string
	// Via is the jump host through which the target is reached, over a connection that
	// many targets share. Its own Via is the jump host before it. nil means none.
	Via *Target
	// ProxyCommand is a program, with its arguments, whose standard input and output
	// are the connection. nil means none; Via takes precedence.
	ProxyCommand []string

	// Listed is the host's address in the inventory, which ssh_config is searched for,
	// and KeyFile the private key file named there; "" means none. Options are the
	// host's own options of ssh there, Key=Value.
	Listed, KeyFile string
	Options         []string
	// Pool is the pool of workers that run it; "" means no pool, or the default one.
	Pool string
	// Unresolved means that only these three are known: the target could not be planned.
	Unresolved bool
}
