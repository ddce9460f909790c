package hint

import "testing"

func TestShellWord(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"": "''", "web1:22": "web1:22", "cause=auth,a-b_c.d/e@f%g+h": "cause=auth,a-b_c.d/e@f%g+h", "=ls": "'=ls'", "a b": "'a b'",
		"it's": `'it'\''s'`, "$x": "'$x'", "a\nb": "'a\nb'", "web[1-2]": "'web[1-2]'", "~": "'~'", "ä": "'ä'", "\xff": "'\xff'", "a;b": "'a;b'",
	} {
		if got := ShellWord(text); got != want {
			t.Errorf("%q: %s, want %s", text, got, want)
		}
	}
}
