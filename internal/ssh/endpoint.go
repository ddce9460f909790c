package ssh

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"shoal/fleet"
)

// A Target is a target as a Dialer gets it: with User, Port, Route and Command filled
// in, and with its endpoint.
type Target struct {
	fleet.Target
	// Endpoint is how the target is reached and checked; nil means directly by its
	// name, with the Dialer's defaults.
	Endpoint *Endpoint
}

// An Endpoint is how a target is reached and checked. Targets share it where they
// are reached alike; it must not change once a run has begun.
type Endpoint struct {
	// Route is what a run records of the endpoint: address, alias, jump hosts and
	// proxy command. Targets of the endpoint point to it.
	fleet.Route
	// User and Port are those of the endpoint's targets.
	User string
	Port uint16
	// Jump is the jump host of Route.Via, which points to its fleet.Target, with its
	// own endpoint. nil means none.
	Jump *Target
	// Settings are shared with other endpoints. nil means the Dialer's defaults.
	Settings *Settings
	// Err is why the configured endpoint cannot be used. Its targets are not tried,
	// and Route, User and Port say only what is known.
	Err error
}

// Settings are what configuration says about connections, beside where they lead.
type Settings struct {
	// Family is "tcp4" or "tcp6"; "" means either.
	Family string
	// Bind is the local address, and BindInterface the local interface, of outgoing
	// connections; "" means any.
	Bind, BindInterface string
	// Connect limits the time from the name look-up to the end of authentication, if
	// the run's own timeouts do not; 0 means no such limit.
	Connect time.Duration
	// Attempts is how often a connection that fails is tried, one second apart and
	// within the time for one dial; 0 and 1 mean once.
	Attempts int
	// KeepAlive enables TCP's own keepalives (SO_KEEPALIVE).
	KeepAlive bool

	// Alive is the time without a message from the server after which a keepalive is
	// sent; 0 means the run's. AliveMax is how many may go unanswered; 0 means the
	// run's, negative means none.
	Alive    time.Duration
	AliveMax int

	// Kex, HostKeys, Ciphers and MACs are the algorithms to offer, best first. nil
	// means all that are supported. HostKeysFixed means that the host's known keys do
	// not change the order.
	Kex, HostKeys, Ciphers, MACs []string
	HostKeysFixed                bool
	// Methods are the allowed authentication methods of publickey, password and
	// keyboard-interactive, in the order of trying. nil means all three.
	Methods []string
	// UserKeys are the allowed signature algorithms of user keys; nil means all.
	UserKeys []string
	// RekeyBytes is the number of bytes in one direction, and RekeyAfter the time,
	// after which keys are exchanged again; 0 means the default, which has no time.
	RekeyBytes uint64
	RekeyAfter time.Duration
	// Env are environment variables, NAME=value, to set for the command. Servers
	// refuse most of them. The last EnvSet of them were asked for one by one (SetEnv): where
	// one of these is refused the end has fleet.FlagEnvRefused.
	Env    []string
	EnvSet int

	// PTY means that commands get a pseudo-terminal.
	PTY bool

	// Agent is the agent that programs on the host may use.
	Agent AgentSpec

	// Keys are the keys to offer.
	Keys KeySpec
	// Known says how host keys are checked.
	Known HostKeySpec
	// Password allows a password to be sent.
	Password bool
	// Program is what the system's ssh can do beyond our clients.
	Program ProgramSpec
}

// A ProgramSpec is what configuration asks for that only the system's ssh has; see package
// internal/ssh/openssh. The zero value asks for nothing.
type ProgramSpec struct {
	// Options are lines of ssh_config for the program: keywords that only it honours, and the
	// algorithms as they were configured.
	Options []string
	// Methods are the authentication methods for the program to try, in their order:
	// gssapi-with-mic, hostbased and publickey. nil means publickey, if Settings.Methods has it.
	Methods []string
	// Needed is the keyword without which the target cannot be reached as configured
	// (PKCS11Provider, KnownHostsCommand); "" means that our clients can try.
	Needed string
	// KnownHostsCommand means that a key that known_hosts does not know may be known to a
	// command.
	KnownHostsCommand bool
	// OtherLogins means that there are ways to log in beside the keys of Keys.
	OtherLogins bool
	// ControlPath is the socket of an open connection to use; "" means none.
	ControlPath string
}

// A KeySpec specifies the keys to offer. The zero value means none. Paths are used as they
// are: ~ and tokens are not expanded.
type KeySpec struct {
	// Files are private keys in OpenSSH's format, PEM or PKCS #8, in the order of offering
	// (IdentityFile in ssh_config(5)). If the agent has the private key, a file may also be a
	// public key, or a private key whose public key is readable without the passphrase; or the
	// file is missing and the one with ".pub" added is the public key. A
	// certificate beside it (name-cert.pub) is offered before the key.
	Files []string
	// Certificates are certificate files (CertificateFile). Each is offered before its key,
	// which must be in one of Files or in the agent.
	Certificates []string
	// Defaults also offers ~/.ssh/id_ed25519, id_ecdsa, id_rsa, id_ed25519_sk and id_ecdsa_sk,
	// after the agent's keys. One that cannot be used is a notice.
	Defaults bool
	// Hardware are the files of security keys for the system's ssh, which needs no agent for
	// them.
	Hardware []string
	// AgentSocket is the path of the agent's socket (IdentityAgent, or SSH_AUTH_SOCK); "" means
	// no agent. An agent that does not answer is a notice.
	AgentSocket string
	// Only restricts the agent's keys to those that a file names (IdentitiesOnly).
	Only bool
	// NoPassphrase leaves out files that need a passphrase (BatchMode).
	NoPassphrase bool
	// RSABits is the minimum length of RSA keys, in bits (RequiredRSASize). Values below 2048,
	// including 0, mean 2048.
	RSABits int
	// SHA1 lets RSA keys sign as ssh-rsa, for a Dialer that asks for it; without it they make no
	// SHA-1 signature (PubkeyAcceptedAlgorithms with ssh-rsa).
	SHA1 bool
}

// A HostKeySpec specifies how host keys are checked. The zero value refuses every host.
type HostKeySpec struct {
	// Files are the known_hosts files, in order; new keys are added to the first.
	Files []string
	// Revoked are files of keys to refuse whatever known_hosts says (RevokedHostKeys).
	Revoked []string
	// Policy is how unknown hosts are treated.
	Policy HostKeyPolicy
	// RSABits is the minimum length of RSA keys, in bits (RequiredRSASize).
	RSABits int
	// CASignatures are the algorithms with which authorities may have signed a
	// certificate (CASignatureAlgorithms); nil means all that are safe.
	CASignatures []string
	// HashNames makes AcceptNew write names hashed (HashKnownHosts).
	HashNames bool
}

// A HostKeyPolicy determines how hosts that are not in known_hosts are treated.
type HostKeyPolicy uint8

// The policies. All of them refuse a revoked or weak key.
const (
	// HostKeysStrict refuses unknown hosts.
	HostKeysStrict HostKeyPolicy = iota
	// HostKeysAcceptNew accepts unknown hosts and writes their key to known_hosts after
	// authentication, or before sending a password. A host that is known under another
	// key is refused.
	HostKeysAcceptNew
	// HostKeysInsecure accepts unknown hosts and hosts that are known under another key,
	// and writes nothing.
	HostKeysInsecure
)

var policyNames = []string{"strict", "accept-new", "insecure"}

// String returns the name that [ParseHostKeyPolicy] accepts.
func (p HostKeyPolicy) String() string {
	if int(p) >= len(policyNames) {
		return fmt.Sprintf("invalid(%d)", uint8(p))
	}
	return policyNames[p]
}

// ParseHostKeyPolicy returns the policy with the given name: "strict", "accept-new" or
// "insecure".
func ParseHostKeyPolicy(s string) (HostKeyPolicy, error) {
	for i, name := range policyNames {
		if name == s {
			return HostKeyPolicy(i), nil
		}
	}
	return 0, fmt.Errorf("unknown host key policy %q: want strict, accept-new or insecure", s)
}

// ErrUnplanned means that a target has no endpoint where its settings are needed.
var ErrUnplanned = errors.New("the target was not planned: see internal/plan")

// Target returns t as a target of the endpoint.
func (e *Endpoint) Target(t fleet.Target) Target {
	t.User, t.Port, t.Route = e.User, e.Port, &e.Route
	return Target{t, e}
}

// Via returns an endpoint that is reached through the jump host hop.
func Via(hop Target) *Endpoint {
	return &Endpoint{Route: fleet.Route{Via: &hop.Target}, Jump: &hop}
}

// defaults are the settings of targets without any.
var defaults Settings

// Settings returns the settings of the target's endpoint, never nil.
func (t Target) Settings() *Settings {
	if t.Endpoint == nil || t.Endpoint.Settings == nil {
		return &defaults
	}
	return t.Endpoint.Settings
}

// Methods returns the authentication methods to try, in their order.
func (t Target) Methods() []string {
	if m := t.Settings().Methods; m != nil {
		return m
	}
	return []string{"publickey", "password", "keyboard-interactive"}
}

// NoPassword reports whether no method is allowed that sends a password.
func (t Target) NoPassword() bool {
	m := t.Methods()
	return !slices.Contains(m, "password") && !slices.Contains(m, "keyboard-interactive")
}

// Err returns why the target cannot be tried, or nil.
func (t Target) Err() error {
	if t.Endpoint == nil {
		return nil
	}
	return t.Endpoint.Err
}

// Jump returns the target's jump host, or nil.
func (t Target) Jump() *Target {
	if t.Endpoint == nil {
		return nil
	}
	return t.Endpoint.Jump
}
