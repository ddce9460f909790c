// Package hub is an embedded NATS server with JetStream, for one machine, for tests and for small
// sites. Sites that have NATS use their own.
package hub

import (
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"os"
	"time"

	"github.com/nats-io/nats-server/v2/server"

	"shoal/internal/hint"
)

// Options configure a Hub.
type Options struct {
	// Listen is the address, HOST:PORT; port 0 means any free one. Other than loopback it needs Config.
	Listen string
	// Dir is the directory of the store. Required.
	Dir string
	// Config is a configuration file of nats-server with TLS and users; "" means none. Its address and
	// store are replaced by Listen and Dir, unless these are "".
	Config string
	// Name is the server's, which tells the servers of a cluster apart. "" means what Config says.
	Name string
	// Log writes the server's log to standard error.
	Log bool
}

// A Hub is a running server.
type Hub struct{ s *server.Server }

// Start starts a server. Every message is on the disk before it is acknowledged.
func Start(o Options) (*Hub, error) {
	opts, err := o.server()
	if err != nil {
		return nil, err
	}
	s, err := server.NewServer(opts)
	if err != nil {
		return nil, fmt.Errorf("starting NATS: %w", err)
	}
	if o.Log {
		s.ConfigureLogger()
	}
	s.Start()
	if !s.ReadyForConnections(30 * time.Second) {
		s.Shutdown()
		return nil, hint.Wrap(fmt.Errorf("NATS does not accept connections at %s", net.JoinHostPort(opts.Host, fmt.Sprint(opts.Port))), "another program may have the port: --listen names another")
	}
	return &Hub{s}, nil
}

func (o Options) server() (*server.Options, error) {
	opts := new(server.Options)
	if o.Config != "" {
		var err error
		if opts, err = server.ProcessConfigFile(o.Config); err != nil {
			return nil, fmt.Errorf("reading the configuration of NATS: %w", err)
		}
	}
	if o.Listen != "" {
		host, port, err := net.SplitHostPort(o.Listen)
		if err != nil {
			return nil, hint.Wrap(fmt.Errorf("the address %.80q cannot be read", o.Listen), "it looks like 127.0.0.1:4222")
		}
		opts.Host = host
		if opts.Port, err = net.LookupPort("tcp", port); err != nil {
			return nil, fmt.Errorf("the port %.20q is none", port)
		}
		if opts.Port == 0 {
			opts.Port = server.RANDOM_PORT
		}
	}
	if o.Name != "" {
		opts.ServerName = o.Name
	}
	if opts.Cluster.Port != 0 {
		if opts.ServerName == "" {
			return nil, hint.New("the configuration of NATS is that of a cluster, and the server has no name in it", "--name gives it one that no other server of the cluster has")
		}
		if o.Listen != "" {
			opts.Cluster.Host = opts.Host // one configuration for all servers
		}
	}
	if o.Dir != "" {
		opts.StoreDir = o.Dir
	}
	if opts.StoreDir == "" {
		return nil, errors.New("NATS needs a directory for its store")
	}
	if err := os.MkdirAll(opts.StoreDir, 0o700); err != nil {
		return nil, fmt.Errorf("making the store of NATS: %w", err)
	}
	opts.JetStream, opts.SyncAlways, opts.NoSigs, opts.DisableJetStreamBanner = true, true, true, true
	opts.NoLog = !o.Log
	opts.MaxPayload = 1 << 20
	return opts, check(opts)
}

// check refuses a server that others could reach without TLS and credentials, and doors that shoal does
// not use.
func check(o *server.Options) error {
	if o.HTTPPort != 0 || o.HTTPSPort != 0 || o.Websocket.Port != 0 || o.LeafNode.Port != 0 || len(o.LeafNode.Remotes) > 0 || o.MQTT.Port != 0 ||
		o.Gateway.Port != 0 || o.ProfPort != 0 {
		return hint.New("the configuration of NATS has a port for monitoring or profiles, a gateway, WebSocket, leaf nodes or MQTT", "shoal-hub has none of them; run nats-server itself for these")
	}
	if o.Cluster.Port != 0 && !isLoopback(o.Cluster.Host) && (o.Cluster.TLSConfig == nil || o.Cluster.TLSConfig.ClientAuth != tls.RequireAndVerifyClientCert) {
		return hint.Wrap(fmt.Errorf("everybody who reaches %s could be a server of the cluster", net.JoinHostPort(o.Cluster.Host, fmt.Sprint(o.Cluster.Port))),
			"the part cluster of the configuration needs tls with verify: true; shoal-hub init --cluster writes it")
	}
	if isLoopback(o.Host) {
		return nil
	}
	switch {
	case o.NoAuthUser != "":
		return hint.Wrap(fmt.Errorf("NATS at %s could be used without credentials, as %q", net.JoinHostPort(o.Host, fmt.Sprint(o.Port)), o.NoAuthUser), "leave no_auth_user out of the configuration")
	case o.AllowNonTLS:
		return hint.Wrap(fmt.Errorf("NATS at %s could be spoken to without TLS", net.JoinHostPort(o.Host, fmt.Sprint(o.Port))), "leave allow_non_tls out of the configuration")
	}
	if o.TLSConfig == nil || len(o.Users) == 0 && len(o.Nkeys) == 0 && len(o.TrustedKeys) == 0 && len(o.TrustedOperators) == 0 {
		return hint.Wrap(fmt.Errorf("NATS at %s could be used by everybody who reaches it", net.JoinHostPort(o.Host, fmt.Sprint(o.Port))),
			"--config names a configuration with tls and with users or NKeys")
	}
	return nil
}

func isLoopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// URL returns the address to connect to.
func (h *Hub) URL() string { return h.s.ClientURL() }

// Close stops the server.
func (h *Hub) Close() {
	h.s.Shutdown()
	h.s.WaitForShutdown()
}
