package holder

import "testing"

// The larger the heap is, the less of it may be garbage while a run allocates.
func TestRunPercent(t *testing.T) {
	for live, want := range map[uint64]int{0: 400, 8 << 20: 400, 48 << 20: 100, 64 << 20: 75, 1 << 30: 50} {
		if got := runPercent(live); got != want {
			t.Errorf("%d bytes: %d %%, want %d", live, got, want)
		}
	}
}
