package fleet

// A Route says how a target is reached, where its name alone does not. Many
// targets may share one; it is not changed once a run has begun.
type Route struct {
	// Address is the name or IP address to dial, without port; "" means
	// Host.Name. known_hosts is searched for the name all the same.
	Address string
	// HostKeyAlias is the name under which known_hosts has the host; "" means
	// Host.Name and the port.
	HostKeyAlias string
	// Via is the jump host through which the target is reached: it has a
	// connection of its own, which many targets share. Its own Via is the jump
	// host before it. nil means none.
	Via *Target
	// ProxyCommand is a program, with its arguments, whose standard input and
	// output are the connection. nil means none; Via comes first.
	ProxyCommand []string
}
