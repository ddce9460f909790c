package shoal

import (
	"shoal/internal/engine"
	"shoal/internal/remote/wrap"
	"shoal/internal/ssh"
	"shoal/internal/ssh/client"
)

// Types of Options' fields, so that callers can name them.
type (
	// Timeouts are the deadlines of one attempt, phase by phase.
	Timeouts = ssh.Timeouts
	// HostKeyPolicy is the policy for hosts that known_hosts does not list.
	HostKeyPolicy = ssh.HostKeyPolicy
	// Pipeline is how much is sent before the server has answered.
	Pipeline = client.Pipeline
	// Control holds the settings of the fan-out; see Options.Engine.
	Control = engine.Options
	// Amount is a number of targets, or a percentage of them.
	Amount = engine.Amount
	// Output is the output of a running command so far; see Control.Follow.
	Output = engine.Output
	// Remote configures the wrapper at the far end; see Options.Remote.
	Remote = wrap.Options
	// Passwords answers servers that ask for a password.
	Passwords = ssh.Passwords
	// Network opens the byte streams to targets.
	Network = ssh.Network
)

// The policies for host keys.
const (
	HostKeysStrict    = ssh.HostKeysStrict    // refuse an unknown host
	HostKeysAcceptNew = ssh.HostKeysAcceptNew // add an unknown host's key, and refuse a changed one
	HostKeysInsecure  = ssh.HostKeysInsecure  // check nothing
)

// The values of Options.Pipeline.
const (
	PipelineFull = client.Full // send everything early that the server is known to accept
	PipelineAuth = client.Auth // send everything early but the command
	PipelineOff  = client.Off  // wait for each answer
)
