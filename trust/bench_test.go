package trust

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	crand "crypto/rand"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/knownhosts"

	"shoal/fleet"
)

func newEd25519(r *rand.Rand) ed25519.PublicKey {
	seed := make([]byte, ed25519.SeedSize)
	for i := range seed {
		seed[i] = byte(r.Uint32())
	}
	return ed25519.NewKeyFromSeed(seed).Public().(ed25519.PublicKey)
}

func newECDSA(t testing.TB) *ecdsa.PublicKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), crand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return &key.PublicKey
}

const benchHosts = 10_000

func benchFile(b *testing.B, key ssh.PublicKey, name func(string) string) string {
	b.Helper()
	var text []byte
	for i := range benchHosts {
		text = fmt.Appendf(text, "%s %s", name(benchHost(i)), ssh.MarshalAuthorizedKey(key))
	}
	path := filepath.Join(b.TempDir(), "known_hosts")
	if err := os.WriteFile(path, text, 0o600); err != nil {
		b.Fatal(err)
	}
	return path
}

func benchHost(i int) string { return fmt.Sprintf("node%05d.example.net", i) }

func inTheOpen(name string) string { return name }

func benchKey(b *testing.B, pub any) ssh.PublicKey {
	b.Helper()
	key, err := ssh.NewPublicKey(pub)
	if err != nil {
		b.Fatal(err)
	}
	return key
}

// BenchmarkOpen reads 10,000 lines.
func BenchmarkOpen(b *testing.B) {
	ed := benchKey(b, newEd25519(rand.New(rand.NewPCG(1, 1))))
	for _, c := range []struct {
		name string
		path string
	}{
		{"plain/ed25519", benchFile(b, ed, inTheOpen)},
		{"plain/ecdsa", benchFile(b, benchKey(b, newECDSA(b)), inTheOpen)},
		{"hashed/ed25519", benchFile(b, ed, knownhosts.HashHostname)},
	} {
		b.Run(c.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := Open(Options{Files: []string{c.path}}); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkHost does for one host all that a connection asks for, among 10,000.
func BenchmarkHost(b *testing.B) {
	key := benchKey(b, newEd25519(rand.New(rand.NewPCG(1, 1))))
	for _, c := range []struct {
		name string
		path string
	}{
		{"plain", benchFile(b, key, inTheOpen)},
		{"hashed", benchFile(b, key, knownhosts.HashHostname)},
	} {
		b.Run(c.name, func(b *testing.B) {
			s, err := Open(Options{Files: []string{c.path}})
			if err != nil {
				b.Fatal(err)
			}
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				to := fleet.Target{Host: fleet.Host{Name: benchHost(i % benchHosts)}}
				s.Algorithms(to)
				if err := s.Check(to, nil, key); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkLearn learns one new host, with the write.
func BenchmarkLearn(b *testing.B) {
	key := benchKey(b, newEd25519(rand.New(rand.NewPCG(1, 1))))
	s, err := Open(Options{Files: []string{filepath.Join(b.TempDir(), "known_hosts")}, Policy: AcceptNew})
	if err != nil {
		b.Fatal(err)
	}
	for i := 0; b.Loop(); i++ {
		to := fleet.Target{Host: fleet.Host{Name: benchHost(i)}}
		if err := s.Check(to, nil, key); err != nil {
			b.Fatal(err)
		}
		if err := s.Accepted(to, key); err != nil {
			b.Fatal(err)
		}
	}
}
