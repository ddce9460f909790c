package sshdtest

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/crypto/ssh"

	"shoal/internal/needs"
)

var erlang = Kind{
	Name:     "Erlang",
	HostKeys: []KeyType{Ed25519, ECDSA, RSA},
	UserKeys: []KeyType{Ed25519, ECDSA, RSA},
	Kex:      []string{ssh.KeyExchangeCurve25519, ssh.KeyExchangeECDHP256},
	Ciphers: []string{
		ssh.CipherAES128GCM, ssh.CipherAES256GCM, ssh.CipherChaCha20Poly1305, ssh.CipherAES128CTR, ssh.CipherAES256CTR,
	},
	MACs:     []string{ssh.HMACSHA256ETM, ssh.HMACSHA512ETM, ssh.HMACSHA256, ssh.HMACSHA512},
	NoStdin:  true,
	settings: []Setting{Kex, Ciphers, MACs, ForceCommand},
}

// Erlang starts a server on Erlang's ssh application, which also runs on
// routers and switches. Its commands have no standard input, and their standard
// error is sent at their end.
func Erlang(t testing.TB, opts ...Option) *Server {
	t.Helper()
	o := erlang.apply(t, opts)
	bin := needs.Program(t, "/usr/bin/escript")
	s := newServer(t, o)
	s.makeHostKeys(t, o)
	program := s.unpack(t, "erlang_server.escript")
	path := filepath.Join(s.dir, "server.config")
	port, proc := startOnFreePort(t, s.dir, func(port uint16) launch {
		write(t, path, fmt.Appendf(nil,
			"#{address => %q, port => %d, dir => %q, home => %q, force_command => %q, settings => [%s]}.\n",
			loopback, port, s.dir, s.dir, o.forceCommand, strings.Join(erlangSettings(o), ", ")), 0o600)
		return launched([]string{bin, program, path}, port)
	})
	s.listensOn(t, port, proc)
	return s
}

// erlangSettings returns the options as terms for ssh:daemon/3.
func erlangSettings(o options) []string {
	var algorithms, settings []string
	for _, list := range []struct {
		kind  string
		names []string
	}{{"kex", o.kex}, {"cipher", o.ciphers}, {"mac", o.macs}} {
		if list.names != nil {
			algorithms = append(algorithms, fmt.Sprintf("{%s, ['%s']}", list.kind, strings.Join(list.names, "', '")))
		}
	}
	if algorithms != nil {
		settings = append(settings, fmt.Sprintf("{preferred_algorithms, [%s]}", strings.Join(algorithms, ", ")))
	}
	return settings
}
