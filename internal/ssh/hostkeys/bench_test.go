package hostkeys

import (
	"context"
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
	"golang.org/x/sys/unix"

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

// BenchmarkHost makes all queries of one connection for one host of 10,000.
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

// BenchmarkRun makes all queries of the connections to 10,000 hosts, against 10,000 hashed
// lines: in file order with all hosts known, and with all unknown, where every line must be
// tested. cpu-ns/host is comparable with the cost of a handshake, because it does not change
// while others use the machine.
func BenchmarkRun(b *testing.B) {
	key := benchKey(b, newEd25519(rand.New(rand.NewPCG(1, 1))))
	path := benchFile(b, key, knownhosts.HashHostname)
	for _, c := range []struct {
		name string
		host func(int) string
	}{
		{"known", benchHost},
		{"unknown", func(i int) string { return "new" + benchHost(i) }},
	} {
		b.Run(c.name, func(b *testing.B) {
			before := cpuTime(b)
			for b.Loop() {
				s, err := Open(Options{Files: []string{path}, Policy: Insecure})
				if err != nil {
					b.Fatal(err)
				}
				for i := range benchHosts {
					to := fleet.Target{Host: fleet.Host{Name: c.host(i)}}
					s.Algorithms(to)
					if err := s.Check(to, nil, key); err != nil {
						b.Fatal(err)
					}
				}
			}
			b.ReportMetric(float64(cpuTime(b)-before)/float64(b.N)/benchHosts, "cpu-ns/host")
		})
	}
}

// cpuTime returns the user CPU time of this process, in nanoseconds.
func cpuTime(b *testing.B) int64 {
	b.Helper()
	var used unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &used); err != nil {
		b.Fatal(err)
	}
	return used.Utime.Nano()
}

// BenchmarkCertificate verifies a host certificate.
func BenchmarkCertificate(b *testing.B) {
	ca, err := ssh.NewSignerFromKey(ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize)))
	if err != nil {
		b.Fatal(err)
	}
	cert := &ssh.Certificate{
		Key:      benchKey(b, newEd25519(rand.New(rand.NewPCG(1, 1)))),
		CertType: ssh.HostCert, ValidPrincipals: []string{"*.example.net"}, ValidBefore: ssh.CertTimeInfinity,
	}
	if err := cert.SignCert(crand.Reader, ca); err != nil {
		b.Fatal(err)
	}
	path := filepath.Join(b.TempDir(), "known_hosts")
	text := "@cert-authority *.example.net " + string(ssh.MarshalAuthorizedKey(ca.PublicKey()))
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		b.Fatal(err)
	}
	s, err := Open(Options{Files: []string{path}})
	if err != nil {
		b.Fatal(err)
	}
	for i := 0; b.Loop(); i++ {
		if err := s.Check(fleet.Target{Host: fleet.Host{Name: benchHost(i)}}, nil, cert); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkEight tests one name against eight hashed lines: with a filter, using vector
// instructions if available, and one by one.
func BenchmarkEight(b *testing.B) {
	var f laneFilter
	names := make([]hashedName, lanes)
	for lane := range names {
		names[lane] = hide(benchHost(lane))
		f.set(lane, names[lane])
	}
	var q laneQuery
	q.set(benchHost(lanes))
	b.Run("filter", func(b *testing.B) {
		for b.Loop() {
			f.candidates(&q)
		}
	})
	b.Run("one by one", func(b *testing.B) {
		for b.Loop() {
			for lane := range names {
				names[lane].is(benchHost(0))
			}
		}
	})
}

// BenchmarkLearn learns one new host, including the write.
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
		if err := s.Accepted(context.Background(), to, key); err != nil {
			b.Fatal(err)
		}
	}
}
