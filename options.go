package shoal

import (
	"errors"
	"fmt"
	"iter"
	"os"
	"os/user"
	"path/filepath"
	"time"

	"shoal/hosts"
	"shoal/internal/engine"
	"shoal/internal/plan"
	"shoal/internal/remote/wrap"
	"shoal/internal/ssh"
	"shoal/internal/ssh/client"
	"shoal/internal/ssh/hostkeys"
	"shoal/internal/ssh/wire"
)

// Options configure [Run]. The zero value works as ssh does: the local user's name,
// the default identities and the agent, the default known_hosts files, strict
// host-key checking. They must not be changed after use.
type Options struct {
	// User is the login name for targets that name none. "" means the local user's
	// name.
	User string
	// Port is the TCP port for targets that name none. 0 means 22.
	Port uint16

	// SSHConfig is the ssh_config file, as for ssh -F. "" means ~/.ssh/config and
	// /etc/ssh/ssh_config; "none" means no file.
	SSHConfig string
	// SSHOptions are ssh_config options, Key=Value, as for ssh -o. They take
	// precedence over the files.
	SSHOptions []string
	// ExecTimeout bounds each command of Match exec in ssh_config. 0 means 10 s.
	ExecTimeout time.Duration
	// Jump is the list of jump hosts for all targets, as for ssh -J. "" means those of
	// ssh_config; "none" means no jump host.
	Jump string
	// Entry returns what the inventory knows of a target beside its name; see
	// hosts.List. nil means nothing.
	Entry func(Target) hosts.Entry
	// Preview yields the targets of the coming runs, or some of them: OpenDialer asks
	// for the passphrases of their keys and opens their known_hosts files. nil means
	// that OpenDialer prepares only Identities and KnownHosts.
	Preview iter.Seq[Target]

	// Identities are private key files, offered before those of ssh_config. nil means
	// only those of ssh_config, by default the usual files in ~/.ssh.
	Identities []string
	// Agent is the socket of the SSH agent. "" means that of ssh_config, by default
	// $SSH_AUTH_SOCK; NoAgent means no agent.
	Agent string
	// Passwords answers servers that ask for a password, after all keys were tried.
	// nil means that no password is sent.
	Passwords ssh.Passwords
	// Passphrase returns the passphrase of an encrypted key file. nil means that
	// encrypted files are skipped, with a notice.
	Passphrase func(path string) ([]byte, error)

	// KnownHosts are the known_hosts files; new keys are added to the first. nil means
	// those of ssh_config, by default ~/.ssh/known_hosts and the system's.
	KnownHosts []string
	// HostKeys is the policy for hosts that known_hosts does not list. The zero value,
	// hostkeys.Strict, refuses them, unless ssh_config says accept-new.
	HostKeys hostkeys.Policy

	// Fanout limits the targets in progress at the same time. 0 means as many as this
	// machine can handle; see engine.DefaultFanout.
	Fanout int
	// Dials limits the connections being established at the same time, over all
	// servers. 0 means engine.DefaultDials.
	Dials int
	// Starts limits the connections being established at the same time to one host and
	// port. 0 means that the engine adapts the number, starting from
	// engine.DefaultStarts; negative means no limit.
	Starts int
	// Timeouts are the deadlines of each attempt. 0 means the default of each.
	Timeouts ssh.Timeouts
	// MaxOutput limits the bytes kept of each stream of each target. 0 means 1 MiB;
	// negative means no limit. Dropped bytes are counted, and the result has
	// fleet.FlagOutputTruncated.
	MaxOutput int64
	// MaxHeld limits the bytes kept for all targets together whose results the caller
	// has not received yet. What exceeds it is dropped in the same way. 0 means a
	// quarter of the free memory; negative means no limit.
	MaxHeld int64

	// Engine holds the other settings of the fan-out: attempts, rate, rollout, failure
	// limits, barrier. Fields that Options has too are overwritten. The Dialer shares
	// Engine.Clock; nil means a new clock for each run, which excludes the time that
	// this process was stopped from deadlines.
	Engine engine.Options

	// Drain, when closed, stops the starting of commands and lets running ones finish.
	// nil means never.
	Drain <-chan struct{}
	// Follow is called when a running command has written output. It must not block.
	// nil disables it.
	Follow func(*engine.Output)
	// Notice is called with messages that a person should know but need not act on,
	// such as a skipped key file. nil disables it.
	Notice func(string)

	// Pipeline is how much is sent before the server has answered the previous step.
	// The zero value, client.Full, is the fastest; client.Off leaves the fewest
	// unknown outcomes when connections are lost.
	Pipeline client.Pipeline
	// Classical prefers key exchange without post-quantum protection: it saves a round
	// trip with hosts that are not in the host cache.
	Classical bool
	// StateDir is the directory of the host cache, which saves round trips in later
	// runs. It holds no secrets, and nothing in it makes a host trusted. "" keeps
	// nothing; shoal run uses DefaultStateDir.
	StateDir string
	// Client is the SSH implementation. The zero value is ClientBest.
	Client Client

	// Remote configures the wrapper at the far end: run a command once, bound its
	// time, make it killable, or detach it. The zero value uses no wrapper.
	Remote wrap.Options

	// Network opens the connections. nil means TCP.
	Network ssh.Network
	// Trace is called with every SSH message of package internal/ssh/client; see
	// wire.Config. nil disables it.
	Trace func(wire.Message)

	// Dialer connects to the targets. Preview, Passphrase, Passwords, Timeouts, Pipeline,
	// Classical, StateDir, Client, Network and Trace then have no effect, and the
	// planned keys and host-key policy are for the Dialer to apply. nil means a Dialer
	// made from these fields.
	Dialer ssh.Dialer
}

// A Client is an implementation of SSH.
type Client uint8

// The implementations.
const (
	// ClientBest is package internal/ssh/client. It falls back to internal/ssh/xcrypto
	// for servers with which it shares no algorithm; the result then has
	// fleet.FlagFallback.
	ClientBest Client = iota
	// ClientStandard is package internal/ssh/xcrypto alone, on
	// golang.org/x/crypto/ssh.
	ClientStandard
)

// DefaultStateDir returns shoal's directory in $XDG_STATE_HOME, or in
// ~/.local/state if that is not set; "" if there is no home directory.
func DefaultStateDir() string {
	if dir := os.Getenv("XDG_STATE_HOME"); filepath.IsAbs(dir) {
		return filepath.Join(dir, "shoal")
	}
	if home, err := os.UserHomeDir(); err == nil {
		return filepath.Join(home, ".local", "state", "shoal")
	}
	return ""
}

// NoAgent as Options.Agent disables the SSH agent.
const NoAgent = plan.NoAgent

// Validate returns an error for a value that is out of range. It opens no file.
func (o Options) Validate() error {
	if o.HostKeys > hostkeys.Insecure {
		return fmt.Errorf("unknown host-key policy %d", o.HostKeys)
	}
	if o.Pipeline > client.Off {
		return fmt.Errorf("unknown pipelining %d", o.Pipeline)
	}
	if o.Client > ClientStandard {
		return fmt.Errorf("unknown client %d", o.Client)
	}
	if o.ExecTimeout < 0 {
		return fmt.Errorf("a time limit of %v for Match exec is negative; 0 means the default", o.ExecTimeout)
	}
	if err := o.Timeouts.Validate(); err != nil {
		return err
	}
	if err := o.Remote.Validate(); err != nil {
		return err
	}
	return o.EngineOptions(nopDialer{}).Validate()
}

// nopDialer makes engine.Options valid before the Dialer exists.
type nopDialer struct{ ssh.Dialer }

// EngineOptions returns the settings of the fan-out, with its Dialer.
func (o Options) EngineOptions(d ssh.Dialer) engine.Options {
	e := o.Engine
	e.Dialer = d
	e.Fanout, e.Dials, e.Starts = o.Fanout, o.Dials, o.Starts
	e.MaxOutput, e.MaxHeld = o.MaxOutput, o.MaxHeld
	e.Drain, e.Follow, e.Notice = o.Drain, o.Follow, o.Notice
	return e
}

// LoginName returns the user for targets that name none.
func (o Options) LoginName() (string, error) {
	if o.User != "" {
		return o.User, nil
	}
	if local, err := user.Current(); err == nil {
		return local.Username, nil
	}
	if name := os.Getenv("USER"); name != "" {
		return name, nil
	}
	return "", errors.New("the local user's name is not known\nhint: name the login user with -l or Options.User")
}
