package wire

import (
	"fmt"
	"slices"
	"strings"
)

// Config says how a Client speaks. Its zero value offers all that the package
// has. Its lists are not changed after New, and many Clients may share them.
type Config struct {
	// Version is our identification line without CR and LF (RFC 4253 §4.2). ""
	// means "SSH-2.0-shoal".
	Version string
	// Kex, HostKeys, Ciphers and MACs are the algorithms to offer, best first.
	// nil means all that the package has: KexAlgorithms, HostKeyAlgorithms,
	// Ciphers, MACs.
	Kex, HostKeys, Ciphers, MACs []string
	// EarlyKex sends the first message of Kex[0] together with KEXINIT. The
	// guess is right whenever the server has that method; otherwise the Client
	// ends with KindWrongGuess.
	EarlyKex bool
	// StepByStep sends nothing before the server's version line, for servers
	// that discard what comes before they have greeted. It overrides EarlyKex.
	StepByStep bool
	// Window is what a server may send on a channel before Consumed is called,
	// in bytes. 0 means DefaultWindow.
	Window uint32
	// RekeyBytes is how much goes in one direction before the Client exchanges
	// keys anew, in bytes; it begins no exchange before authentication has
	// succeeded. 0 means DefaultRekeyBytes.
	RekeyBytes uint64
	// Trace is told of every message, after it was decrypted or before it is
	// encrypted. nil means that nobody is.
	Trace func(Message)
}

// Validate says whether New takes c: the version line fits RFC 4253 §4.2, and
// every algorithm is one that the package has. An empty list that is not nil
// offers nothing, so that the connection will end with KindNoCommonAlgorithm.
func (c Config) Validate() error {
	if v := c.Version; v != "" && (!strings.HasPrefix(v, "SSH-2.0-") || len(v)+2 > MaxVersionLine || !printable(v)) {
		return fmt.Errorf("checking the configuration: %q is no version line of SSH-2.0", clip([]byte(v), MaxVersionLine))
	}
	for _, list := range []struct {
		what   string
		names  []string
		served func(string) bool
	}{
		{"key exchange method", c.Kex, func(name string) bool { return kexHash(name) != nil }},
		{"host-key algorithm", c.HostKeys, servesHostKey},
		{"cipher", c.Ciphers, func(name string) bool { return slices.Contains(allCiphers(), name) }},
		{"MAC", c.MACs, func(name string) bool { return slices.Contains(macNames(), name) }},
	} {
		for _, name := range list.names {
			if !list.served(name) {
				return fmt.Errorf("checking the configuration: the %s %s is not implemented", list.what, bounded(name))
			}
		}
	}
	return nil
}

// withDefaults gives c with its zero values replaced, but for the lists: those
// are made when they are needed, so that a connection does not hold them.
func (c Config) withDefaults() *Config {
	if c.Version == "" {
		c.Version = "SSH-2.0-shoal"
	}
	if c.Window == 0 {
		c.Window = DefaultWindow
	}
	if c.RekeyBytes == 0 {
		c.RekeyBytes = DefaultRekeyBytes
	}
	c.EarlyKex = c.EarlyKex && !c.StepByStep
	return &c
}

// offered gives a list, or what stands for nil.
func offered(names []string, all func() []string) []string {
	if names == nil {
		return all()
	}
	return names
}

// KexAlgorithms lists the key exchange methods, best first.
func KexAlgorithms() []string { return kexNames() }

// Ciphers lists the ciphers, best first.
func Ciphers() []string { return cipherNames() }

// allCiphers adds to Ciphers what is served and not offered by itself.
func allCiphers() []string { return append(cipherNames(), ctr192) }

// MACs lists the message authentication codes for ciphers without their own,
// best first.
func MACs() []string { return macNames() }

// HostKeyAlgorithms lists the host-key algorithms, best first, without
// certificates, which only help where a certificate authority is known.
func HostKeyAlgorithms() []string {
	return []string{
		"ssh-ed25519",
		"ecdsa-sha2-nistp256", "ecdsa-sha2-nistp384", "ecdsa-sha2-nistp521",
		"rsa-sha2-512", "rsa-sha2-256",
	}
}

// servesHostKey says whether AllHostKeyAlgorithms has a name.
func servesHostKey(name string) bool {
	base, _ := strings.CutSuffix(name, certSuffix)
	return keyType(base) != ""
}

// AllHostKeyAlgorithms lists everything that Config.HostKeys may hold.
func AllHostKeyAlgorithms() []string {
	all := HostKeyAlgorithms()
	for _, name := range HostKeyAlgorithms() {
		all = append(all, name+certSuffix)
	}
	return all
}
