package identity

import (
	"errors"
	"time"
)

// Options say which keys to offer. The zero value offers none.
type Options struct {
	// Files are private keys, in OpenSSH's or a PEM format, in the order in
	// which they are offered. A file may also be a public key, or a private
	// one whose public half can be read without the passphrase, when the agent
	// has the private half. One that cannot be used is an error.
	Files []string
	// Defaults also offers ~/.ssh/id_ed25519, id_ecdsa and id_rsa, after the
	// agent's keys. One that cannot be used is a notice.
	Defaults bool
	// AgentSocket is the path of the agent's socket, as SSH_AUTH_SOCK has it;
	// "" means no agent. One that does not answer is a notice.
	AgentSocket string
	// Passphrase gives the passphrase of a key file; it is asked at most once
	// for each file that needs one. Its result is overwritten after use. When
	// it is nil, encrypted keys are left out with a notice.
	Passphrase func(path string) ([]byte, error)
	// MaxKeys is how many keys are offered at most; 0 means 3. Servers close
	// the connection after a few (MaxAuthTries, 6 in OpenSSH), and some lock
	// the account.
	MaxKeys int
	// SignTimeout is how long the agent may take for its list and for each
	// signature; 0 means 20 s. It does not include the wait for other
	// signatures, which ends with the attempt.
	SignTimeout time.Duration
}

const (
	defaultMaxKeys     = 3
	defaultSignTimeout = 20 * time.Second
)

// Validate says what is wrong with the options.
func (o Options) Validate() error {
	if o.MaxKeys < 0 {
		return errors.New("the number of keys to offer is negative")
	}
	if o.SignTimeout < 0 {
		return errors.New("the time for a signature is negative")
	}
	return nil
}

func (o Options) withDefaults() Options {
	if o.MaxKeys == 0 {
		o.MaxKeys = defaultMaxKeys
	}
	if o.SignTimeout == 0 {
		o.SignTimeout = defaultSignTimeout
	}
	return o
}
