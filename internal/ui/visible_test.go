package ui

import (
	"bytes"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"pgregory.net/rapid"
)

// corpus is fault S11: output of hostile hosts to a terminal.
var corpus = []struct {
	name, in, want string
}{
	{"clean", "uptime: 3 days, load 0.1 \\x1b", "uptime: 3 days, load 0.1 \\x1b"},
	{"letters", "naïve 日本語 😀 e\u0301 ✔\ufe0f \ufffd", "naïve 日本語 😀 e\u0301 ✔\ufe0f \ufffd"},
	{"CSI colour", "\x1b[31mred\x1b[0m", `\x1b[31mred\x1b[0m`},
	{"CSI cursor up", "\x1b[2A\x1b[2K", `\x1b[2A\x1b[2K`},
	{"OSC title", "\x1b]0;owned\a", `\x1b]0;owned\x07`},
	{"OSC 52 clipboard", "\x1b]52;c;cm0gLXJm\x1b\\", `\x1b]52;c;cm0gLXJm\x1b\`},
	{"title report", "\x1b[21t", `\x1b[21t`},
	{"DCS", "\x1bP+q544e\x1b\\", `\x1bP+q544e\x1b\`},
	{"APC", "\x1b_Gf=100\x1b\\", `\x1b_Gf=100\x1b\`},
	{"C1 as bytes", "\x9b31m\x90\x9d\x85", `\x9b31m\x90\x9d\x85`},
	{"C1 as UTF-8", "\u009b31m\u0085", `\u009b31m\u0085`},
	{"overwrite", "failed\rok", `failed\rok`},
	{"CRLF", "a\r\nb\r\r\n", "a\nb\\r\n"},
	{"last CR", "a\r", `a\r`},
	{"backspace and bell", "a\bb\a", `a\x08b\x07`},
	{"NUL and DEL", "\x00\x7f", `\x00\x7f`},
	{"bidi overrides", "\u202a\u202b\u202c\u202d\u202e", `\u202a\u202b\u202c\u202d\u202e`},
	{"bidi isolates", "\u2066\u2067\u2068\u2069", `\u2066\u2067\u2068\u2069`},
	{"bidi marks", "\u200e\u200f\u061c", `\u200e\u200f\u061c`},
	{"zero width", "a\u200bb\u200cc\u200dd\u2060e\ufefff", `a\u200bb\u200cc\u200dd\u2060e\ufefff`},
	{"separators", "a\u2028b\u2029c", `a\u2028b\u2029c`},
	{"fillers", "\u3164\u115f\u00ad", `\u3164\u115f\u00ad`},
	{"tags", "a\U000e0041\U000e0101", `a\U000e0041\U000e0101`},
	{"cut UTF-8", "a\xe6\x97", `a\xe6\x97`},
	{"surrogate", "\xed\xa0\x80", `\xed\xa0\x80`},
	{"overlong", "\xc0\x9b\xe0\x80\x9b", `\xc0\x9b\xe0\x80\x9b`},
	{"beyond Unicode", "\xf4\x90\x80\x80", `\xf4\x90\x80\x80`},
	{"tab and newline", "a\tb\n", "a\tb\n"},
}

// faults.md: S11
func TestAppendVisible(t *testing.T) {
	for _, c := range corpus {
		got := AppendVisible([]byte("> "), []byte(c.in), KeepNewline|KeepTab)
		if string(got) != "> "+c.want {
			t.Errorf("%s:\n got %q\nwant %q", c.name, got, "> "+c.want)
		}
	}
}

func TestVisibleKeepsNothing(t *testing.T) {
	for in, want := range map[string]string{
		"node1":         "node1",
		"a\nb\tc\r\n":   `a\nb\tc\r\n`,
		"日本\xff\u202e":  `日本\xff\u202e`,
		"\ufffd stays":  "\ufffd stays",
		"\ufffd\x1b[0m": "\ufffd\\x1b[0m",
		"":              "",
	} {
		if got := Visible(in); got != want {
			t.Errorf("Visible(%q) = %q, want %q", in, got, want)
		}
	}
}

// faults.md: S11
func TestEveryFormatCharacterIsShown(t *testing.T) {
	for r := rune(0); r <= unicode.MaxRune; r++ {
		if !unicode.In(r, unicode.Cc, unicode.Cf, unicode.Zl, unicode.Zp, unicode.Bidi_Control) {
			continue
		}
		if got := Visible(string(r)); !isPrintableASCII(got) {
			t.Errorf("Visible(%U) = %q", r, got)
		}
	}
}

func isPrintableASCII(s string) bool {
	return !strings.ContainsFunc(s, func(r rune) bool { return r < ' ' || r > '~' })
}

// checkVisible holds for any input: nothing that a terminal interprets is left, and clean
// ASCII is unchanged.
func checkVisible(t interface{ Fatalf(string, ...any) }, in []byte) {
	out := AppendVisible(nil, in, KeepNewline|KeepTab)
	if !utf8.Valid(out) {
		t.Fatalf("%q: not UTF-8: %q", in, out)
	}
	for _, r := range string(out) {
		if r == '\n' || r == '\t' {
			continue
		}
		if unicode.In(r, unicode.Cc, unicode.Cf, unicode.Zl, unicode.Zp, unicode.Bidi_Control) {
			t.Fatalf("%q: %U is left in %q", in, r, out)
		}
	}
	if isPrintableASCII(string(in)) && !bytes.Equal(in, out) {
		t.Fatalf("%q: clean text became %q", in, out)
	}
	if once := AppendVisible(nil, out, KeepNewline|KeepTab); !bytes.Equal(once, out) {
		t.Fatalf("%q: not stable: %q became %q", in, out, once)
	}
	if got, want := Visible(string(in)), string(AppendVisible(nil, in, 0)); got != want {
		t.Fatalf("%q: Visible gives %q, AppendVisible %q", in, got, want)
	}
}

func TestVisibleProperties(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		checkVisible(t, rapid.SliceOf(rapid.Byte()).Draw(t, "bytes"))
		checkVisible(t, []byte(rapid.String().Draw(t, "text")))
	})
}

func FuzzAppendVisible(f *testing.F) {
	for _, c := range corpus {
		f.Add([]byte(c.in))
	}
	f.Fuzz(func(t *testing.T, in []byte) { checkVisible(t, in) })
}

func TestCleanTextDoesNotAllocate(t *testing.T) {
	text := []byte(strings.Repeat("a clean line of output\n", 40))
	dst := make([]byte, 0, len(text))
	allocs := testing.AllocsPerRun(100, func() {
		dst = AppendVisible(dst[:0], text, KeepNewline)
		_ = Visible("node[1-100]")
	})
	if allocs != 0 {
		t.Errorf("%v allocations", allocs)
	}
}

func BenchmarkAppendVisible(b *testing.B) {
	for name, line := range map[string]string{
		"clean":   "drwxr-xr-x 2 root root 4096 Jan  1 00:00 directory\n",
		"hostile": "\x1b[31m\u202edrwxr-xr-x\x9b\x1b[0m\r\n",
	} {
		b.Run(name, func(b *testing.B) {
			text := []byte(strings.Repeat(line, 64*1024/len(line)))
			dst := make([]byte, 0, 8*len(text))
			b.SetBytes(int64(len(text)))
			for b.Loop() {
				dst = AppendVisible(dst[:0], text, KeepNewline|KeepTab)
			}
		})
	}
}
