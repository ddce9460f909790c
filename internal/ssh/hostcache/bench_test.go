package hostcache

import (
	"fmt"
	"runtime"
	"testing"
)

func BenchmarkOpen(b *testing.B) {
	for _, hosts := range []int{10_000, 100_000} {
		b.Run(fmt.Sprint(hosts), func(b *testing.B) {
			dir := b.TempDir()
			m := mustOpen(b, dir, on(day0))
			for i := range hosts {
				m.Put(endpointOf(i), kindOf(i))
			}
			mustClose(b, m)
			b.ReportAllocs()
			for b.Loop() {
				if m := mustOpen(b, dir, on(day0)); len(m.table.hosts) != hosts {
					b.Fatal(len(m.table.hosts))
				}
			}
		})
	}
}

// A fleet has few distinct profiles: eight here.
func kindOf(i int) Entry {
	e := sample
	e.Identification = fmt.Sprintf("SSH-2.0-OpenSSH_9.%dp1 Debian-2+deb12u10", i%8)
	return e
}

func endpointOf(i int) string { return fmt.Sprintf("node%05d.example.org:22", i) }

func BenchmarkGet(b *testing.B) {
	m := mustOpen(b, b.TempDir(), on(day0))
	for i := range 10_000 {
		m.Put(endpointOf(i), kindOf(i))
	}
	endpoint := endpointOf(4711)
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if _, ok := m.Get(endpoint); !ok {
				b.Error("not known")
			}
		}
	})
}

func BenchmarkPutAndClose(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		m := mustOpen(b, b.TempDir(), on(day0))
		for i := range 10_000 {
			m.Put(endpointOf(i), kindOf(i))
		}
		mustClose(b, m)
	}
}

// BenchmarkHeld measures the heap used by ten thousand entries.
func BenchmarkHeld(b *testing.B) {
	dir := b.TempDir()
	m := mustOpen(b, dir, on(day0))
	for i := range 10_000 {
		m.Put(endpointOf(i), kindOf(i))
	}
	mustClose(b, m)
	var before, after runtime.MemStats
	for b.Loop() {
		m = nil
		runtime.GC()
		runtime.ReadMemStats(&before)
		m = mustOpen(b, dir, on(day0))
		runtime.GC()
		runtime.ReadMemStats(&after)
	}
	b.ReportMetric(float64(after.HeapAlloc-before.HeapAlloc)/10_000, "B/host")
	runtime.KeepAlive(m)
}
