package posix

import (
	"strings"
	"testing"

	"mvdan.cc/sh/v3/syntax"
)

// printed returns statements as text.
func printed(t testing.TB, stmts ...*syntax.Stmt) string {
	t.Helper()
	var b strings.Builder
	for _, s := range stmts {
		if err := syntax.NewPrinter().Print(&b, s); err != nil {
			t.Fatal(err)
		}
		b.WriteByte('\n')
	}
	return b.String()
}

// FuzzSimpleCommand asserts that whatever simpleCommand parses is what the parser finds in it.
func FuzzSimpleCommand(f *testing.F) {
	for _, line := range lines {
		f.Add(line)
	}
	for _, line := range []string{"a", " a  'b c' d'e'f '' ", "exec /bin/sh -c 'eval \"$0\"' 'x; y' '' 'n'", "if", "then", "time x", "a '", "a\tb", "'a' b", "function a", "a 'ä\xff'", "2 x", "-", "a %1 +x @y", "a 'b\r\nc\r'"} {
		f.Add(line)
	}
	f.Fuzz(func(t *testing.T, line string) {
		line = strings.ReplaceAll(line, "\x00", "") // as parse does
		got := simpleCommand(line)
		if got == nil {
			return
		}
		file, err := syntax.NewParser(syntax.Variant(syntax.LangPOSIX)).Parse(strings.NewReader(latin1(line)), "")
		if err != nil {
			t.Fatalf("%q is %q here, and an error for the parser: %v", line, printed(t, got), err)
		}
		if got, want := printed(t, got), printed(t, file.Stmts...); got != want {
			t.Errorf("%q is %q, want %q", line, got, want)
		}
	})
}

// TestSimpleCommand asserts that the lines of a client are of this kind.
func TestSimpleCommand(t *testing.T) {
	for line, want := range map[string]bool{
		"exec /bin/sh -c 'eval \"$0\"' 'x; y' '' 'n'": true,
		"a b=c": false, // it would not matter there, but in front of a
		"a; b":  false,
		"a $b":  false,
		"":      false,
		"if":    false,
	} {
		if got := simpleCommand(line) != nil; got != want {
			t.Errorf("%q: %v, want %v", line, got, want)
		}
	}
}
