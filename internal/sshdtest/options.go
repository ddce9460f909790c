package sshdtest

import (
	"slices"
	"testing"

	"golang.org/x/crypto/ssh"
)

// An Option changes how a server is set up. An option that the server does not
// support fails the test.
type Option struct {
	setting Setting
	apply   func(*options)
}

// A Setting is what an option sets, named after the option.
type Setting string

// Settings that not every server supports.
const (
	Kex          Setting = "WithKex"
	Ciphers      Setting = "WithCiphers"
	MACs         Setting = "WithMACs"
	RekeyLimit   Setting = "WithRekeyLimit"
	MaxAuthTries Setting = "WithMaxAuthTries"
	Banner       Setting = "WithBanner"
	ForceCommand Setting = "WithForceCommand"
	Config       Setting = "WithConfig"
	Args         Setting = "WithArgs"
	Subreaper    Setting = "WithSubreaper"
	Below        Setting = "WithBelow"

	everywhere Setting = ""
)

type options struct {
	hostKeys           []KeyType
	authorized         []ssh.PublicKey
	kex, ciphers, macs []string
	rekeyLimit         int
	maxAuthTries       int
	banner             string
	forceCommand       string
	config             []string
	args               []string
	subreaper          bool
	below              []string
}

// apply returns the options for a server of this kind.
func (k Kind) apply(t testing.TB, opts []Option) options {
	t.Helper()
	var o options
	for _, opt := range opts {
		if !k.Has(opt.setting) {
			t.Fatalf("%s has no setting for testsshd.%s", k.Name, opt.setting)
		}
		opt.apply(&o)
	}
	if len(o.hostKeys) == 0 {
		o.hostKeys = []KeyType{Ed25519}
	}
	for _, kind := range o.hostKeys {
		if !slices.Contains(k.HostKeys, kind) {
			t.Fatalf("%s has no host keys of type %s", k.Name, kind)
		}
	}
	return o
}

// WithHostKeys sets the types of the server's host keys; the default is one
// Ed25519 key. Creating RSA keys takes a moment.
func WithHostKeys(types ...KeyType) Option {
	return Option{everywhere, func(o *options) { o.hostKeys = types }}
}

// WithAuthorized accepts these client keys too.
func WithAuthorized(keys ...ssh.PublicKey) Option {
	return Option{everywhere, func(o *options) { o.authorized = append(o.authorized, keys...) }}
}

// WithKex sets the server's key exchange methods, best first.
func WithKex(names ...string) Option {
	return Option{Kex, func(o *options) { o.kex = names }}
}

// WithCiphers sets the server's ciphers, best first.
func WithCiphers(names ...string) Option {
	return Option{Ciphers, func(o *options) { o.ciphers = names }}
}

// WithMACs sets the server's MACs, best first.
func WithMACs(names ...string) Option {
	return Option{MACs, func(o *options) { o.macs = names }}
}

// WithRekeyLimit makes the server start a key re-exchange each time that it has
// sent or received this many bytes.
func WithRekeyLimit(bytes int) Option {
	return Option{RekeyLimit, func(o *options) { o.rekeyLimit = bytes }}
}

// WithMaxAuthTries makes the server disconnect after n failures.
func WithMaxAuthTries(n int) Option {
	return Option{MaxAuthTries, func(o *options) { o.maxAuthTries = n }}
}

// WithBanner makes the server send text before authentication.
func WithBanner(text string) Option {
	return Option{Banner, func(o *options) { o.banner = text }}
}

// WithForceCommand makes the server run command instead of the requested one.
func WithForceCommand(command string) Option {
	return Option{ForceCommand, func(o *options) { o.forceCommand = command }}
}

// WithConfig inserts lines at the start of sshd_config, where they take
// precedence because the first value of a keyword counts (sshd_config(5)).
// Example: "MaxAuthTries 2". OpenSSH only.
func WithConfig(lines ...string) Option {
	return Option{Config, func(o *options) { o.config = append(o.config, lines...) }}
}

// WithArgs adds arguments to the server's command line.
func WithArgs(args ...string) Option {
	return Option{Args, func(o *options) { o.args = append(o.args, args...) }}
}

// WithBelow runs the server by this command, which gets its command line as further arguments
// and executes it.
func WithBelow(argv ...string) Option {
	return Option{Below, func(o *options) { o.below = argv }}
}

// WithSubreaper makes the server the parent of orphaned processes below it, so
// that Server.WaitIdle can wait for everything that it has started.
func WithSubreaper() Option {
	return Option{Subreaper, func(o *options) { o.subreaper = true }}
}
