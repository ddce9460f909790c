package posix

import (
	"bytes"
	"fmt"
	"io"
	"runtime"
	"strings"
	"testing"
	"time"

	"shoal/internal/remote"
)

// BenchmarkOnce is a command with a marker on a new host each time. kB/host is what
// the host then keeps.
func BenchmarkOnce(b *testing.B) {
	hosts := make([]*Host, b.N)
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	b.ReportAllocs()
	b.ResetTimer()
	for n := range hosts {
		h := New(Config{Name: "h", BootID: "id", Boot: time.Now(), Size: 1 << 20, Random: func() io.Reader { return strings.NewReader("") }})
		hosts[n] = h
		line, _, err := remote.Wrap{Nonce: "N0nceN0nce", Marker: &remote.Marker{Run: "run", Index: n}}.Request(fmt.Sprint("echo hello ", n))
		if err != nil {
			b.Fatal(err)
		}
		var stdout bytes.Buffer
		s := h.Start(h.Login("ada"), line, 0, Streams{Stdin: strings.NewReader(""), Stdout: &stdout, Stderr: io.Discard})
		<-s.Done()
		if stdout.String() != fmt.Sprintf("hello %d\n", n) {
			b.Fatalf("got %q", stdout.String())
		}
	}
	b.StopTimer()
	runtime.GC()
	runtime.ReadMemStats(&after)
	b.ReportMetric(float64(after.HeapAlloc-before.HeapAlloc)/1e3/float64(b.N), "kB/host")
	runtime.KeepAlive(hosts)
}
