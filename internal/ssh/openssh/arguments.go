package openssh

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"shoal/internal/ssh"
)

const knownSuffix = ".k"

// host returns the name by which the program knows the target: Kerberos and host-based
// authentication use it.
func host(t ssh.Target) string { return t.Dialled() }

// offersKeys reports whether public keys may be offered.
func (l *login) offersKeys() bool { return slices.Contains(l.methods(), "publickey") }

// arguments returns the program's command line. The first value of an option counts
// (ssh_config(5)), so that what decides about trust comes first.
func (l *login) arguments() []string {
	t := l.attempt.Target
	own := t.Settings()
	agent := "none"
	if l.agent != nil {
		agent = quoted(l.path + agentSuffix)
	}
	forward := "no"
	if l.forward != nil {
		forward = quoted(l.path + forwardSuffix)
	}
	options := []string{
		"StrictHostKeyChecking yes",
		"UserKnownHostsFile " + quoted(l.path+knownSuffix),
		"GlobalKnownHostsFile none",
		"UpdateHostKeys no",
		"VerifyHostKeyDNS no",
		"CheckHostIP no",
		"NoHostAuthenticationForLocalhost no",
		"HashKnownHosts no",

		"BatchMode yes",
		"NumberOfPasswordPrompts 0",
		"PasswordAuthentication no",
		"KbdInteractiveAuthentication no",
		"PreferredAuthentications " + cmp.Or(strings.Join(l.methods(), ","), "none"),
		"IdentityAgent " + agent,
		"IdentityFile none", // the others are added to it
		"IdentitiesOnly no",
		"AddKeysToAgent no",

		"ProxyCommand -",
		"ControlMaster yes",
		"ControlPath " + quoted(l.path),
		"ControlPersist no",
		"ServerAliveInterval 0",
		"ConnectTimeout 0",
		"ClearAllForwardings yes",
		"ForwardAgent " + forward,
		"ForwardX11 no",
		"Tunnel no",
		"PermitLocalCommand no",
		"CanonicalizeHostname no",
		"EscapeChar none",
		"LogLevel ERROR",
		"Port " + strconv.Itoa(port(t)),
	}
	if t.Route != nil && t.Route.HostKeyAlias != "" {
		options = append(options, "HostKeyAlias "+quoted(t.Route.HostKeyAlias))
	}
	if own.RekeyBytes > 0 || own.RekeyAfter > 0 {
		options = append(options, rekeyLimit(own))
	}
	for _, path := range own.Keys.Hardware {
		options = append(options, "IdentityFile "+quoted(path))
	}
	options = append(options, own.Program.Options...)
	options = append(options, l.algorithms()...)

	args := []string{"-F", "none", "-N", "-T", "-l", t.User}
	for _, o := range options {
		args = append(args, "-o", o)
	}
	return append(args, "--", host(t))
}

// algorithms returns the lists of algorithms. Those that ssh_config sets stand in
// Program.Options already and count. SHA-1 and what is older is not among the others, and what
// is safe without strict key exchange (CVE-2023-48795) comes first: see login.strict. The names
// are those that OpenSSH 7.6 and later know.
func (l *login) algorithms() []string {
	list := []string{
		"KexAlgorithms -*-sha1",
		"Ciphers aes128-gcm@openssh.com,aes256-gcm@openssh.com,aes128-ctr,aes192-ctr,aes256-ctr,chacha20-poly1305@openssh.com",
		"MACs hmac-sha2-256,hmac-sha2-512,umac-128@openssh.com,umac-64@openssh.com," +
			"hmac-sha2-256-etm@openssh.com,hmac-sha2-512-etm@openssh.com,umac-128-etm@openssh.com,umac-64-etm@openssh.com",
		"PubkeyAcceptedKeyTypes " + weakKeys,
	}
	if l.attempt.Target.Settings().Keys.SHA1 {
		list = list[:3]
	}
	if names := l.dialer.opts.HostKeys.Algorithms(l.attempt.Target); len(names) > 0 && !l.attempt.Target.Settings().Program.KnownHostsCommand {
		return append(list, "HostKeyAlgorithms "+strings.Join(names, ","))
	}
	return append(list, "HostKeyAlgorithms "+weakKeys)
}

const weakKeys = "-ssh-rsa,ssh-dss,ssh-rsa-cert-*,ssh-dss-cert-*"

// methods returns the authentication methods to try.
func (l *login) methods() []string {
	methods := l.attempt.Target.Settings().Program.Methods
	if methods == nil && slices.Contains(l.attempt.Target.Methods(), "publickey") {
		return []string{"publickey"}
	}
	return methods
}

func port(t ssh.Target) int {
	for _, p := range []uint16{t.Port, t.Host.Port} {
		if p != 0 {
			return int(p)
		}
	}
	return 22
}

func rekeyLimit(s *ssh.Settings) string {
	bytes, after := "default", "none"
	if s.RekeyBytes > 0 {
		bytes = strconv.FormatUint(s.RekeyBytes, 10)
	}
	if s.RekeyAfter > 0 {
		after = strconv.Itoa(int(s.RekeyAfter.Seconds()))
	}
	return fmt.Sprintf("RekeyLimit %s %s", bytes, after)
}

// quoted returns a value as one word of ssh_config, in which no token is replaced.
func quoted(s string) string {
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`, `%`, `%%`).Replace(s) + `"`
}
