package wire

import (
	"runtime"
	"testing"
)

// BenchmarkSeal seals messages of the largest size that channels use.
func BenchmarkSeal(b *testing.B) {
	for _, d := range allDirections() {
		b.Run(d.String(), func(b *testing.B) {
			s, _ := newPair(b, d)
			payload := make([]byte, 32<<10)
			var dst []byte
			b.SetBytes(int64(len(payload)))
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				dst = s.seal(dst[:0], payload, nil, uint32(i))
			}
		})
	}
}

// BenchmarkOpen takes 128 packets sealed beforehand with each new opener.
func BenchmarkOpen(b *testing.B) {
	const packets = 128
	for _, d := range allDirections() {
		b.Run(d.String(), func(b *testing.B) {
			s, _ := newPair(b, d)
			payload := make([]byte, 32<<10)
			var sealed []byte
			for i := range packets {
				sealed = s.seal(sealed, payload, nil, uint32(i))
			}
			work := make([]byte, len(sealed))
			b.SetBytes(int64(packets * len(payload)))
			for b.Loop() {
				b.StopTimer()
				copy(work, sealed)
				_, o := newPair(b, d)
				b.StartTimer()
				rest := work
				for i := range packets {
					var err error
					if _, rest, err = receive(o, rest, uint32(i)); err != nil {
						b.Fatal(err)
					}
				}
			}
		})
	}
}

// BenchmarkResident tells how many bytes a sealer and an opener hold together
// once both have worked, and after shrink.
func BenchmarkResident(b *testing.B) {
	const connections = 10000
	for _, d := range allDirections() {
		b.Run(d.String(), func(b *testing.B) {
			for b.Loop() {
				held := make([]any, 0, 2*connections)
				before := heap()
				for range connections {
					s, o := newPair(b, d)
					packet := s.seal(nil, []byte{msgIgnore}, nil, 0)
					if _, _, err := receive(o, packet, 0); err != nil {
						b.Fatal(err)
					}
					held = append(held, s, o)
				}
				b.ReportMetric(float64(heap()-before)/connections, "B/connection")
				for _, h := range held {
					h.(shrinker).shrink()
				}
				b.ReportMetric(float64(heap()-before)/connections, "B/waiting")
				runtime.KeepAlive(held)
			}
		})
	}
}

func heap() uint64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

func BenchmarkNewKeys(b *testing.B) {
	for _, d := range allDirections() {
		b.Run(d.String(), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				newPair(b, d)
			}
		})
	}
}
