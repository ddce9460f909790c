package simfleet

import (
	"bytes"
	"errors"
	"sync"

	"golang.org/x/crypto/ssh"
)

// A serverConn is what a session needs of the connection, whichever package serves it.
type serverConn interface {
	User() string
}

// goVersion names the implementation that speaks, so that a client which
// knows its limits meets them (RFC 4253 §4.2). It is no OpenSSH: x/crypto/ssh
// drops what comes for a channel that it has not confirmed yet, and ends the
// connection over a channel behind a rejected key, where sshd runs the early
// command and answers UNIMPLEMENTED.
const goVersion = "SSH-2.0-Go simfleet"

// serveSSH is a connection that gets as far as SSH: key exchange,
// authentication, channels.
func (c *conn) serveSSH(b behaviour) {
	o := &c.fleet.options
	if o.Server == ServerXCrypto && !b.faulty() && !o.Penalties && o.AuthDelay == 0 {
		c.serveXCrypto()
	} else {
		c.serveWire(b)
	}
}

// serveXCrypto is serveWire for a good host, by golang.org/x/crypto/ssh.
func (c *conn) serveXCrypto() {
	server, channels, requests, err := ssh.NewServerConn(c, c.serverConfig())
	c.fleet.gate.leave(c.host)
	if err != nil {
		return // the client knows more of the why than we do
	}
	c.ssh = server
	c.fleet.count(func(s *Stats) { s.Authenticated++ })
	c.serveChannels(channels, requests)
}

func (c *conn) serverConfig() *ssh.ServerConfig {
	config := &ssh.ServerConfig{
		ServerVersion: goVersion,
		PublicKeyCallback: func(m ssh.ConnMetadata, key ssh.PublicKey) (*ssh.Permissions, error) {
			if !c.fleet.allows(c.host, m.User(), key.Marshal()) {
				return nil, errNotAllowed
			}
			return nil, nil // no permissions, no error: let in
		},
	}
	config.RekeyThreshold = c.fleet.options.RekeyBytes
	if c.fleet.options.Password != "" {
		config.PasswordCallback = func(_ ssh.ConnMetadata, password []byte) (*ssh.Permissions, error) {
			if string(password) != c.fleet.options.Password {
				return nil, errNotAllowed
			}
			return nil, nil // no permissions, no error: let in
		}
	}
	config.AddHostKey(c.fleet.keys.host(c.host))
	return config
}

var errNotAllowed = errors.New("key not allowed")

// allows reports whether a key, in wire format, may log in.
func (f *Fleet) allows(host int, user string, blob []byte) bool {
	if f.options.Allow == nil {
		return bytes.Equal(blob, f.clientKey)
	}
	key, err := ssh.ParsePublicKey(blob)
	return err == nil && f.options.Allow(host, user, key)
}

// serveSession answers the channel's requests until it is closed.
func serveSession(c *conn, n ssh.NewChannel) {
	channel, requests, err := n.Accept()
	if err != nil {
		return
	}
	var command sync.WaitGroup
	s := newSession(c, behaviour{}, channel, &command)
	defer command.Wait()
	defer s.leave()
	for r := range requests {
		s.handle(request{r.Type, r.WantReply, r.Payload, func(ok bool) { _ = r.Reply(ok, nil) }})
	}
}

// serveChannels runs until the connection ends and every session has. Both
// channels are closed by the SSH library when the connection is gone.
func (c *conn) serveChannels(channels <-chan ssh.NewChannel, requests <-chan *ssh.Request) {
	var sessions sync.WaitGroup
	defer sessions.Wait()
	for channels != nil || requests != nil {
		select {
		case n, ok := <-channels:
			switch {
			case !ok:
				channels = nil
			case n.ChannelType() == "direct-tcpip" && c.fleet.options.Forward:
				sessions.Go(func() { c.forward(n) })
			case n.ChannelType() != "session":
				_ = n.Reject(ssh.UnknownChannelType, "only sessions here")
			default:
				sessions.Go(func() { serveSession(c, n) })
			}
		case r, ok := <-requests:
			if !ok {
				requests = nil
				continue
			}
			if r.WantReply {
				_ = r.Reply(false, nil)
			}
		}
	}
}
