package auth

import (
	"errors"
	"time"
)

// Options configure the keys to offer to all targets alike. The zero value offers none. The
// fields have the same meaning as in KeySpec and KeyringOptions, except that a file that cannot
// be used is an error.
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

// Validate returns an error if the options are invalid.
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

// KeyringOptions configure how keys are loaded and used. With the zero value nobody is asked
// for a passphrase.
type KeyringOptions struct {
	// Passphrase returns the passphrase of a key file. It is called at most three times for each
	// file that needs one, again only if it was wrong, and for one file at a time. Its result is overwritten after use. nil
	// leaves encrypted keys out with a notice. Source.Passphrase creates one from a Source.
	Passphrase func(path string) ([]byte, error)
	// MaxKeys bounds the keys offered to a target, including certificates; 0 means
	// DefaultMaxKeys.
	MaxKeys int
	// SignTimeout bounds the agent's list, a connection, and each signature, counted from when
	// the request is next to be answered; 0 means 20 s. It excludes the wait for other
	// signatures, which ends with the attempt. An agent that takes longer is not asked again.
	SignTimeout time.Duration
}

// DefaultMaxKeys is how many keys are offered to a target. sshd closes the connection at the
// sixth failure (MaxAuthTries), so that five keys leave one try for a password. More keys cost
// no more penalty: PerSourcePenalties counts connections that fail to log in, not keys.
const DefaultMaxKeys = 5

const defaultSignTimeout = 20 * time.Second

// Validate returns an error if the options are invalid.
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
		o.MaxKeys = DefaultMaxKeys
	}
	if o.SignTimeout == 0 {
		o.SignTimeout = defaultSignTimeout
	}
	return o
}
