package xcrypto_test

import (
	"context"
	"errors"
	"fmt"
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
	fleet *simfleet.Fleet
	hosts []xssh.PublicKey
}

func (k simKeys) Algorithms(ssh.Target) []string { return []string{xssh.KeyAlgoED25519} }

func (k simKeys) Check(t ssh.Target, _ net.Addr, key xssh.PublicKey) error {
	if string(k.hosts[t.Index%len(k.hosts)].Marshal()) != string(key.Marshal()) {
		return errors.New("another key")
	}
	return nil
}

func (simKeys) Accepted(context.Context, ssh.Target, xssh.PublicKey) error { return nil }

func (k simKeys) Signers(context.Context, ssh.Target) ([]xssh.Signer, error) {
	return []xssh.Signer{k.fleet.ClientKey()}, nil
}

// BenchmarkConnection makes complete connections as a run does: TCP, key exchange, host key,
// authentication, command, close. The servers are in this process, so their time and
// allocations are included. A label separates them in a profile:
//
//	go test ./internal/ssh/xcrypto -run '^$' -bench Connection -cpuprofile cpu.out
//	go tool pprof -tagignore side=server -top -cum cpu.out
func BenchmarkConnection(b *testing.B) {
	for _, atOnce := range []int{1, 64} {
		b.Run(fmt.Sprintf("at-once=%d", atOnce), func(b *testing.B) { benchmarkConnection(b, atOnce) })
	}
}

func benchmarkConnection(b *testing.B, atOnce int) {
	keys := startSimFleet(b, 256)
	dialer, err := xcrypto.New(xcrypto.Options{HostKeys: keys, Identities: keys})
	if err != nil {
		b.Fatal(err)
	}
	next := make(chan int) // sent and closed below; received by one goroutine per concurrent connection
	var workers sync.WaitGroup
	for range atOnce {
		workers.Go(func() {
			for i := range next {
				host := keys.fleet.Host(i % len(keys.hosts))
				target := fleet.Target{Host: host, Index: i, User: "u", Port: host.Port, Command: "echo hello"}
				if err := connectOnce(b.Context(), dialer, target); err != nil {
					b.Error(err)
				}
			}
		})
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
}

func startSimFleet(b *testing.B, hosts int) simKeys {
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
