package ui_test

import (
	"testing"

	"shoal/internal/ui"
)

func TestSplitHint(t *testing.T) {
	for text, want := range map[string][2]string{
		"":                               {"", ""},
		"no advice":                      {"no advice", ""},
		"went wrong\nhint: do this":      {"went wrong", "do this"},
		"went wrong\nhint: one\nand two": {"went wrong", "one\nand two"},
		"hint: at the start is no hint":  {"hint: at the start is no hint", ""},
	} {
		what, hint := ui.SplitHint(text)
		if got := [2]string{what, hint}; got != want {
			t.Errorf("SplitHint(%q) = %q, want %q", text, got, want)
		}
	}
}
