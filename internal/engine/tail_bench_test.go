package engine

import (
	"fmt"
	"testing"

	"shoal/fleet"
)

// BenchmarkTail writes 64 KiB in pieces, as they come from a channel, to an Output
// that a follower empties after each piece, or that has no follower.
func BenchmarkTail(b *testing.B) {
	const total = 64 << 10
	for _, followed := range []bool{false, true} {
		for _, size := range []int{64, 4 << 10} {
			b.Run(fmt.Sprintf("followed=%v/piece=%d", followed, size), func(b *testing.B) {
				piece := make([]byte, size)
				read := 0
				var follow func(*Output)
				if followed {
					follow = func(t *Output) {
						stdout, _ := t.Next()
						read += len(stdout)
					}
				}
				b.SetBytes(total)
				b.ReportAllocs()
				for b.Loop() {
					read = 0
					tail := newOutput(fleet.Target{}, 1, &Options{MaxOutput: DefaultMaxOutput, Follow: follow}, &budget{limit: -1}, nil)
					for range total / size {
						tail.add(fleet.Stdout, piece)
					}
					if stdout, _, _ := tail.close(); stdout.Size != total || followed && read != total {
						b.Fatalf("%d bytes came, %d were followed", stdout.Size, read)
					}
				}
			})
		}
	}
}
