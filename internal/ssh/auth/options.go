package auth

import (
	"context"
	"errors"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"shoal/internal/ssh"
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
	// signatures, which ends with the attempt. An agent that takes longer is not asked again before
	// Keyring.Renew.
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

// Load reads the keys and requests the agent's list. ctx bounds the latter. The error lists all
// named files that cannot be used. The caller must close the Set.
func Load(ctx context.Context, o Options) (*Set, error) {
	k, err := NewKeyring(o.keyring())
	if err != nil {
		return nil, err
	}
	set, err := k.Set(ctx, o.want())
	if err == nil {
		err = set.Unusable()
	}
	if err != nil {
		return nil, errors.Join(err, k.Close())
	}
	set.owned = k
	return set, nil
}

// A KeySpec specifies the keys to offer to one target, from its configuration.
type KeySpec = ssh.KeySpec

// clean returns w with normalised paths.
func clean(w KeySpec) KeySpec {
	w.Files, w.Certificates = cleanAll(w.Files), cleanAll(w.Certificates)
	return w
}

func cleanAll(paths []string) []string {
	list := make([]string, len(paths))
	for i, path := range paths {
		list[i] = filepath.Clean(path)
	}
	return list
}

// specID returns the same text for equal specs. Paths contain no NUL and lists contain no empty
// text, so that the parts are unambiguous.
func specID(w KeySpec) string {
	var b strings.Builder
	for _, path := range w.Files {
		b.WriteString(path)
		b.WriteByte(0)
	}
	b.WriteByte(0)
	for _, path := range w.Certificates {
		b.WriteString(path)
		b.WriteByte(0)
	}
	b.WriteByte(0)
	b.WriteString(w.AgentSocket)
	b.WriteByte(0)
	b.WriteString(strconv.Itoa(w.RSABits))
	b.WriteByte(0)
	for _, set := range []bool{w.Defaults, w.Only, w.NoPassphrase, w.SHA1} {
		if set {
			b.WriteByte('y')
		} else {
			b.WriteByte('n')
		}
	}
	return b.String()
}
