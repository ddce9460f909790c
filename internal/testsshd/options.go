package testsshd

// An Option changes how a server is set up.
type Option func(*options)

type options struct {
	hostKeys []KeyType
	config   []string
	args     []string
}

func apply(opts []Option) options {
	var o options
	for _, opt := range opts {
		opt(&o)
	}
	if len(o.hostKeys) == 0 {
		o.hostKeys = []KeyType{Ed25519}
	}
	return o
}

// WithHostKeys says which host keys the server has; without it, one Ed25519
// key. RSA keys take a moment to make.
func WithHostKeys(types ...KeyType) Option {
	return func(o *options) { o.hostKeys = types }
}

// WithConfig puts lines before the server's own sshd_config, where they win
// because the first value of a keyword counts (sshd_config(5)): "MaxAuthTries
// 2". OpenSSH only.
func WithConfig(lines ...string) Option {
	return func(o *options) { o.config = append(o.config, lines...) }
}

// WithArgs adds arguments to the server's command line.
func WithArgs(args ...string) Option {
	return func(o *options) { o.args = append(o.args, args...) }
}
