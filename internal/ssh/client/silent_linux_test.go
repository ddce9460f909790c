package client

import (
	"context"
	"net"
	"runtime"
	"sync"
	"testing"
	"time"

	xssh "golang.org/x/crypto/ssh"

	"shoal/fleet"
	"shoal/internal/ssh"
	"shoal/internal/ssh/hostcache"
)

// BenchmarkSilent measures the memory, heap and stacks, of a connection whose server has taken
// it and says nothing: "first" for a server that is not known, "remembered" for one that has been
// sent the key exchange already. It includes what this test's side of the connection needs.
func BenchmarkSilent(b *testing.B) {
	for name, memory := range map[string]bool{"first": false, "remembered": true} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				b.ReportMetric(silentConnections(b, memory), "B/conn")
			}
		})
	}
}

func silentConnections(b *testing.B, remembered bool) float64 {
	const conns = 2000
	listener, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	accepted := make(chan net.Conn, conns) // sent by the goroutine below, closed when it ends
	go func() {
		defer close(accepted)
		for {
			c, err := listener.Accept()
			if err != nil {
				return
			}
			if remembered { // until the key exchange has come
				_ = c.SetReadDeadline(time.Now().Add(time.Minute))
				_, _ = c.Read(make([]byte, 1<<10))
			}
			accepted <- c
		}
	}()
	options := Options{HostKeys: noKeys{}, Identities: noKeys{}, Timeouts: ssh.Timeouts{Kex: time.Hour}}
	port := listener.Addr().(*net.TCPAddr).AddrPort().Port()
	target := ssh.Target{Target: fleet.Target{Host: fleet.Host{Name: "127.0.0.1"}, User: "u", Port: port, Command: "true"}}
	if remembered {
		options.Memory = newMemory(b)
		options.Memory.Put(endpoint(target.Target), hostcache.Entry{Identification: "SSH-2.0-silent", Client: clientExpress, Kex: []string{"mlkem768x25519-sha256"}, HostKeys: []string{xssh.KeyAlgoED25519}})
	}
	d, err := New(options)
	if err != nil {
		b.Fatal(err)
	}
	before := memoryInUse()
	ctx, cancel := context.WithCancel(b.Context())
	var all sync.WaitGroup
	for range conns {
		all.Go(func() {
			_, _ = d.Dial(ctx, &ssh.Attempt{Progress: new(ssh.Progress), Target: target, Stdout: new(byteCount), Stderr: new(byteCount)})
		})
	}
	var servers []net.Conn
	for range conns {
		servers = append(servers, <-accepted)
	}
	per := float64(memoryInUse()-before) / conns
	cancel()
	all.Wait()
	_ = listener.Close()
	for _, c := range servers {
		_ = c.Close()
	}
	for range accepted { // until it has ended
	}
	if err := d.Close(); err != nil {
		b.Error(err)
	}
	return per
}

// memoryInUse returns the bytes of heap and stacks in use after garbage was collected.
func memoryInUse() int64 {
	var m runtime.MemStats
	for range 3 { // the first one frees what the second one's weak pointers and stacks still have
		runtime.GC()
	}
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc + m.StackInuse)
}

// noKeys has no keys, and trusts none.
type noKeys struct{}

func (noKeys) Algorithms(ssh.Target) []string { return []string{xssh.KeyAlgoED25519} }

func (noKeys) Check(ssh.Target, net.Addr, xssh.PublicKey) error { return ssh.ErrUnplanned }

func (noKeys) Accepted(context.Context, ssh.Target, xssh.PublicKey) error { return nil }

func (noKeys) Signers(context.Context, ssh.Target) ([]xssh.Signer, error) { return nil, nil }
