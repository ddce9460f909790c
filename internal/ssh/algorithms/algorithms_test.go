package algorithms

import (
	"errors"
	"slices"
	"strings"
	"testing"

	xssh "golang.org/x/crypto/ssh"

	"shoal/internal/ssh"
	"shoal/internal/ssh/wire"
)

func (l Lists) all() []string { return slices.Concat(l.Kex, l.HostKeys, l.Ciphers, l.MACs) }

// Nothing weak is offered by default, and nothing that needs strict key exchange by the fallback
// whatever is configured.
func TestNothingWeakByDefault(t *testing.T) {
	every := Legacy()
	standard := Default()
	route := &ssh.Settings{
		Kex: slices.Concat(standard.Kex, every.Kex), HostKeys: slices.Concat(standard.HostKeys, every.HostKeys),
		Ciphers: slices.Concat(standard.Ciphers, every.Ciphers), MACs: slices.Concat(standard.MACs, every.MACs),
	}
	for _, name := range slices.Concat(standard.all(), Fallback(&ssh.Settings{}).all(), Fallback(&ssh.Settings{}).all()) {
		if IsLegacy(name) || strings.Contains(name, "sha1") || strings.HasSuffix(name, "-cbc") {
			t.Errorf("%s is offered by default", name)
		}
	}
	offer := Fallback(route)
	for _, name := range offer.all() {
		if wire.NeedsStrict(name) {
			t.Errorf("the fallback offers %s", name)
		}
	}
	for _, name := range every.all() {
		if !slices.Contains(offer.all(), name) || !IsLegacy(name) {
			t.Errorf("%s is not offered although it is configured", name)
		}
	}
	// The library has every algorithm that it is said to have.
	modern, old := xssh.SupportedAlgorithms(), xssh.InsecureAlgorithms()
	for _, name := range every.all() {
		has := slices.Concat(old.KeyExchanges, old.HostKeys, old.Ciphers, old.MACs, modern.MACs)
		if !slices.Contains(has, name) {
			t.Errorf("the library lacks %s", name)
		}
	}
}

func TestFallbackOnARoute(t *testing.T) {
	for name, c := range map[string]struct {
		route ssh.Settings
		get   func(Lists) []string
		want  string
	}{
		"the route's order":  {ssh.Settings{Kex: []string{"diffie-hellman-group14-sha256", "curve25519-sha256"}}, func(l Lists) []string { return l.Kex }, "diffie-hellman-group14-sha256 curve25519-sha256"},
		"nothing in common":  {ssh.Settings{Kex: []string{"diffie-hellman-group18-sha512"}}, func(l Lists) []string { return l.Kex }, ""},
		"strict":             {ssh.Settings{Ciphers: []string{"chacha20-poly1305@openssh.com", "aes256-ctr"}}, func(l Lists) []string { return l.Ciphers }, "aes256-ctr"},
		"no MAC":             {ssh.Settings{Ciphers: []string{"aes256-ctr", "aes256-gcm@openssh.com"}, MACs: []string{"hmac-sha2-256-etm@openssh.com"}}, func(l Lists) []string { return l.Ciphers }, "aes256-gcm@openssh.com"},
		"no MAC, no cipher":  {ssh.Settings{Ciphers: []string{"aes256-ctr"}, MACs: []string{"umac-64@openssh.com"}}, func(l Lists) []string { return l.Ciphers }, ""},
		"the others as ever": {ssh.Settings{MACs: []string{"hmac-sha1"}}, func(l Lists) []string { return l.Kex }, strings.Join(Fallback(&ssh.Settings{}).Kex, " ")},
	} {
		if got := strings.Join(c.get(Fallback(&c.route)), " "); got != c.want {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
}

func TestExplain(t *testing.T) {
	for server, want := range map[string]string{
		"":                              "no",
		"something-new,x\x1b[2Jumac-64": "no",
		"diffie-hellman-group18-sha512": "no; diffie-hellman-group18-sha512 is not in golang.org/x/crypto/ssh\nhint: have the server offer another too, or use --client ssh",
		"umac-64@openssh.com,arcfour,a-cbc,b-cbc": "no; umac-64@openssh.com is not in golang.org/x/crypto/ssh; arcfour is broken; a-cbc is not in golang.org/x/crypto/ssh\nhint: have the server offer another too, or use --client ssh",
		"aes256-cbc,3des-cbc,aes128-cbc":          "no\nhint: -o Ciphers=+3des-cbc allows it, which is weak; better update the server",
		"ssh-dss,ssh-rsa":                         "no\nhint: -o HostKeyAlgorithms=+ssh-rsa allows it, which is weak; better update the server",
	} {
		if got := Explain(errors.New("no"), strings.Split(server, ",")).Error(); got != want {
			t.Errorf("%q: %q, want %q", server, got, want)
		}
	}
}

func TestWeak(t *testing.T) {
	modern := xssh.NegotiatedAlgorithms{KeyExchange: "curve25519-sha256", HostKey: "ssh-ed25519"}
	cbc, sha1 := modern, modern
	cbc.Read.Cipher, sha1.HostKey = "aes128-cbc", "ssh-rsa"
	if Weak(modern) || !Weak(cbc) || !Weak(sha1) {
		t.Errorf("weak: %t, %t, %t; want false, true, true", Weak(modern), Weak(cbc), Weak(sha1))
	}
}
