package wire

import "slices"

// A Client is the client side of one SSH connection. It must not be used concurrently.
//
//	bytes from the server → Receive → Next → events → the driver
//	the driver → AuthPublicKey, OpenSession, Exec, … → Output → bytes to the server
type Client struct{ endpoint }

// New returns a Client whose first bytes are in Output. It panics where
// config.Validate fails. Many Clients may share config, which must not be changed any more.
func New(config *Config) *Client {
	c := &Client{}
	c.start(config, c, false)
	return c
}

func (c *Client) hostKeyAlgorithms() []string { return offered(c.config.HostKeys, HostKeyAlgorithms) }

// ServerVersion returns the server's identification line without its end, "" before
// VersionReceived.
func (c *Client) ServerVersion() string { return c.theirVersion() }

// Greeting returns what was received before the version line, at most MaxGreeting bytes; nil
// once that line was received. It is the whole answer of a server that turns connections
// away or does not speak SSH.
func (c *Client) Greeting() []byte {
	if c.greeting == nil {
		return nil
	}
	g := greeting{kept: slices.Clone(c.greeting.kept)}
	g.keep(c.in.all())
	return g.kept
}
