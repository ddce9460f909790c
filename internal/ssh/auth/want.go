package auth

import (
	"path/filepath"
	"strings"
)

// A KeySpec specifies the keys to offer to one target, from its configuration. The zero value
// means none. Paths are used as they are: ~ and tokens are not expanded.
type KeySpec struct {
	// Files are private keys in OpenSSH's format, PEM or PKCS #8, in the order of offering
	// (IdentityFile in ssh_config(5)). If the agent has the private key, a file may also be a
	// public key, or a private key whose public key is readable without the passphrase; or the
	// file is missing and the one with ".pub" added is the public key. A
	// certificate beside it (name-cert.pub) is offered before the key.
	Files []string
	// Certificates are certificate files (CertificateFile). Each is offered before its key,
	// which must be in one of Files or in the agent.
	Certificates []string
	// Defaults also offers ~/.ssh/id_ed25519, id_ecdsa, id_rsa, id_ed25519_sk and id_ecdsa_sk,
	// after the agent's keys. One that cannot be used is a notice.
	Defaults bool
	// AgentSocket is the path of the agent's socket (IdentityAgent, or SSH_AUTH_SOCK); "" means
	// no agent. An agent that does not answer is a notice.
	AgentSocket string
	// Only restricts the agent's keys to those that a file names (IdentitiesOnly).
	Only bool
	// NoPassphrase leaves out files that need a passphrase (BatchMode).
	NoPassphrase bool
	// SHA1 lets RSA keys sign as ssh-rsa, for a Dialer that asks for it; without it they make no
	// SHA-1 signature (PubkeyAcceptedAlgorithms with ssh-rsa).
	SHA1 bool
}

// clean returns w with normalised paths.
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

// id returns the same text for equal specs. Paths contain no NUL and lists contain no empty
// text, so that the parts are unambiguous.
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
	for _, set := range []bool{w.Defaults, w.Only, w.NoPassphrase, w.SHA1} {
		if set {
			b.WriteByte('y')
		} else {
			b.WriteByte('n')
		}
	}
	return b.String()
}
