package config_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"shoal/internal/ssh/config"
)

// fleetConfig returns a configuration of a few hundred blocks, typical for a fleet.
func fleetConfig(b *testing.B) *config.Config {
	b.Helper()
	var text strings.Builder
	for i := range 300 {
		fmt.Fprintf(&text, "Host rack%d-* !rack%d-x* gw%d\n  User u%d\n  Port %d\n  IdentityFile ~/.ssh/rack%d\n", i, i, i, i, 2200+i, i)
	}
	for i := range 50 {
		fmt.Fprintf(&text, "Match host \"*.site%d.example.com,!x*\" user u%d\n  ProxyJump gw%d\n", i, i, i)
	}
	text.WriteString("Host *\n  HostName %h.site7.example.com\n  UserKnownHostsFile ~/.ssh/known_%k\n  ServerAliveInterval 15\n" +
		"  Ciphers +aes128-cbc\nMatch final host *.site7.example.com\n  ConnectTimeout 10\n")
	path := filepath.Join(b.TempDir(), "config")
	if err := os.WriteFile(path, []byte(text.String()), 0o600); err != nil {
		b.Fatal(err)
	}
	c, err := config.Load(config.LoadOptions{File: path})
	if err != nil {
		b.Fatal(err)
	}
	return c
}

// BenchmarkResolve resolves one host of 10,000 against 351 blocks, in two passes: 100 µs per
// host are a second for all of them.
func BenchmarkResolve(b *testing.B) {
	c := fleetConfig(b)
	names := make([]string, 10_000)
	for i := range names {
		names[i] = fmt.Sprintf("rack%d-%d", i%300, i)
	}
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		r, err := c.Resolve(b.Context(), names[i%len(names)], config.Options{})
		if err != nil {
			b.Fatal(err)
		}
		if r.User != fmt.Sprint("u", i%len(names)%300) {
			b.Fatalf("%s: user %s", r.Host, r.User)
		}
	}
}

func BenchmarkLoad(b *testing.B) {
	c := fleetConfig(b)
	path := c.Files()[0]
	b.ReportAllocs()
	for b.Loop() {
		if _, err := config.Load(config.LoadOptions{File: path}); err != nil {
			b.Fatal(err)
		}
	}
}
