package auth

import (
	"errors"
	"time"
)

// Options say which keys to offer to all targets alike. The zero value offers
// none. The fields are those of Want and KeyringOptions, and mean the same, but
// that a file that cannot be used is an error.
type Options struct {
	Files        []string
	Certificates []string
	Defaults     bool
	AgentSocket  string
	Only         bool

	Passphrase  func(path string) ([]byte, error)
	MaxKeys     int
	SignTimeout time.Duration
}

// Validate says what is wrong with the options.
func (o Options) Validate() error { return o.keyring().Validate() }

func (o Options) keyring() KeyringOptions {
	return KeyringOptions{Passphrase: o.Passphrase, MaxKeys: o.MaxKeys, SignTimeout: o.SignTimeout}
}

func (o Options) want() KeySpec {
	return KeySpec{
		Files: o.Files, Certificates: o.Certificates, Defaults: o.Defaults,
		AgentSocket: o.AgentSocket, Only: o.Only,
	}
}

// KeyringOptions say how keys are loaded and used. The zero value asks nobody
// anything.
type KeyringOptions struct {
	// Passphrase gives the passphrase of a key file; it is asked at most once
	// for each file that needs one, and for one file at a time. Its result is
	// overwritten after use. When it is nil, encrypted keys are left out with a
	// notice. Source.Passphrase makes one from a file descriptor.
	Passphrase func(path string) ([]byte, error)
	// MaxKeys is how many keys a target is offered at most, certificates counted
	// too; 0 means 3. Servers close the connection after a few (MaxAuthTries, 6
	// in OpenSSH), and some lock the account.
	MaxKeys int
	// SignTimeout is how long the agent may take for its list, for a connection
	// and for each signature, counted from its turn; 0 means 20 s. The wait for
	// other signatures is not in it and ends with the attempt. An agent that takes
	// longer is not asked again.
	SignTimeout time.Duration
}

const (
	defaultMaxKeys     = 3
	defaultSignTimeout = 20 * time.Second
)

// Validate says what is wrong with the options.
func (o KeyringOptions) Validate() error {
	if o.MaxKeys < 0 {
		return errors.New("the number of keys to offer is negative")
	}
	if o.SignTimeout < 0 {
		return errors.New("the time for a signature is negative")
	}
	return nil
}

func (o KeyringOptions) withDefaults() KeyringOptions {
	if o.MaxKeys == 0 {
		o.MaxKeys = defaultMaxKeys
	}
	if o.SignTimeout == 0 {
		o.SignTimeout = defaultSignTimeout
	}
	return o
}
