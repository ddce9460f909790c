package config

import (
	"slices"
	"strings"
	"time"

	"shoal/internal/ssh/match"
)

// Strictness determines how a host with an unknown key is treated (StrictHostKeyChecking).
type Strictness string

// The values of StrictHostKeyChecking.
const (
	StrictYes       Strictness = "yes"
	StrictNo        Strictness = "no"
	StrictAsk       Strictness = "ask"
	StrictAcceptNew Strictness = "accept-new"
)

// Resolved is the configuration of one host, with OpenSSH's defaults filled in and tokens
// expanded. Slices are shared between hosts and must not be changed.
type Resolved struct {
	Host     string // as passed to Resolve
	HostName string // what to connect to: a name or an address
	Port     uint16
	User     string
	Tag      string

	AddressFamily       string        // "any", "inet" or "inet6"
	BindAddress         string        // "" means any
	BindInterface       string        // "" means any
	ConnectTimeout      time.Duration // 0 means that none was set
	ConnectionAttempts  int           // 0 if none was set
	TCPKeepAlive        bool
	ServerAliveInterval time.Duration // 0 means never
	ServerAliveCountMax int
	RequestTTY          bool // "yes" or "force"

	// Jumps are the jump hosts, in the order of connecting; nil for none. See Config.Route.
	Jumps []Jump
	// ProxyCommand is the shell command that connects, with its tokens expanded; "" for none.
	// See ProxyArgv.
	ProxyCommand string

	// IdentityFiles are the private keys named, in order. If there are none and
	// DefaultIdentities is set, the files that ssh tries by default are meant.
	IdentityFiles     []string
	DefaultIdentities bool
	CertificateFiles  []string
	IdentitiesOnly    bool
	// IdentityAgent is the agent's socket; "" for no agent. SSH_AUTH_SOCK and other variables
	// are already replaced.
	IdentityAgent string

	// ForwardAgent is the agent that programs on the host may use: "" for none, "yes" for the one
	// that is used for logging in, or a socket.
	ForwardAgent string

	PubkeyAuthentication         bool
	PasswordAuthentication       bool
	KbdInteractiveAuthentication bool
	PreferredAuthentications     []string // nil means the client's order
	NumberOfPasswordPrompts      int
	BatchMode                    bool

	UserKnownHostsFiles   []string
	GlobalKnownHostsFiles []string
	HostKeyAlias          string // in lower case; "" means none
	StrictHostKeyChecking Strictness
	HashKnownHosts        bool
	RevokedHostKeys       []string // files; nil for none
	RequiredRSASize       int      // in bits

	// The algorithms to offer, best first. HostKeyAlgorithmsSet means that the configuration
	// sets the order of that list; known_hosts must not change it.
	KexAlgorithms            []string
	Ciphers                  []string
	MACs                     []string
	HostKeyAlgorithms        []string
	HostKeyAlgorithmsSet     bool
	PubkeyAcceptedAlgorithms []string
	CASignatureAlgorithms    []string

	RekeyBytes    int64         // 0 means the cipher's default
	RekeyInterval time.Duration // 0 means none

	SendEnv []string // patterns of names
	SetEnv  []string // NAME=value

	config  *Config
	values  *values
	tokens  *tokens
	program bool // see Options.Program
}

// Env returns the environment variables to send, NAME=value: those of this process that
// SendEnv matches, then those of SetEnv, which win at the server if both have a name.
func (r *Resolved) Env() []string {
	if len(r.SendEnv) == 0 {
		return r.SetEnv
	}
	var env []string
	for _, variable := range r.config.environ() {
		name, _, _ := strings.Cut(variable, "=")
		if slices.ContainsFunc(r.SendEnv, func(pattern string) bool { return match.Pattern(name, pattern) }) {
			env = append(env, variable)
		}
	}
	return append(env, r.SetEnv...)
}

// Address returns the address to dial: HostName and Port, an IPv6 address in brackets.
func (r *Resolved) Address() string {
	return Jump{Host: r.HostName, Port: r.Port}.String()
}
