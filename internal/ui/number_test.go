package ui

import (
	"math"
	"testing"
	"time"
)

func TestCount(t *testing.T) {
	for n, want := range map[int64]string{
		0: "0", 7: "7", 999: "999", 1000: "1,000", 9988: "9,988",
		123456: "123,456", 1234567: "1,234,567", -1000: "-1,000", -999: "-999",
		math.MinInt64: "-9,223,372,036,854,775,808",
	} {
		if got := Count(n); got != want {
			t.Errorf("Count(%d) = %q, want %q", n, got, want)
		}
	}
}

func TestBytes(t *testing.T) {
	for n, want := range map[int64]string{
		0: "0 B", 1023: "1023 B", 1024: "1.0 KiB", 1536: "1.5 KiB",
		10 << 10: "10 KiB", 1<<20 - 1: "1.0 MiB", 1 << 20: "1.0 MiB",
		16 << 20: "16 MiB", 5557452: "5.3 MiB", math.MaxInt64: "8.0 EiB",
	} {
		if got := Bytes(n); got != want {
			t.Errorf("Bytes(%d) = %q, want %q", n, got, want)
		}
	}
}

func TestDuration(t *testing.T) {
	for d, want := range map[time.Duration]string{
		-time.Second:                       "0.00 s",
		412 * time.Millisecond:             "0.41 s",
		996 * time.Millisecond:             "1.0 s",
		12345 * time.Millisecond:           "12.3 s",
		59949 * time.Millisecond:           "59.9 s",
		59960 * time.Millisecond:           "1 min 00 s",
		65 * time.Second:                   "1 min 05 s",
		59*time.Minute + 59600*1e6:         "1 h 00 min",
		2*time.Hour + 3*time.Minute:        "2 h 03 min",
		100*time.Hour + 59*time.Minute + 1: "100 h 59 min",
	} {
		if got := Duration(d); got != want {
			t.Errorf("Duration(%v) = %q, want %q", d, got, want)
		}
	}
}

func TestTruncate(t *testing.T) {
	for _, c := range []struct {
		text    string
		columns int
		want    string
	}{
		{"node[1-10]", 10, "node[1-10]"},
		{"node[1-10]", 9, "node[1-1…"},
		{"日本語", 6, "日本語"},
		{"日本語", 5, "日本…"},
		{"日本語", 4, "日…"},
		{"abc", 1, "…"},
		{"abc", 0, ""},
		{"abc", -1, ""},
		{"", 5, ""},
	} {
		got := Truncate(c.text, c.columns)
		if got != c.want || Width(got) > max(c.columns, 0) {
			t.Errorf("Truncate(%q, %d) = %q, want %q", c.text, c.columns, got, c.want)
		}
	}
}
