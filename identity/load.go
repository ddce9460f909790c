package identity

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/crypto/ssh"
)

// Load reads the keys and asks the agent for its list. ctx bounds the latter.
// The error tells of all the files that were named and cannot be used.
func Load(ctx context.Context, o Options) (*Set, error) {
	if err := o.Validate(); err != nil {
		return nil, err
	}
	l := loader{Options: o.withDefaults(), set: new(Set), seen: make(map[string]bool)}
	l.askAgent(ctx)
	var bad []error
	for _, path := range l.Files {
		if err := l.addFile(path); errors.Is(err, errEncrypted) {
			l.notice("key file %q: %v", path, err)
		} else if err != nil {
			bad = append(bad, fmt.Errorf("key file %q: %w", path, err))
		}
	}
	if len(bad) > 0 {
		return nil, errors.Join(append(bad, l.set.Close())...)
	}
	for _, k := range l.inAgent {
		l.add(k, nil)
	}
	l.addDefaults()
	l.cut()
	return l.set, nil
}

// A loader makes one Set.
type loader struct {
	Options
	set     *Set
	inAgent []ssh.PublicKey
	seen    map[string]bool // by key blob: a key is offered once
}

func (l *loader) notice(format string, args ...any) {
	l.set.notices = append(l.set.notices, fmt.Sprintf(format, args...))
}

func (l *loader) askAgent(ctx context.Context) {
	if l.AgentSocket == "" {
		return
	}
	l.set.link = newLink(l.AgentSocket, l.SignTimeout)
	keys, err := l.set.link.list(ctx)
	if err != nil {
		l.set.agentErr = err
		l.notice("agent at %q: %v", l.AgentSocket, err)
		return
	}
	for _, k := range keys {
		public, err := parsePublic(k.Blob)
		if err != nil {
			l.notice("agent's key %.64q: %v", k.Comment, err)
			continue
		}
		l.inAgent = append(l.inAgent, public)
	}
}

// add offers a key, unless it is offered already. A nil signer means that the
// agent has it.
func (l *loader) add(public ssh.PublicKey, signer ssh.Signer) {
	blob := string(public.Marshal())
	if l.seen[blob] {
		return
	}
	l.seen[blob] = true
	l.set.keys = append(l.set.keys, key{public, signer})
}

func (l *loader) agentHas(public ssh.PublicKey) bool {
	for _, k := range l.inAgent {
		if public != nil && string(k.Marshal()) == string(public.Marshal()) {
			return true
		}
	}
	return false
}

func (l *loader) addFile(path string) error {
	f, err := readKeyFile(path)
	if err != nil {
		return err
	}
	// The agent spares us the passphrase.
	if (f.encrypted || !f.private) && l.agentHas(f.public) {
		l.add(f.public, nil)
		return nil
	}
	if !f.private {
		return errors.New("it is a public key, and the agent does not have the private one")
	}
	signer, err := f.open(l.Passphrase)
	if err != nil {
		return err
	}
	l.add(signer.PublicKey(), signer)
	return nil
}

// addDefaults tries the files that OpenSSH tries (ssh_config(5), IdentityFile),
// strongest first.
func (l *loader) addDefaults() {
	if !l.Defaults {
		return
	}
	home, err := os.UserHomeDir()
	if err != nil {
		l.notice("default key files: %v", err)
		return
	}
	for _, name := range []string{"id_ed25519", "id_ecdsa", "id_rsa"} {
		path := filepath.Join(home, ".ssh", name)
		if len(l.set.keys) >= l.MaxKeys { // nor is a passphrase asked for in vain
			l.notice("key file %q is not read: %d others come first", path, l.MaxKeys)
			continue
		}
		if err := l.addFile(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			l.notice("key file %q: %v", path, err)
		}
	}
}

// cut keeps as many keys as may be offered.
func (l *loader) cut() {
	if len(l.set.keys) <= l.MaxKeys {
		return
	}
	for _, k := range l.set.keys[l.MaxKeys:] {
		l.notice("key %s %s is not offered: %d others come first, and servers count each as a failed login",
			k.public.Type(), ssh.FingerprintSHA256(k.public), l.MaxKeys)
	}
	l.set.keys = l.set.keys[:l.MaxKeys]
}
