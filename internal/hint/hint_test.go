package hint_test

import (
	"errors"
	"fmt"
	"io"
	"testing"

	"shoal/internal/hint"
)

// Advice is found in the chain and in a recorded text, and the text is the same in both.
func TestHint(t *testing.T) {
	const text = "reading x: EOF\nhint: write more"
	err := fmt.Errorf("reading x: %w", hint.Wrap(io.EOF, "write more"))
	if err.Error() != text || !errors.Is(err, io.EOF) || hint.Of(err) != "write more" {
		t.Errorf("%q: %q", err, hint.Of(err))
	}
	if what, advice := hint.Split(text); what != "reading x: EOF" || advice != "write more" {
		t.Errorf("%q %q", what, advice)
	}
	if got := hint.Of(errors.New(text)); got != "write more" {
		t.Errorf("recorded: %q", got)
	}
	if err := hint.New("a", "b"); err.Error() != "a\nhint: b" || hint.Of(err) != "b" {
		t.Errorf("%q", err)
	}
	if hint.Wrap(nil, "x") != nil || hint.Of(nil) != "" || hint.Of(io.EOF) != "" {
		t.Error("advice out of nothing")
	}
}

func TestSplit(t *testing.T) {
	for text, want := range map[string][2]string{
		"":                               {"", ""},
		"no advice":                      {"no advice", ""},
		"went wrong\nhint: do this":      {"went wrong", "do this"},
		"went wrong\nhint: one\nand two": {"went wrong", "one\nand two"},
		"hint: at the start is no hint":  {"hint: at the start is no hint", ""},
	} {
		what, advice := hint.Split(text)
		if got := [2]string{what, advice}; got != want {
			t.Errorf("Split(%q) = %q, want %q", text, got, want)
		}
	}
}

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
		if got := hint.Edits(c.a, c.b); got != c.want {
			t.Errorf("%q to %q: %d, want %d", c.a, c.b, got, c.want)
		}
		if got := hint.Edits(c.b, c.a); got != c.want {
			t.Errorf("%q to %q: %d, want %d", c.b, c.a, got, c.want)
		}
	}
}

func TestNearest(t *testing.T) {
	known := []string{"hostfile", "hosts", "host-key", "user", "fanout", "f"}
	for word, want := range map[string]string{
		"hostflie": "hostfile", "host": "hosts", "usr": "user", "fan": "fanout", "fa": "f", "hostkeys": "host-key", "inventory": "", "x": "", "": "", "xx": "",
	} {
		if got := hint.Nearest(word, known); got != want {
			t.Errorf("%q: %q, want %q", word, got, want)
		}
	}
}
