package simfleet

import (
	"context"
	"runtime/pprof"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"
)

// BenchmarkConnections is a whole connection each time: TCP, key exchange,
// authentication, `echo`, close. Client and server share the process; cpu-ms/op
// is the time of both. A label on the server's goroutines tells them apart:
//
//	go test ./simfleet -run '^$' -bench Connections -benchtime 5000x -cpuprofile cpu.out
//	go tool pprof -tags cpu.out
//	go tool pprof -tagfocus side=server -top -cum cpu.out
func BenchmarkConnections(b *testing.B) {
	for _, bench := range []struct{ name, kex string }{
		{"curve25519", ssh.KeyExchangeCurve25519},
		{"mlkem768x25519", ssh.KeyExchangeMLKEM768X25519},
	} {
		for _, server := range []Server{ServerWire, ServerXCrypto} {
			b.Run(bench.name+"/"+string(server), func(b *testing.B) { benchmarkConnections(b, bench.kex, server) })
		}
	}
}

func benchmarkConnections(b *testing.B, kex string, server Server) {
	const hosts, atOnce = 1000, 64
	var f *Fleet
	pprof.Do(b.Context(), pprof.Labels("side", "server"), func(context.Context) {
		f = startFleet(b, Options{Hosts: hosts, Server: server, DiscardLog: true})
	})
	for i := range hosts {
		f.HostKey(i)
	}
	next := make(chan int)
	var clients sync.WaitGroup
	for range atOnce {
		clients.Go(func() {
			for i := range next {
				config := clientConfig(f, i%hosts)
				config.KeyExchanges = []string{kex}
				client, err := ssh.Dial("tcp", f.Host(i%hosts).String(), config)
				if err != nil {
					b.Error(err)
					continue
				}
				if out, _, err := runOn(b, client, "echo hello", ""); err != nil || out != "hello\n" {
					b.Errorf("got %q, %v", out, err)
				}
				_ = client.Close()
			}
		})
	}
	before, start := cpuTime(b), time.Now()
	b.ResetTimer()
	for i := range b.N {
		next <- i
	}
	close(next)
	clients.Wait()
	b.StopTimer()
	n := float64(b.N)
	b.ReportMetric((cpuTime(b)-before).Seconds()*1e3/n, "cpu-ms/op")
	b.ReportMetric(n/time.Since(start).Seconds(), "conns/s")
}

func cpuTime(b *testing.B) time.Duration {
	b.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
