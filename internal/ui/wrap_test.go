package ui

import (
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func TestWrap(t *testing.T) {
	red := string(Red.Append(nil, "node1:"))
	for _, c := range []struct {
		text    string
		columns int
		want    string
	}{
		{"hint: delete line 41 of \"kh\"\n", 20, "hint: delete line 41\n  of \"kh\"\n"},
		{"fits\nand this does not fit\n", 10, "fits\nand this\n  does not\n  fit\n"},
		{"a word/that/is/too/long here\n", 10, "a\n  word/that/is/too/long\n  here\n"},
		{"  2 failed, exit status 1\n", 14, "  2 failed,\n  exit status\n  1\n"},
		{red + " exit status 1\n", 20, red + " exit status 1\n"},
		{"any width at all\n", 0, "any width at all\n"},
		{"", 10, ""},
	} {
		if got := Wrap(c.text, c.columns); got != c.want {
			t.Errorf("%d columns: %q, want %q", c.columns, got, c.want)
		}
	}
}

// Wrapping only turns spaces into line breaks, and breaks no word.
func TestWrapKeepsText(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.StringOfN(rapid.RuneFrom([]rune("ab \n")), 0, 100, -1).Draw(t, "text")
		columns := rapid.IntRange(-1, 30).Draw(t, "columns")
		got := Wrap(text, columns)
		if strings.Join(strings.Fields(got), " ") != strings.Join(strings.Fields(text), " ") {
			t.Fatalf("%q became %q", text, got)
		}
	})
}

func TestCut(t *testing.T) {
	for _, c := range []struct {
		text       string
		columns    int
		head, rest string
	}{
		{"", 3, "", ""},
		{"abc", 3, "abc", ""},
		{"abcd", 3, "abc", "d"},
		{"日本語", 3, "日", "本語"},
		{"日本語", 4, "日本", "語"},
		{"日本", 1, "日", "本"},
		{"e\u0301e\u0301", 1, "e\u0301", "e\u0301"},
		{"abc", 0, "", "abc"},
	} {
		if head, rest := Cut(c.text, c.columns); head != c.head || rest != c.rest {
			t.Errorf("%q in %d columns: %q, %q", c.text, c.columns, head, rest)
		}
	}
}
