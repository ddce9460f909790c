package auth

import (
	"path/filepath"
	"strings"
)

// A Want is which keys to offer to one target, as its configuration says. The
// zero value wants none. Paths are used as they are: no ~ and no token is
// expanded.
type KeySpec struct {
	// Files are private keys, in OpenSSH's format, PEM or PKCS #8, in the order
	// in which they are offered (IdentityFile in ssh_config(5)). A file may also
	// be a public key, or a private one whose public half can be read without
	// the passphrase, when the agent has the private half. A certificate beside
	// it (name-cert.pub) is offered before the key.
	Files []string
	// Certificates are certificate files (CertificateFile). Each is offered
	// before its key, which is in one of Files or in the agent.
	Certificates []string
	// Defaults also offers ~/.ssh/id_ed25519, id_ecdsa, id_rsa, id_ed25519_sk and
	// id_ecdsa_sk, after the agent's keys. One that cannot be used is a notice.
	Defaults bool
	// AgentSocket is the path of the agent's socket (IdentityAgent, or
	// SSH_AUTH_SOCK); "" means no agent. One that does not answer is a notice.
	AgentSocket string
	// Only offers no key of the agent that no file names (IdentitiesOnly).
	Only bool
}

// clean gives w with one spelling for each path.
func (w KeySpec) clean() KeySpec {
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

// id is equal for equal wants. A path has no NUL in it, and no list in it is
// empty text, so that the parts cannot run into each other.
func (w KeySpec) id() string {
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
	for _, set := range []bool{w.Defaults, w.Only} {
		if set {
			b.WriteByte('y')
		} else {
			b.WriteByte('n')
		}
	}
	return b.String()
}
