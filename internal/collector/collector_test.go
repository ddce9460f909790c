package collector

import "testing"

func TestPercent(t *testing.T) {
	t.Parallel()
	for live, want := range map[uint64]int{0: 400, 4 << 20: 400, 8 << 20: 400, 16 << 20: 200, 32 << 20: 100, 50 << 20: 64, 64 << 20: 50, 1 << 40: 33} {
		if got := Percent(live, 32<<20); got != want {
			t.Errorf("%d MiB in use: %d, want %d", live>>20, got, want)
		}
	}
}

// The larger the heap is, the less of it may be garbage.
func TestPercentOfLargerRoom(t *testing.T) {
	t.Parallel()
	for live, want := range map[uint64]int{0: 400, 8 << 20: 400, 48 << 20: 100, 64 << 20: 75, 1 << 30: 33} {
		if got := Percent(live, 48<<20); got != want {
			t.Errorf("%d bytes: %d %%, want %d", live, got, want)
		}
	}
}
