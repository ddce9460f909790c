package similar

import "testing"

func TestEdits(t *testing.T) {
	for _, c := range []struct {
		a, b string
		want int
	}{
		{"", "", 0},
		{"", "host", 4},
		{"host", "", 4},
		{"host", "host", 0},
		{"hosts", "host", 1},
		{"hst", "host", 1},
		{"hast", "host", 1},
		{"hsot", "host", 1},
		{"hostflie", "hostfile", 1},
		{"tsoh", "host", 3},
		{"ca", "abc", 3},
		{"print", "port", 3},
	} {
		if got := Edits(c.a, c.b); got != c.want {
			t.Errorf("%q to %q: %d, want %d", c.a, c.b, got, c.want)
		}
		if got := Edits(c.b, c.a); got != c.want {
			t.Errorf("%q to %q: %d, want %d", c.b, c.a, got, c.want)
		}
	}
}
