package client

import (
	"errors"
	"fmt"

	"shoal/internal/clock"
	"shoal/internal/ssh"
	"shoal/internal/ssh/hostcache"
	"shoal/internal/ssh/tcp"
	"shoal/internal/ssh/wire"
)

// Options says how to connect. They are not changed after New.
type Options struct {
	// HostKeys judges every host key. Required.
	HostKeys ssh.HostKeys
	// Identities gives the keys to offer. Required.
	Identities ssh.Identities
	// Passwords answers servers that ask for one. nil means that none is sent.
	Passwords ssh.Passwords
	// Timeouts are the phases' deadlines; zero values are the defaults.
	Timeouts ssh.Timeouts
	// Clock is what they are kept by. nil means the time as it passes.
	Clock *clock.Clock
	// Version is our identification after "SSH-2.0-" (RFC 4253 §4.2), without
	// spaces or minus signs. "" means "shoal".
	Version string
	// Pipeline is how much is sent before the server has answered what came
	// before it. The zero value is Full.
	Pipeline Pipeline
	// Classical offers curve25519 first, and early also to hosts that are not
	// remembered: one round trip less, and no protection against a recording
	// that a quantum computer opens later. The zero value prefers ML-KEM.
	Classical bool
	// Memory is what is known of servers from earlier runs. nil remembers
	// nothing. The Dialer does not close it.
	Memory *hostcache.Cache
	// Network opens the connections. nil means TCP.
	Network ssh.Network
	// Fallback connects to servers that share no algorithm with this package
	// and may share one with it. nil means that there is none.
	Fallback ssh.Dialer
	// Trace is told of every message (see wire.Config). nil means that nobody
	// is.
	Trace func(wire.Message)
	// Park keeps connections that wait for their command with a goroutine each
	// where it is ParkGoroutine. The zero value takes the best way of the system.
	Park Park
}

// Validate tells what is missing or out of range.
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

// withDefaults fills in what is zero.
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

// A Pipeline says how much is sent early.
type Pipeline uint8

// The steps of pipelining.
const (
	// Full sends the key exchange, the signed authentication and the command as
	// early as the server is known to take them: three round trips from SYN to
	// the exit status on a remembered OpenSSH or Dropbear server.
	Full Pipeline = iota
	// Auth sends key exchange and authentication early. The command leaves when
	// its channel is open, so that a connection that is lost before that is
	// certain not to have run it.
	Auth
	// Off waits for each answer.
	Off
)

var pipelineNames = []string{"full", "auth", "off"}

// ParsePipeline gives the Pipeline with this name: "full", "auth" or "off".
func ParsePipeline(s string) (Pipeline, error) {
	for i, name := range pipelineNames {
		if s == name {
			return Pipeline(i), nil
		}
	}
	return 0, fmt.Errorf("unknown pipelining %q\nhint: it is full, auth or off", s)
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
	ParkBest      Park = iota // an event loop where there is one (Linux), else a goroutine each
	ParkGoroutine             // a goroutine each
)
