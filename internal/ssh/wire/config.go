package wire

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"
)

// Config holds the options of a Client. The zero value offers the package's default
// algorithms.
type Config struct {
	// Version is our identification line without CR and LF (RFC 4253 §4.2). ""
	// means "SSH-2.0-shoal".
	Version string
	// Kex, HostKeys, Ciphers and MACs are the algorithms to offer, best first.
	// nil means the package's lists: KexAlgorithms, HostKeyAlgorithms, Ciphers, MACs.
	Kex, HostKeys, Ciphers, MACs []string
	// EarlyKex sends the first message of Kex[0] together with KEXINIT. The
	// guess is right whenever the server supports that method; otherwise the Client
	// ends with KindWrongGuess.
	EarlyKex bool
	// StepByStep sends nothing before the server's version line was received, for servers
	// that discard what they receive before it. It overrides EarlyKex.
	StepByStep bool
	// Window is how many bytes a server may send on a channel before Consumed is
	// called. 0 means DefaultWindow.
	Window uint32
	// RekeyBytes is how many bytes may be transferred in one direction before the Client
	// rekeys; it does not rekey before authentication has succeeded. 0 means
	// DefaultRekeyBytes.
	RekeyBytes uint64
	// RekeyAfter is how long keys are used before the Client rekeys, by Pass, at the next message
	// or call of Rekey; 0 means no limit.
	RekeyAfter time.Duration
	// Memory is what Clients build packets in until authentication is over, without holding any of it
	// while they wait, and by which they share what most servers say. nil means that each has its own.
	// Servers do not use it.
	Memory *Memory
	// Trace is called with every message, after it was decrypted or before it is
	// encrypted. nil disables it.
	Trace func(Message)
}

// Validate returns an error unless the version line conforms to RFC 4253 §4.2 and the
// package supports every algorithm. A list that is empty and not nil is valid but offers
// nothing, so that the connection will end with KindNoCommonAlgorithm.
func (c Config) Validate() error { return c.validate(false) }

// validate is Validate for one role: a server may say that it speaks SSH 1 too (RFC 4253 §5.1).
func (c Config) validate(server bool) error {
	spoken := strings.HasPrefix(c.Version, "SSH-2.0-") || server && strings.HasPrefix(c.Version, "SSH-1.99-")
	if v := c.Version; v != "" && (!spoken || len(v)+2 > MaxVersionLine || !printable(v)) {
		return fmt.Errorf("checking the configuration: %q is no version line of SSH-2.0", clip([]byte(v), MaxVersionLine))
	}
	for _, list := range []struct {
		what   string
		names  []string
		served func(string) bool
	}{
		{"key exchange method", c.Kex, func(name string) bool { return kexHash(name) != nil }},
		{"host-key algorithm", c.HostKeys, servesHostKey},
		{"cipher", c.Ciphers, func(name string) bool { return slices.Contains(cipherNames(), name) }},
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

func (c *Config) version() string    { return cmp.Or(c.Version, "SSH-2.0-shoal") }
func (c *Config) window() uint32     { return cmp.Or(c.Window, DefaultWindow) }
func (c *Config) rekeyBytes() uint64 { return cmp.Or(c.RekeyBytes, DefaultRekeyBytes) }
func (c *Config) earlyKex() bool     { return c.EarlyKex && !c.StepByStep }

// offered returns names, or the default list if names is nil.
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

// MACs lists the message authentication codes for ciphers that are not AEADs, best first.
func MACs() []string { return macNames() }

// HostKeyAlgorithms lists the host-key algorithms, best first, without certificates, which
// are only useful if a certificate authority is known.
func HostKeyAlgorithms() []string {
	return []string{
		"ssh-ed25519",
		"ecdsa-sha2-nistp256", "ecdsa-sha2-nistp384", "ecdsa-sha2-nistp521",
		"rsa-sha2-512", "rsa-sha2-256",
	}
}

// servesHostKey reports whether AllHostKeyAlgorithms contains name.
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
