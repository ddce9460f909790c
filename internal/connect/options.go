package connect

import (
	"fmt"
	"os"
	"os/user"
	"path/filepath"
	"time"

	"shoal/fleet"
	"shoal/hosts"
	"shoal/internal/engine"
	"shoal/internal/hint"
	"shoal/internal/plan"
	"shoal/internal/ssh"
	"shoal/internal/ssh/auth"
	"shoal/internal/ssh/client"
	"shoal/internal/ssh/config"
	"shoal/internal/ssh/wire"
)

// Options are how to reach targets. The zero value works as ssh does: the local user's name,
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
	Entry func(fleet.Target) hosts.Entry

	// Pool returns the pool of workers that run a target; see plan.Options.
	Pool func(fleet.Target) string

	// PTY says which commands get a pseudo-terminal, which package internal/remote/wrap
	// requests. The zero value is none.
	PTY plan.PTY

	// ForwardAgent says which hosts may use an agent of ours; see plan.Options. The zero value
	// is none.
	ForwardAgent string
	// Forwarding bounds what they may ask of it.
	Forwarding auth.ForwardOptions
	// Identities are private key files, offered before those of ssh_config. nil means
	// only those of ssh_config, by default the usual files in ~/.ssh.
	Identities []string
	// MaxKeys bounds the keys offered to a host, including certificates. 0 means
	// auth.DefaultMaxKeys.
	MaxKeys int
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
	// HostKeys is the policy for hosts that known_hosts does not list, jump hosts
	// included. nil refuses them, unless ssh_config says accept-new.
	HostKeys *ssh.HostKeyPolicy

	// Timeouts are the deadlines of each attempt. 0 means the default of each.
	Timeouts ssh.Timeouts

	// Engine holds the settings of the fan-out: how many targets at once, attempts,
	// rate, rollout, failure limits, barrier, output. Its Notice gets the notices of
	// planning and connecting too. Its Clock is shared with the connections; nil means a
	// new clock for each run, which excludes the time that this process was stopped from
	// deadlines. If its Dialer is not nil, it connects to the targets: Passphrase,
	// Passwords, Timeouts, Pipeline, Classical, StateDir, Client, Network and Trace have
	// no effect, and the planned keys and host-key policy are for the Dialer to apply.
	Engine engine.Options

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

	// Hold holds connections, and has what they need, from one plan to the next: the fields that
	// are for the Dialer are those of its first plan. Engine.Clock is its own. nil means that each
	// plan connects anew.
	Hold *Hold

	// Persist has another process hold the connections, for plans of other processes too. nil
	// means none. Client must be ClientBest, and Hold nil.
	Persist *Persist

	// Network opens the connections. nil means TCP.
	Network ssh.Network
	// Trace is called with every SSH message of package internal/ssh/client; see
	// wire.Config. nil disables it.
	Trace func(wire.Message)

	// Ahead returns a Dialer that stands before all others of RunCommands. nil means none.
	Ahead func(ssh.Dialer) ssh.Dialer

	config *config.Config // ssh_config, once it was read
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
	// ClientSSH is package internal/ssh/openssh: the system's ssh. ClientBest uses it too, for
	// hosts that want what only it has; the result then has fleet.FlagOpenSSH. It is given no
	// password, and Pipeline, Classical and Trace have no effect on it.
	ClientSSH
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
	if o.HostKeys != nil && *o.HostKeys > ssh.HostKeysInsecure {
		return fmt.Errorf("unknown host-key policy %d", *o.HostKeys)
	}
	if o.Pipeline > client.Off {
		return fmt.Errorf("unknown pipelining %d", o.Pipeline)
	}
	if o.Client > ClientSSH {
		return fmt.Errorf("unknown client %d", o.Client)
	}
	if o.Client == ClientSSH && o.Passwords != nil {
		return hint.New("the system's ssh is given no password", "--client best sends passwords")
	}
	if o.Persist != nil && (o.Client != ClientBest || o.Hold != nil) {
		return hint.New("only connections of shoal's own client are held by another process", "leave out --persist, or --client")
	}
	if o.MaxKeys < 0 {
		return fmt.Errorf("%d keys to offer; 0 means the default", o.MaxKeys)
	}
	if o.Forwarding.Signatures < 0 {
		return fmt.Errorf("a limit of %d signatures is negative; 0 means the default", o.Forwarding.Signatures)
	}
	if o.ExecTimeout < 0 {
		return fmt.Errorf("a time limit of %v for Match exec is negative; 0 means the default", o.ExecTimeout)
	}
	if err := o.Timeouts.Validate(); err != nil {
		return err
	}
	return o.Engine.Validate()
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
	return "", hint.New("the local user's name is not known", "name the login user with -l or Options.User")
}
