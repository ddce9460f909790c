package transfer

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"shoal/internal/remote"
)

// BenchmarkRequest is what a push of one file costs for each host before anything is sent. bytes is
// the length of the line.
func BenchmarkRequest(b *testing.B) {
	src := filepath.Join(b.TempDir(), "f")
	if err := os.WriteFile(src, []byte(strings.Repeat("x", 100)), 0o600); err != nil {
		b.Fatal(err)
	}
	m, err := Read(b.Context(), []string{src}, false)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = m.Close() })
	p := &Push{Manifest: m}
	b.ReportAllocs()
	n := 0
	for b.Loop() {
		line, _, err := p.request("/tmp/pushed", remote.NewNonce())
		if err != nil {
			b.Fatal(err)
		}
		n = len(line)
	}
	b.ReportMetric(float64(n), "bytes")
}
