package shoal

import (
	"shoal/internal/engine"
	"shoal/internal/remote/wrap"
	"shoal/internal/ssh"
	"shoal/internal/ssh/client"
	"shoal/internal/ssh/hostkeys"
)

// The types of fields of Options, so that callers can name them.
type (
	// Timeouts are the deadlines of one attempt, phase by phase.
	Timeouts = ssh.Timeouts
	// HostKeyPolicy says what becomes of a host that known_hosts does not know.
	HostKeyPolicy = hostkeys.Policy
	// Pipeline says how much is sent before the server has answered.
	Pipeline = client.Pipeline
	// Control is what there is to say of the fan-out beside the fields of Options:
	// attempts, rate, rollout, failure limits, barrier.
	Control = engine.Options
	// Amount is a number of targets, or a share of them in per cent.
	Amount = engine.Amount
	// Output is what a running command has written so far; see Options.Follow.
	Output = engine.Output
	// Remote says what is asked of the far end; see Options.Remote.
	Remote = wrap.Options
	// Passwords answers servers that ask for a password.
	Passwords = ssh.Passwords
	// Network opens the streams of bytes to targets.
	Network = ssh.Network
)

// The policies for host keys.
const (
	HostKeysStrict    = hostkeys.Strict    // refuse a host that is not known
	HostKeysAcceptNew = hostkeys.AcceptNew // learn it, and refuse another key from then on
	HostKeysInsecure  = hostkeys.Insecure  // check nothing
)

// What is sent before the server has answered.
const (
	PipelineFull = client.Full // all that the server is known to take
	PipelineAuth = client.Auth // all but the command
	PipelineOff  = client.Off  // nothing
)
