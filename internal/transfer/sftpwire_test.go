package transfer

import "testing"

// A server's limits are taken within ours; what it does not say is what every server takes.
func TestPieceWithin(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		packet, read, write uint64
		want                int
	}{
		{0, 0, 0, usualPiece},
		{262144, 261120, 261120, maxPiece},
		{1<<64 - 1, 1<<64 - 1, 1<<64 - 1, maxPiece},
		{0, 261120, 0, usualPiece},
		{0, 60_000, 50_000, 50_000},
		{0, 1, 261120, minPiece},
		{34_000, 261120, 261120, 34_000 - aroundPiece},
		{1, 261120, 261120, minPiece},
	} {
		if n := pieceWithin(c.packet, c.read, c.write); n != c.want {
			t.Errorf("pieces of %d bytes for limits of %d, %d and %d, want %d", n, c.packet, c.read, c.write, c.want)
		}
	}
}
