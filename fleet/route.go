package fleet

import "time"

// A Route says how a target is reached, where its name alone does not. Many
// targets may share one; it is not changed once a run has begun.
type Route struct {
	// Address is the name or IP address to dial, without port; "" means
	// Host.Name. As in ssh, known_hosts is searched for it.
	Address string
	// HostKeyAlias is the name for which known_hosts is searched instead,
	// without a port; "" means none.
	HostKeyAlias string
	// Via is the jump host through which the target is reached: it has a
	// connection of its own, which many targets share. Its own Via is the jump
	// host before it. nil means none.
	Via *Target
	// ProxyCommand is a program, with its arguments, whose standard input and
	// output are the connection. nil means none; Via comes first.
	ProxyCommand []string

	// Family is "tcp4" or "tcp6"; "" means both.
	Family string
	// Bind is the local address, and BindInterface the local interface, that
	// connections come from; "" means any.
	Bind, BindInterface string
	// Connect bounds the time from the name look-up to being authenticated,
	// where the run itself does not; 0 means that nothing more does.
	Connect time.Duration

	// Alive is how long the server may say nothing before it is asked for a sign
	// of life; 0 means the run's.
	Alive time.Duration

	// Kex, HostKeys, Ciphers and MACs are the algorithms to offer, best first.
	// nil means all that there are. HostKeysFixed says that what is known of the
	// host does not change the order.
	Kex, HostKeys, Ciphers, MACs []string
	HostKeysFixed                bool
	// UserKeys are the signature algorithms that user keys may be offered with;
	// nil means all.
	UserKeys []string
	// RekeyBytes is how much goes in one direction before keys are exchanged
	// anew; 0 means the default.
	RekeyBytes uint64
	// Env are variables, NAME=value, to be set for the command. Servers refuse
	// most.
	Env []string

	// Listed is the address that the inventory has for the host, for which
	// ssh_config is searched, and KeyFile the private key file that it names; ""
	// means that it has none.
	Listed, KeyFile string

	// Err says why the target cannot be reached as it is configured. It is then
	// not tried.
	Err error
	// Detail is what the maker of the Route keeps with it; nobody else reads it.
	Detail any
}
