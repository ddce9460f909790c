package ssh

import (
	"fmt"
	"strings"

	xssh "golang.org/x/crypto/ssh"

	"shoal/fleet"
)

// Tell passes one line on to Verbose. Callers test Verbose for nil first where the
// arguments cost something.
func (a *Attempt) Tell(format string, args ...any) {
	if a.Verbose != nil {
		a.Verbose(fmt.Sprintf(format, args...))
	}
}

// EnvRefused tells that the server has refused the i-th variable of the target's Settings, and returns
// the flag of the end.
func (a *Attempt) EnvRefused(i int) fleet.Flags {
	s := a.Target.Settings()
	if i >= len(s.Env) {
		return 0
	}
	name, _, _ := strings.Cut(s.Env[i], "=")
	a.Tell("the server refuses the variable %.100q (AcceptEnv in sshd_config); --env has the wrapper set one", name)
	if i < len(s.Env)-s.EnvSet {
		return 0
	}
	return fleet.FlagEnvRefused
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
