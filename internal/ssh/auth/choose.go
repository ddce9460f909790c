package auth

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/crypto/ssh"
)

// A selection builds one Set.
type selection struct {
	*Keyring
	want  KeySpec
	set   *Set
	agent *agent // nil if there is none
	certs []certFile
	seen  map[string]bool // by key blob: a key is offered once
}

// A certFile is a certificate from a file, to be offered with its key.
type certFile struct {
	path string
	cert *ssh.Certificate
	used bool
}

// selectKeys builds a Set: named files in their order, then the agent's keys, then the default
// files. It returns an error only if ctx ends.
func (k *Keyring) selectKeys(ctx context.Context, w KeySpec) (*Set, error) {
	c := &selection{Keyring: k, want: w, set: &Set{now: k.now, sha1: w.SHA1}, seen: make(map[string]bool)}
	if w.AgentSocket != "" {
		a, err := k.agent(ctx, w.AgentSocket)
		if err != nil {
			return nil, err
		}
		c.agent, c.set.agentErr = a, a.err
		c.set.notices = append(c.set.notices, a.notices...)
	}
	for _, path := range w.Certificates {
		c.addCertificate(ctx, path)
	}
	for _, path := range w.Files {
		c.named(path, c.addFile(ctx, path))
	}
	c.pairWithAgent()
	c.addAgent()
	c.addDefaults(ctx)
	c.cut()
	// A selection that ctx interrupted is incomplete.
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	return c.set, nil
}

func (c *selection) notice(format string, args ...any) {
	c.set.notices = append(c.set.notices, fmt.Sprintf(format, args...))
}

// named records a named file that cannot be used; some failures are normal.
func (c *selection) named(path string, err error) {
	if err == nil {
		return
	}
	err = fmt.Errorf("key file %q: %w", path, err)
	c.notice("%v", err)
	c.set.why = append(c.set.why, err)
	var soft leftOut
	if !errors.As(err, &soft) {
		c.set.bad = append(c.set.bad, err)
	}
}

// add offers a key unless it is already offered, outside its validity period, or shorter than the
// configuration allows.
func (c *selection) add(k key) {
	blob := string(k.public.Marshal())
	if c.seen[blob] {
		return
	}
	c.seen[blob] = true
	if err := validAt(k.public, c.now()); err != nil {
		c.notice("%s: %v", k.from, err)
		return
	}
	if err := longEnough(k.public, c.want.RSABits); err != nil {
		err = fmt.Errorf("%s: %w (RequiredRSASize)", k.from, err)
		c.notice("%v", err)
		c.set.why = append(c.set.why, err)
		return
	}
	c.set.keys = append(c.set.keys, k)
}

// addPair offers a key, preceded by all its certificates.
func (c *selection) addPair(k key) {
	for i := range c.certs {
		f := &c.certs[i]
		if string(f.cert.Key.Marshal()) == string(k.public.Marshal()) {
			f.used = true
			c.add(k.with(f.cert, fmt.Sprintf("certificate file %q", f.path)))
		}
	}
	if !c.want.Only {
		for _, held := range c.agent.certificates(k.public) {
			c.add(key{public: held.public, holder: held, from: c.fromAgent()})
		}
	}
	c.add(k)
}

func (c *selection) fromAgent() string { return fmt.Sprintf("agent at %q", c.want.AgentSocket) }

func (c *selection) addFile(ctx context.Context, path string) error {
	f, err := c.read(ctx, path)
	if err != nil {
		return err
	}
	if cert, ok := f.public.(*ssh.Certificate); ok {
		c.certs = append(c.certs, certFile{path: path, cert: cert})
		return nil
	}
	c.addBeside(ctx, path)
	k := key{public: f.public, from: fmt.Sprintf("key file %q", path)}
	// If the agent has the key, no passphrase is needed.
	if f.encrypted || f.hardware || !f.private {
		k.holder = c.agent.find(f.public)
	}
	if k.holder == nil {
		signer, err := c.opener(ctx, f)
		if err != nil {
			return err
		}
		k.public, k.file = signer.public, signer.private
	}
	c.addPair(k)
	return nil
}

func (c *selection) opener(ctx context.Context, f *keyFile) (fileSigner, error) {
	switch {
	case f.unread != nil:
		return fileSigner{}, fmt.Errorf("the agent does not have the key of %q, and reading the private one: %w", f.path+".pub", f.unread)
	case !f.private:
		return fileSigner{}, errors.New("it is a public key, and the agent does not have the private one")
	case f.hardware:
		return fileSigner{}, errHardware
	case f.encrypted && c.want.NoPassphrase:
		return fileSigner{}, errBatch
	}
	return c.open(ctx, f)
}

// addBeside adds the certificate that ssh-keygen puts beside a key.
func (c *selection) addBeside(ctx context.Context, path string) {
	beside := strings.TrimSuffix(path, ".pub") + "-cert.pub"
	cert, err := c.certificate(ctx, beside)
	switch {
	case err == nil:
		c.certs = append(c.certs, certFile{path: beside, cert: cert})
	case !errors.Is(err, fs.ErrNotExist):
		c.notice("certificate file %q: %v", beside, err)
	}
}

func (c *selection) addCertificate(ctx context.Context, path string) {
	cert, err := c.certificate(ctx, path)
	if err != nil {
		err = fmt.Errorf("certificate file %q: %w", path, err)
		c.notice("%v", err)
		c.set.why, c.set.bad = append(c.set.why, err), append(c.set.bad, err)
		return
	}
	c.certs = append(c.certs, certFile{path: path, cert: cert})
}

// pairWithAgent offers the certificates whose key is in the agent and in no file.
func (c *selection) pairWithAgent() {
	for i := range c.certs {
		f := &c.certs[i]
		if f.used {
			continue
		}
		holder := c.agent.find(f.cert)
		if holder == nil {
			holder = c.agent.find(f.cert.Key)
		}
		if holder == nil {
			c.notice("certificate file %q: its private key is in no named file and not in the agent", f.path)
			continue
		}
		c.add(key{public: f.cert, holder: holder, from: fmt.Sprintf("certificate file %q", f.path)})
	}
}

func (c *selection) addAgent() {
	if c.agent == nil || c.want.Only {
		return
	}
	for _, held := range c.agent.keys {
		k := key{public: held.public, holder: held, from: c.fromAgent()}
		if _, ok := held.public.(*ssh.Certificate); ok && c.agent.find(plain(held.public)) != nil {
			continue // it is offered just before its key
		}
		c.addPair(k)
	}
}

// defaultFiles are the files that OpenSSH tries (ssh_config(5), IdentityFile), strongest first.
// The last two only identify keys in the agent.
var defaultFiles = [...]string{"id_ed25519", "id_ecdsa", "id_rsa", "id_ed25519_sk", "id_ecdsa_sk"}

func (c *selection) addDefaults(ctx context.Context) {
	if !c.want.Defaults {
		return
	}
	home, err := os.UserHomeDir()
	if err != nil {
		c.notice("default key files: %v", err)
		return
	}
	for _, name := range defaultFiles {
		path := filepath.Join(home, ".ssh", name)
		if missing(path) && missing(path+".pub") {
			continue
		}
		if len(c.set.keys) >= c.MaxKeys { // do not ask for a passphrase in vain
			c.notice("key file %q is not read: %d others come first (--max-keys)", path, c.MaxKeys)
			continue
		}
		if err := c.addFile(ctx, path); err != nil {
			c.notice("key file %q: %v", path, err)
		}
	}
}

func missing(path string) bool {
	_, err := os.Stat(path)
	return errors.Is(err, fs.ErrNotExist)
}

// cut limits the keys to MaxKeys.
func (c *selection) cut() {
	if len(c.set.keys) <= c.MaxKeys {
		return
	}
	for _, k := range c.set.keys[c.MaxKeys:] {
		c.notice("key %s %s is not offered: %d others come first, and servers count each as a failed login (--max-keys)",
			k.public.Type(), ssh.FingerprintSHA256(k.public), c.MaxKeys)
	}
	c.set.keys = c.set.keys[:c.MaxKeys]
}
