package client

import "testing"

func TestMarkText(t *testing.T) {
	for mark, want := range map[string]string{
		markLateExec + "@20785": "takes no command ahead (found 2026-11-28)",
		markLateAuth:            "takes no authentication ahead",
		markNotStrict:           "has no strict key exchange",
		"later":                 "later",
	} {
		if got := markText(mark); got != want {
			t.Errorf("%s: %q, want %q", mark, got, want)
		}
	}
}
