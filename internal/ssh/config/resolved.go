package config

import "time"

// Strictness is what becomes of a host whose key is not known
// (StrictHostKeyChecking).
type Strictness string

// The values of StrictHostKeyChecking.
const (
	StrictYes       Strictness = "yes"
	StrictNo        Strictness = "no"
	StrictAsk       Strictness = "ask"
	StrictAcceptNew Strictness = "accept-new"
)

// Resolved is what the configuration says of one host, OpenSSH's defaults filled
// in and tokens replaced. Slices are shared between hosts: they are not to be
// changed.
type Resolved struct {
	Host     string // as Resolve was asked
	HostName string // what to connect to: a name or an address
	Port     uint16
	User     string
	Tag      string

	AddressFamily       string        // "any", "inet" or "inet6"
	BindAddress         string        // "" means any
	BindInterface       string        // "" means any
	ConnectTimeout      time.Duration // 0 means that none was set
	ConnectionAttempts  int           // at least 1
	TCPKeepAlive        bool
	ServerAliveInterval time.Duration // 0 means never
	ServerAliveCountMax int

	// Jumps are the hosts on the way, in the order of connecting; nil for none.
	// See Config.Route.
	Jumps []Jump
	// ProxyCommand is the shell command that connects, with its tokens
	// replaced; "" for none. See ProxyArgv.
	ProxyCommand string

	// IdentityFiles are the private keys named, in order. When none is and
	// DefaultIdentities is set, those that ssh tries by itself are meant.
	IdentityFiles     []string
	DefaultIdentities bool
	CertificateFiles  []string
	IdentitiesOnly    bool
	// IdentityAgent is the agent's socket; "" for no agent. SSH_AUTH_SOCK and
	// the like are looked up already.
	IdentityAgent string

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

	// The algorithms to offer, best first. HostKeyAlgorithmsSet says that the
	// order of that list is the configuration's and not to be changed by what
	// known_hosts knows.
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

	config *Config
	values *values
	tokens *tokens
}

// Address is what to dial: HostName and Port, an IPv6 address in brackets.
func (r *Resolved) Address() string {
	return Jump{Host: r.HostName, Port: r.Port}.String()
}
