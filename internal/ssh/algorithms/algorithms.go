// Package algorithms lists what the two clients can negotiate together: package wire with what
// it offers first, golang.org/x/crypto/ssh with what it has besides.
package algorithms

import (
	"slices"

	xssh "golang.org/x/crypto/ssh"

	"shoal/internal/ssh"
	"shoal/internal/ssh/wire"
)

// Lists are algorithms by kind, best first.
type Lists struct {
	Kex, HostKeys, Ciphers, MACs []string
}

// Default returns what is offered without configuration, by one client or the other. The
// algorithms of package wire come first.
func Default() Lists {
	modern := fallback()
	return Lists{
		Kex:      union(wire.KexAlgorithms(), modern.Kex),
		HostKeys: union(wire.AllHostKeyAlgorithms(), modern.HostKeys),
		Ciphers:  union(wire.Ciphers(), modern.Ciphers),
		MACs:     union(wire.MACs(), modern.MACs),
	}
}

// Legacy returns what is offered only where ssh_config or -o names it, by
// golang.org/x/crypto/ssh: for servers and network devices that have nothing better.
func Legacy() Lists {
	return Lists{
		Kex: []string{
			xssh.InsecureKeyExchangeDH14SHA1, xssh.InsecureKeyExchangeDHGEXSHA1, xssh.InsecureKeyExchangeDH1SHA1,
		},
		HostKeys: []string{xssh.KeyAlgoRSA}, // SHA-1 signatures
		Ciphers:  []string{xssh.InsecureCipherAES128CBC, xssh.InsecureCipherTripleDESCBC},
		MACs:     []string{xssh.HMACSHA1, xssh.InsecureHMACSHA196},
	}
}

// OnlyOpenSSH returns algorithms that are safe, and that the system's ssh has and neither client.
func OnlyOpenSSH() []string {
	return []string{
		"sntrup761x25519-sha512", "sntrup761x25519-sha512@openssh.com", "diffie-hellman-group18-sha512",
		"umac-64@openssh.com", "umac-128@openssh.com", "umac-64-etm@openssh.com", "umac-128-etm@openssh.com",
	}
}

// fallback returns what golang.org/x/crypto/ssh offers by default: no SHA-1, and nothing that
// needs strict key exchange, because the library uses that also with servers that lack it
// (CVE-2023-48795).
func fallback() Lists {
	modern := xssh.SupportedAlgorithms()
	return Lists{
		Kex:      modern.KeyExchanges,
		HostKeys: modern.HostKeys,
		Ciphers:  wire.WithoutStrict(modern.Ciphers),
		MACs:     slices.DeleteFunc(wire.WithoutStrict(modern.MACs), func(m string) bool { return m == xssh.HMACSHA1 }),
	}
}

// Fallback returns what golang.org/x/crypto/ssh offers with these settings. A list is empty if
// nothing is left.
func Fallback(s *ssh.Settings) Lists {
	l, old := fallback(), Legacy()
	for _, k := range []struct {
		offer      *[]string
		configured []string
		legacy     []string
	}{
		{&l.Kex, s.Kex, old.Kex},
		{&l.HostKeys, s.HostKeys, old.HostKeys},
		{&l.Ciphers, s.Ciphers, old.Ciphers},
		{&l.MACs, s.MACs, old.MACs},
	} {
		if k.configured != nil {
			*k.offer = Common(k.configured, append(*k.offer, k.legacy...))
		}
	}
	if len(l.MACs) == 0 { // only ciphers that need none
		l.Ciphers = Common(l.Ciphers, []string{xssh.CipherAES128GCM, xssh.CipherAES256GCM})
	}
	return l
}

// IsLegacy reports whether Legacy has the algorithm.
func IsLegacy(name string) bool {
	keyword, _ := legacyKeyword(name)
	return keyword != ""
}

// Weak reports whether a connection uses one of Legacy.
func Weak(a xssh.NegotiatedAlgorithms) bool {
	return slices.ContainsFunc([]string{
		a.KeyExchange, a.HostKey, a.Read.Cipher, a.Read.MAC, a.Write.Cipher, a.Write.MAC,
	}, IsLegacy)
}

// legacyKeyword returns the keyword of ssh_config that adds a legacy algorithm.
func legacyKeyword(name string) (keyword string, ok bool) {
	old := Legacy()
	for _, k := range []struct {
		keyword string
		names   []string
	}{
		{"KexAlgorithms", old.Kex}, {"HostKeyAlgorithms", old.HostKeys}, {"Ciphers", old.Ciphers}, {"MACs", old.MACs},
	} {
		if slices.Contains(k.names, name) {
			return k.keyword, true
		}
	}
	return "", false
}

// Common returns those of ours that are in theirs, in our order, never nil.
func Common(ours, theirs []string) []string {
	both := []string{}
	for _, name := range ours {
		if slices.Contains(theirs, name) {
			both = append(both, name)
		}
	}
	return both
}

func union(first, second []string) []string {
	all := slices.Clone(first)
	for _, name := range second {
		if !slices.Contains(all, name) {
			all = append(all, name)
		}
	}
	return all
}
