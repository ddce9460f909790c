package sshdtest

import (
	"slices"
	"testing"
)

// A Kind is an implementation of SSH. Its lists name what it speaks of what is
// in use today and golang.org/x/crypto/ssh speaks too; it may speak more.
type Kind struct {
	// Name is the implementation's own.
	Name string
	// Start starts one: the function of this package with that name.
	Start func(testing.TB, ...Option) *Server
	// HostKeys are the types of keys that it can have.
	HostKeys []KeyType
	// UserKeys are the types of keys that it lets in.
	UserKeys []KeyType
	// Kex are key exchange methods.
	Kex []string
	// Ciphers are ciphers, those with authentication of their own and others.
	Ciphers []string
	// MACs are those that go with the others.
	MACs []string
	// NoStdin says that a command has no standard input.
	NoStdin bool

	settings []Setting
}

// Kinds lists all implementations.
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

// Has says whether the server can be set up with the option of this name.
func (k Kind) Has(s Setting) bool { return s == everywhere || slices.Contains(k.settings, s) }
