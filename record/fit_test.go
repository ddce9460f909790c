package record

import (
	"bytes"
	"strings"
	"testing"
	"unicode/utf8"

	"pgregory.net/rapid"

	"shoal/fleet"
)

// No line is longer than readers take, whatever a host says; what it has is the beginning of what
// came, and it tells that there was more.
func TestLinesFit(t *testing.T) {
	t.Parallel()
	const maxLine = 4 << 10
	piece := rapid.SampledFrom([]string{"a", "\n", "\x00", "\"", "\\", "\x1b", "\x7f", "é", "\u0085", "\U000e0001", "😀", "\xff", "\xe2\x82", strings.Repeat("long ", 50)})
	text := rapid.Custom(func(t *rapid.T) []byte {
		b := []byte(strings.Join(rapid.SliceOfN(piece, 0, 40).Draw(t, "pieces"), ""))
		return bytes.Repeat(b, rapid.IntRange(0, 60).Draw(t, "times"))
	})
	rapid.Check(t, func(t *rapid.T) {
		out, err := text.Draw(t, "stdout"), text.Draw(t, "stderr")
		r := fleet.Result{
			Target: fleet.Target{Index: 3, Host: fleet.Host{Name: "h"}}, End: fleet.End{Outcome: fleet.OutcomeOK, Phase: fleet.PhaseRun},
			Stdout: fleet.Output{Bytes: out, Size: int64(len(out))}, Stderr: fleet.Output{Bytes: err, Size: int64(len(err))},
		}
		var files Files
		if rapid.Bool().Draw(t, "stored") {
			files[fleet.Stdout] = "h.out"
		}
		line := appendWithin(nil, &r, files, maxLine)
		if len(line) > maxLine+1 { // its newline is none of it
			t.Fatalf("a line of %d bytes", len(line))
		}
		whole := appendWithin(nil, &r, files, 1<<30)
		if len(whole) <= maxLine-2*aroundOutputs && !bytes.Equal(line, whole) {
			t.Fatalf("a line of %d bytes was cut to %d", len(whole), len(line))
		}
		got, _, e := decodeResult(bytes.TrimSuffix(line, []byte("\n")))
		if e != nil {
			t.Fatal(e)
		}
		cut := false
		for s, o := range []struct{ got, want fleet.Output }{{got.Stdout, r.Stdout}, {got.Stderr, r.Stderr}} {
			if files[s] != "" {
				continue
			}
			if !bytes.HasPrefix(o.want.Bytes, o.got.Bytes) || o.got.Size != o.want.Size {
				t.Fatalf("stream %d: %q of %q, size %d", s, o.got.Bytes, o.want.Bytes, o.got.Size)
			}
			cut = cut || len(o.got.Bytes) < len(o.want.Bytes)
		}
		if cut != got.Flags.Has(fleet.FlagOutputTruncated) {
			t.Fatalf("cut: %t, flags %v", cut, got.Flags)
		}
		if cut && len(line) < maxLine-2*aroundOutputs {
			t.Fatalf("cut to %d bytes", len(line))
		}
	})
}

// What is computed of a text is what is written.
func TestEncodedSize(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		text := []byte(rapid.String().Draw(t, "text"))
		if rapid.Bool().Draw(t, "broken") {
			text = append(text, 0xff)
		}
		got := len(appendQuoted(nil, text)) - 2
		if !utf8.Valid(text) {
			got = len(appendText(nil, "k", text)) - len(`,"k":"","k_encoding":"base64"`)
		}
		if n := encodedSize(text); n != got {
			t.Fatalf("%q: %d, written are %d", text, n, got)
		}
	})
}
