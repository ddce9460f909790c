package client

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"runtime/pprof"
	"sync"
	"testing"

	xssh "golang.org/x/crypto/ssh"

	"shoal/fleet"
	"shoal/internal/ssh"
	"shoal/internal/ssh/xcrypto"
	"shoal/simfleet"
)

// simKeys trusts and offers the keys of a simulated fleet.
type simKeys struct {
	fleet  *simfleet.Fleet
	client []xssh.Signer
	hosts  []xssh.PublicKey
}

func (k simKeys) Algorithms(ssh.Target) []string { return []string{xssh.KeyAlgoED25519} }

func (k simKeys) Check(t ssh.Target, _ net.Addr, key xssh.PublicKey) error {
	if string(k.hosts[t.Index%len(k.hosts)].Marshal()) != string(key.Marshal()) {
		return errors.New("another key")
	}
	return nil
}

func (simKeys) Accepted(context.Context, ssh.Target, xssh.PublicKey) error { return nil }

func (simKeys) AllowPassword(context.Context, ssh.Target, xssh.PublicKey) error { return nil }

func (k simKeys) Signers(context.Context, ssh.Target) ([]xssh.Signer, error) { return k.client, nil }

// BenchmarkConnection measures a whole connection: TCP, key exchange (ML-KEM), host
// key, authentication, command, close. Package xcrypto has the same benchmark. Time
// and allocations of the servers, which are in this process, are included; a label
// marks them in a profile (-tagignore side=server).
func BenchmarkConnection(b *testing.B) {
	for _, atOnce := range []int{1, 64} {
		for name, newDialer := range map[string]func(simKeys) (ssh.Dialer, error){
			"standard": func(k simKeys) (ssh.Dialer, error) {
				return xcrypto.New(xcrypto.Options{HostKeys: k, Identities: k})
			},
			"express-first": func(k simKeys) (ssh.Dialer, error) {
				return New(Options{HostKeys: k, Identities: k})
			},
			"express-remembered": func(k simKeys) (ssh.Dialer, error) {
				return New(Options{HostKeys: k, Identities: k, Memory: newMemory(b)})
			},
			"express-goroutine": func(k simKeys) (ssh.Dialer, error) {
				return New(Options{HostKeys: k, Identities: k, Memory: newMemory(b), Park: ParkGoroutine})
			},
		} {
			b.Run(fmt.Sprintf("%s/at-once=%d", name, atOnce), func(b *testing.B) {
				benchmarkConnection(b, atOnce, newDialer)
			})
		}
	}
}

func benchmarkConnection(b *testing.B, atOnce int, newDialer func(simKeys) (ssh.Dialer, error)) {
	keys := startKeys(b, 256)
	d, err := newDialer(keys)
	if err != nil {
		b.Fatal(err)
	}
	target := func(i int) fleet.Target {
		host := keys.fleet.Host(i % len(keys.hosts))
		return fleet.Target{Host: host, Index: i, User: "u", Port: host.Port, Command: "echo hello"}
	}
	next := make(chan int) // sent and closed below; one goroutine for each at once receives
	var workers sync.WaitGroup
	for range atOnce {
		workers.Go(func() {
			for i := range next {
				if err := connectOnce(b.Context(), d, target(i)); err != nil {
					b.Error(err)
				}
			}
		})
	}
	for i := range keys.hosts { // to be remembered
		next <- i
	}
	b.ReportAllocs()
	b.ResetTimer()
	for i := range b.N {
		next <- i
	}
	close(next)
	workers.Wait()
	b.StopTimer()
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "conns/s")
	if c, ok := d.(io.Closer); ok {
		if err := c.Close(); err != nil {
			b.Error(err)
		}
	}
}

func startKeys(b *testing.B, hosts int) simKeys {
	b.Helper()
	keys := simKeys{hosts: make([]xssh.PublicKey, hosts)}
	var err error
	pprof.Do(b.Context(), pprof.Labels("side", "server"), func(ctx context.Context) {
		keys.fleet, err = simfleet.Start(ctx, simfleet.Options{Hosts: hosts, Seed: b.Name(), DiscardLog: true})
	})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = keys.fleet.Close() })
	for i := range keys.hosts {
		keys.hosts[i] = keys.fleet.HostKey(i)
	}
	keys.client = []xssh.Signer{keys.fleet.ClientKey()}
	return keys
}

// A byteCount counts the bytes of a stream.
type byteCount int

func (n *byteCount) Write(p []byte) (int, error) {
	*n += byteCount(len(p))
	return len(p), nil
}

func connectOnce(ctx context.Context, d ssh.Dialer, t fleet.Target) error {
	var stdout, stderr byteCount
	conn, err := d.Dial(ctx, &ssh.Attempt{Progress: new(ssh.Progress), Target: ssh.Target{Target: t}, Stdout: &stdout, Stderr: &stderr})
	if err != nil {
		return err
	}
	ended := make(chan fleet.End, 1) // sent once by Start
	conn.Start(ctx, func(end fleet.End) { ended <- end })
	end := <-ended
	if err := conn.Close(); err != nil {
		return err
	}
	if end.Outcome != fleet.OutcomeOK || stdout != byteCount(len("hello\n")) || stderr != 0 {
		return fmt.Errorf("%v: %d and %d bytes of output: %w", end.Outcome, stdout, stderr, end.Err)
	}
	return nil
}
