package ssh

import (
	"fmt"
	"strings"

	xssh "golang.org/x/crypto/ssh"
)

// Tell passes one line on to Verbose. Callers test Verbose for nil first where the
// arguments cost something.
func (a *Attempt) Tell(format string, args ...any) {
	if a.Verbose != nil {
		a.Verbose(fmt.Sprintf(format, args...))
	}
}

// A KeyExplainer is a HostKeys that says for people what it knows of a key that Check
// has accepted: the line of known_hosts, for example.
type KeyExplainer interface {
	Explain(t Target, key xssh.PublicKey) string
}

// TellHostKey tells which host key was accepted, and why.
func (a *Attempt) TellHostKey(h HostKeys, key xssh.PublicKey) {
	if a.Verbose == nil {
		return
	}
	why := "accepted"
	if e, ok := h.(KeyExplainer); ok {
		why = e.Explain(a.Target, key)
	}
	a.Tell("host key %s %s: %s", key.Type(), xssh.FingerprintSHA256(key), why)
}

// KeyName returns type, fingerprint and origin of a key to offer, for people.
func KeyName(s xssh.Signer) string {
	name := s.PublicKey().Type() + " " + xssh.FingerprintSHA256(s.PublicKey())
	if o, ok := s.(interface{ From() string }); ok {
		name += " of " + o.From()
	}
	return name
}

// Brief returns the first line of an error, bounded, for people.
func Brief(err error) string {
	if err == nil {
		return ""
	}
	text, _, _ := strings.Cut(err.Error(), "\n")
	return fmt.Sprintf("%.300s", text)
}
