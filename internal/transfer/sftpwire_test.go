package transfer

import "testing"

// A server's limits are taken within ours; what it does not say is what every server takes.
func TestPieceWithin(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		read, write uint64
		want        int
	}{
		{0, 0, usualPiece},
		{261120, 261120, maxPiece},
		{1<<64 - 1, 1<<64 - 1, maxPiece},
		{261120, 0, usualPiece},
		{60_000, 50_000, 50_000},
		{1, 261120, minPiece},
	} {
		if n := pieceWithin(c.read, c.write); n != c.want {
			t.Errorf("pieces of %d bytes for limits of %d and %d, want %d", n, c.read, c.write, c.want)
		}
	}
}
