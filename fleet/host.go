package fleet

import (
	"net"
	"strconv"
	"strings"
)

// DefaultPort is the SSH port (RFC 4251 §9.3 and IANA), meant wherever a port
// is 0.
const DefaultPort = 22

// A Host is a machine as the inventory names it. The zero value names nothing.
// Hosts are comparable.
type Host struct {
	// Name is the DNS name or IP address as the user wrote it, without brackets
	// and port. known_hosts is searched for this name, never for what it
	// resolves to.
	Name string
	// Port is the TCP port; 0 means that none was written.
	Port uint16
	// User is the login name; "" means that none was written.
	User string
}

// String gives the shortest text that parses back to h: user and port only
// where they were written, an IPv6 address in brackets when a port follows.
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
	// Attr gives the value of an attribute; ok is false when there is none.
	Attr(name string) (value string, ok bool)
}

// A Target is a host in a run. The same host may be several targets, each with
// an Index of its own.
type Target struct {
	// Host is the inventory's entry, and the name under which people see the
	// target.
	Host Host
	// Index is the place in the run's input, from 0.
	Index int
	// User is the login name to use. "" means Host.User or, failing that, the
	// run's default; a Dialer always sees it filled in.
	User string
	// Port is the TCP port to use. 0 means Host.Port or, failing that,
	// DefaultPort; a Dialer always sees it filled in.
	Port uint16
	// Attrs are what the inventory knows of the host; nil means nothing.
	Attrs Attrs
	// Route says how it is reached; nil means by its name.
	Route *Route
	// Command is what runs there, its placeholders already replaced. It is
	// known before the connection starts so that a Dialer may send it early.
	Command string
}

// Address is what is dialled: host and port, an IPv6 address in brackets.
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

// Dialled is the name or address that is dialled.
func (t Target) Dialled() string {
	if t.Route != nil && t.Route.Address != "" {
		return t.Route.Address
	}
	return t.Host.Name
}
