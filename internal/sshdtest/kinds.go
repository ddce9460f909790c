package sshdtest

import (
	"slices"
	"testing"
)

// A Kind is an implementation of SSH. Its lists have the algorithms in use
// today that golang.org/x/crypto/ssh also supports; it may support more.
type Kind struct {
	// Name is the implementation's name.
	Name string
	// Start starts a server: the function of this package with that name.
	Start func(testing.TB, ...Option) *Server
	// HostKeys are the supported types of host key.
	HostKeys []KeyType
	// UserKeys are the types of client key that it accepts.
	UserKeys []KeyType
	// Kex are key exchange methods.
	Kex []string
	// Ciphers are ciphers, both AEAD and others.
	Ciphers []string
	// MACs are the MACs for ciphers without authentication.
	MACs []string
	// NoStdin reports that commands have no standard input.
	NoStdin bool

	settings []Setting
}

// Kinds returns all implementations.
func Kinds() []Kind {
	return []Kind{
		openSSH.with(OpenSSH),
		dropbear.with(Dropbear),
		tinySSH.with(TinySSH),
		asyncSSH.with(AsyncSSH),
		paramiko.with(Paramiko),
		conch.with(Conch),
		erlang.with(Erlang),
	}
}

func (k Kind) with(start func(testing.TB, ...Option) *Server) Kind {
	k.Start = start
	return k
}

// Has reports whether the server supports the option of this name.
func (k Kind) Has(s Setting) bool { return s == everywhere || slices.Contains(k.settings, s) }
