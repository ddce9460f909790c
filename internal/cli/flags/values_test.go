package flags

import (
	"testing"
	"time"
)

func TestSeconds(t *testing.T) {
	for text, want := range map[string]time.Duration{
		"10": 10 * time.Second, "0.5": 500 * time.Millisecond, "250ms": 250 * time.Millisecond, "2m": 2 * time.Minute, "0": 0,
	} {
		var s Seconds
		if err := s.Set(text); err != nil || s.Duration() != want {
			t.Errorf("%q: %v, %v, want %v", text, s.Duration(), err, want)
		}
	}
	for _, text := range []string{"", "soon", "-1", "-2s", "NaN", "inf", "1e300", "0.1ns", "1e-10"} {
		var s Seconds
		if err := s.Set(text); err == nil {
			t.Errorf("%q was taken for %v", text, s.Duration())
		}
	}
}

func TestSize(t *testing.T) {
	for text, want := range map[string]int64{
		"0": 0, "65536": 65536, "64K": 64 << 10, "64k": 64 << 10, "1MB": 1 << 20, "2G": 2 << 30, "100B": 100,
	} {
		var s Size
		if err := s.Set(text); err != nil || int64(s) != want {
			t.Errorf("%q: %d, %v, want %d", text, s, err, want)
		}
		var again Size
		if err := again.Set(s.String()); err != nil || again != s {
			t.Errorf("%q prints as %q, which reads as %d", text, s.String(), again)
		}
	}
	for _, text := range []string{"", "K", "-1", "1T", "9999999999G", "1.5M"} {
		var s Size
		if err := s.Set(text); err == nil {
			t.Errorf("%q was taken for %d", text, s)
		}
	}
}

func TestCount(t *testing.T) {
	for _, text := range []string{"0", "-1", "", "1.5", "many", "99999999999999999999"} {
		var c Count
		if err := c.Set(text); err == nil {
			t.Errorf("%q was taken for %d", text, c)
		}
	}
	var c Count
	if err := c.Set("12"); err != nil || c != 12 {
		t.Errorf("12: %d, %v", c, err)
	}
}
