package fleet

import "time"

// A Route describes how a target is reached if not simply by its name. Many targets
// may share one; it must not change once a run has begun.
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

	// Family is "tcp4" or "tcp6"; "" means either.
	Family string
	// Bind is the local address, and BindInterface the local interface, of outgoing
	// connections; "" means any.
	Bind, BindInterface string
	// Connect limits the time from the name look-up to the end of authentication, if
	// the run's own timeouts do not; 0 means no such limit.
	Connect time.Duration

	// Attempts is how often a connection that fails is tried, one second apart and
	// within the time for one dial; 0 and 1 mean once.
	Attempts int
	// KeepAlive enables TCP's own keepalives (SO_KEEPALIVE).
	KeepAlive bool

	// Alive is the time without a message from the server after which a keepalive is
	// sent; 0 means the run's. AliveMax is how many may go unanswered; 0 means the
	// run's, negative means none.
	Alive    time.Duration
	AliveMax int

	// Kex, HostKeys, Ciphers and MACs are the algorithms to offer, best first. nil
	// means all that are supported. HostKeysFixed means that the host's known keys do
	// not change the order.
	Kex, HostKeys, Ciphers, MACs []string
	HostKeysFixed                bool
	// Methods are the allowed authentication methods of publickey, password and
	// keyboard-interactive, in the order of trying. nil means all three.
	Methods []string
	// UserKeys are the allowed signature algorithms of user keys; nil means all.
	UserKeys []string
	// RekeyBytes is the number of bytes in one direction, and RekeyAfter the time,
	// after which keys are exchanged again; 0 means the default, which has no time.
	RekeyBytes uint64
	RekeyAfter time.Duration
	// Env are environment variables, NAME=value, to set for the command. Servers
	// refuse most of them.
	Env []string

	// Listed is the host's address in the inventory, which ssh_config is searched for,
	// and KeyFile the private key file named there; "" means none.
	Listed, KeyFile string

	// Err is why the configured target cannot be reached. The target is then not
	// tried.
	Err error
	// Detail is private to the package that made the Route.
	Detail any
}
