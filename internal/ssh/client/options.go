package client

import (
	"errors"
	"fmt"

	"shoal/internal/clock"
	"shoal/internal/hint"
	"shoal/internal/ssh"
	"shoal/internal/ssh/hostcache"
	"shoal/internal/ssh/tcp"
	"shoal/internal/ssh/wire"
)

// Options configure a Dialer. They must not be changed after New.
type Options struct {
	// HostKeys checks every host key. Required.
	HostKeys ssh.HostKeys
	// Identities returns the keys to offer. Required.
	Identities ssh.Identities
	// Passwords answers servers that ask for a password. nil means that none is sent.
	Passwords ssh.Passwords
	// Agents passes on what hosts ask the agents that are forwarded to them. nil forwards none.
	Agents ssh.Agents
	// Timeouts are the time limits of the phases; zero values mean the defaults.
	Timeouts ssh.Timeouts
	// Clock is the clock of the timeouts. nil means the ordinary time.
	Clock *clock.Clock
	// Version is our identification after "SSH-2.0-" (RFC 4253 §4.2), without
	// spaces or minus signs. "" means "shoal".
	Version string
	// Pipeline is how much is sent before the server has answered the previous step.
	// The zero value is Full.
	Pipeline Pipeline
	// Classical offers curve25519 first, and sends it early also to hosts that are not
	// in the host cache. It saves a round trip, but a recording could be decrypted by
	// a later quantum computer. The zero value prefers ML-KEM.
	Classical bool
	// Memory is the host cache of earlier runs. nil remembers nothing. The Dialer does
	// not close it.
	Memory *hostcache.Cache
	// Network opens the connections. nil means TCP.
	Network ssh.Network
	// Fallback connects to servers that share no algorithm with this package but may
	// share one with the fallback. nil means no fallback.
	Fallback ssh.Dialer
	// Program connects where ssh_config needs it (Settings.Program), and where an attempt has
	// shown that the server wants what only it has. nil means never.
	Program Program
	// Trace is called with every message (see wire.Config). nil disables it.
	Trace func(wire.Message)
	// Park selects how connections wait for their command. The zero value is the best
	// way on this system.
	Park Park
}

// Validate returns an error for a missing or invalid value.
func (o Options) Validate() error {
	switch {
	case o.HostKeys == nil:
		return errors.New("no host-key policy: Options.HostKeys is nil")
	case o.Identities == nil:
		return errors.New("no identities: Options.Identities is nil")
	case o.Pipeline > Off:
		return fmt.Errorf("unknown pipelining %d", o.Pipeline)
	}
	return o.Timeouts.Validate()
}

// withDefaults replaces zero values by their defaults.
func (o Options) withDefaults() Options {
	o.Timeouts = o.Timeouts.WithDefaults()
	if o.Version == "" {
		o.Version = "shoal"
	}
	if o.Network == nil {
		o.Network = tcp.Dialer{Timeouts: o.Timeouts, Clock: o.Clock}
	}
	return o
}

// A Pipeline is how much is sent early.
type Pipeline uint8

// The values of Pipeline.
const (
	// Full sends the key exchange, the signed authentication and the command as early
	// as the server is known to accept them: three round trips from SYN to the exit
	// status with a remembered OpenSSH or Dropbear server.
	Full Pipeline = iota
	// Auth sends key exchange and authentication early. The command is sent when its
	// channel is open, so that a connection lost before certainly has not run it.
	Auth
	// Off waits for each answer.
	Off
)

var pipelineNames = []string{"full", "auth", "off"}

// ParsePipeline returns the Pipeline with this name: "full", "auth" or "off".
func ParsePipeline(s string) (Pipeline, error) {
	for i, name := range pipelineNames {
		if s == name {
			return Pipeline(i), nil
		}
	}
	return 0, hint.Wrap(fmt.Errorf("unknown pipelining %q", s), "it is full, auth or off")
}

func (p Pipeline) String() string {
	if int(p) < len(pipelineNames) {
		return pipelineNames[p]
	}
	return fmt.Sprintf("invalid(%d)", uint8(p))
}

// A Park is how connections wait for their command to end.
type Park uint8

// The ways to wait.
const (
	ParkBest      Park = iota // an event loop on Linux, else a goroutine each
	ParkGoroutine             // a goroutine each
)
