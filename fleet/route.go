package fleet

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
	// Unresolved means that only these three are known: the target could not be planned.
	Unresolved bool
}
