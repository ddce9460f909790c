package sshdtest

import (
	"slices"
	"testing"

	"golang.org/x/crypto/ssh"
)

// An Option changes how a server is set up. A server that cannot be set up like
// that fails the test.
type Option struct {
	setting Setting
	apply   func(*options)
}

// A Setting is what an option sets, by the option's name.
type Setting string

// Settings that not every server has.
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
}

// apply gives the options for a server of this kind.
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

// WithHostKeys says which host keys the server has; without it, one Ed25519
// key. RSA keys take a moment to make.
func WithHostKeys(types ...KeyType) Option {
	return Option{everywhere, func(o *options) { o.hostKeys = types }}
}

// WithAuthorized lets these keys in too.
func WithAuthorized(keys ...ssh.PublicKey) Option {
	return Option{everywhere, func(o *options) { o.authorized = append(o.authorized, keys...) }}
}

// WithKex says which key exchange methods the server has, best first.
func WithKex(names ...string) Option {
	return Option{Kex, func(o *options) { o.kex = names }}
}

// WithCiphers says which ciphers the server has, best first.
func WithCiphers(names ...string) Option {
	return Option{Ciphers, func(o *options) { o.ciphers = names }}
}

// WithMACs says which MACs the server has, best first.
func WithMACs(names ...string) Option {
	return Option{MACs, func(o *options) { o.macs = names }}
}

// WithRekeyLimit has the server ask for new keys each time that it has sent
// this many bytes, or received them.
func WithRekeyLimit(bytes int) Option {
	return Option{RekeyLimit, func(o *options) { o.rekeyLimit = bytes }}
}

// WithMaxAuthTries has the server disconnect at this many failures.
func WithMaxAuthTries(n int) Option {
	return Option{MaxAuthTries, func(o *options) { o.maxAuthTries = n }}
}

// WithBanner has the server send this text before authentication.
func WithBanner(text string) Option {
	return Option{Banner, func(o *options) { o.banner = text }}
}

// WithForceCommand has the server run this command, whatever is asked for.
func WithForceCommand(command string) Option {
	return Option{ForceCommand, func(o *options) { o.forceCommand = command }}
}

// WithConfig puts lines before the server's own sshd_config, where they win
// because the first value of a keyword counts (sshd_config(5)): "MaxAuthTries
// 2". OpenSSH only.
func WithConfig(lines ...string) Option {
	return Option{Config, func(o *options) { o.config = append(o.config, lines...) }}
}

// WithArgs adds arguments to the server's command line.
func WithArgs(args ...string) Option {
	return Option{Args, func(o *options) { o.args = append(o.args, args...) }}
}

// WithSubreaper makes the server the parent of processes whose own parent has
// ended, so that Server.WaitIdle can wait for everything that it has started.
func WithSubreaper() Option {
	return Option{Subreaper, func(o *options) { o.subreaper = true }}
}
