package wrap

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"shoal/internal/remote"
)

const nonce = "N0nceN0nce"

// However the output is split, everything except the wrapper's own line is passed on, in
// order, also what a forced command or a login file writes behind it.
func TestRefusalIsTakenOut(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		// Parts of the mark are frequent, so that overlaps are too.
		part := rapid.OneOf(rapid.SampledFrom([]string{"s", "shoal/1 ", "shoal/1 " + nonce, "shoal/1 " + nonce + " refused", "\n"}), rapid.String())
		before := strings.Join(rapid.SliceOfN(part, 0, 6).Draw(t, "before"), "")
		before = strings.ReplaceAll(before, "shoal/1 "+nonce+" refused ", "")
		refused := rapid.Bool().Draw(t, "refused")
		text, behind := before, ""
		if refused {
			behind = strings.Repeat("x", rapid.IntRange(0, 2*maxRefusal).Draw(t, "long")) + strings.Join(rapid.SliceOfN(part, 0, 6).Draw(t, "behind"), "")
			text += "shoal/1 " + nonce + " refused again\n" + behind
		}
		var to bytes.Buffer
		r := newRefusal(nonce, &to)
		for rest := text; rest != ""; {
			n := rapid.IntRange(1, len(rest)).Draw(t, "n")
			if m, err := r.Write([]byte(rest[:n])); m != n || err != nil {
				t.Fatalf("Write gave %d, %v", m, err)
			}
			rest = rest[n:]
		}
		word, ok := r.close()
		if ok != refused || refused && word != remote.RefusedAgain {
			t.Errorf("%q: found %q, %v", text, word, ok)
		}
		if to.String() != before+behind {
			t.Errorf("passed on %q, want %q", to.String(), before+behind)
		}
	})
}

// However the output is split, everything except the line of confirmation is passed on, in
// order, also what another process writes behind it.
func TestConfirmationIsTakenOut(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		mark := remote.Confirmation(nonce)
		part := rapid.OneOf(rapid.SampledFrom([]string{"s", "shoal/1 ", "shoal/1 " + nonce, "shoal/1 " + nonce + " recorded", "\n"}), rapid.String())
		drawn := func(name string) string { return strings.Join(rapid.SliceOfN(part, 0, 6).Draw(t, name), "") }
		before, behind := strings.ReplaceAll(drawn("before"), mark, ""), ""
		confirmed := rapid.Bool().Draw(t, "confirmed")
		text := before
		if confirmed {
			behind = drawn("behind")
			text += mark + behind
		}
		if strings.Index(text, mark) != len(before) && confirmed || !confirmed && strings.Contains(text, mark) {
			t.Skip("another line is complete")
		}
		var to bytes.Buffer
		c := newConfirmation(remote.Confirmation(nonce), &to)
		for rest := text; rest != ""; {
			n := rapid.IntRange(1, len(rest)).Draw(t, "n")
			if m, err := c.Write([]byte(rest[:n])); m != n || err != nil {
				t.Fatalf("Write gave %d, %v", m, err)
			}
			if rest = rest[n:]; len(c.held) >= len(mark) {
				t.Fatalf("%d bytes are held", len(c.held))
			}
		}
		if seen := c.close(); seen != confirmed || to.String() != before+behind {
			t.Errorf("%q: seen %t, passed on %q, want %t, %q", text, seen, to.String(), confirmed, before+behind)
		}
	})
}

// An endless line that begins like the wrapper's is held only up to the length of a
// refusal.
func TestRefusalHoldsLittle(t *testing.T) {
	var to bytes.Buffer
	r := newRefusal(nonce, &to)
	text := "shoal/1 " + nonce + " refused " + strings.Repeat("x", 1000)
	for i := range len(text) {
		_, _ = r.Write([]byte{text[i]})
		if len(r.held) > maxRefusal+1 {
			t.Fatalf("%d bytes are held", len(r.held))
		}
	}
	if _, ok := r.close(); ok || to.String() != text {
		t.Errorf("found %v, passed on %d of %d bytes", ok, to.Len(), len(text))
	}
}

func TestRefusalTellsOfItsWriter(t *testing.T) {
	r := newRefusal(nonce, failing{})
	if _, err := r.Write([]byte("text")); !errors.Is(err, errFull) {
		t.Errorf("error %v, want %v", err, errFull)
	}
	silent := newRefusal(nonce, nil)
	if n, err := silent.Write([]byte("text")); n != 4 || err != nil {
		t.Errorf("without a writer: %d, %v", n, err)
	}
}

var errFull = errors.New("full")

type failing struct{}

func (failing) Write([]byte) (int, error) { return 0, errFull }

func TestReceiptIsBounded(t *testing.T) {
	var r receipt
	for range 3 {
		if n, err := r.Write(make([]byte, maxReceipt/2+1)); n != maxReceipt/2+1 || err != nil {
			t.Fatalf("Write gave %d, %v", n, err)
		}
	}
	if len(r.bytes) != maxReceipt {
		t.Errorf("%d bytes are kept, want %d", len(r.bytes), maxReceipt)
	}
}

// An opening skips what comes before the line, in whatever pieces, and nothing of what comes behind it.
func TestOpening(t *testing.T) {
	t.Parallel()
	const mark = "shoal/1 N script\n"
	for _, c := range []struct {
		text, want   string
		found, noisy bool
	}{
		{"", "", false, false},
		{mark, "", true, false},
		{"\n" + mark + "out", "out", true, false},
		{"Welcome\nshoal/1 N scr" + mark + "out\n", "out\n", true, true},
		{mark + mark + "out", "out", true, false}, // joined streams
		{mark + mark + mark + "out", mark + "out", true, false},
		{mark + "shoal/1 N scri", "shoal/1 N scri", true, false},
		{"forced\nshoal/1 N scri", "forced\nshoal/1 N scri", false, false},
		{strings.Repeat("x", maxNoise) + mark + "out", "out", true, true},
		{strings.Repeat("x", maxNoise+1) + mark + "out", strings.Repeat("x", maxNoise+1) + "out", true, false},
	} {
		for _, size := range []int{1, 3, len(mark), 4000, 1 << 20} {
			var got bytes.Buffer
			o := &opening{to: &got, mark: []byte(mark)}
			for at := 0; at < len(c.text); at += size {
				if n, err := o.Write([]byte(c.text[at:min(at+size, len(c.text))])); n != min(size, len(c.text)-at) || err != nil {
					t.Fatal(n, err)
				}
			}
			if found, noisy := (&openings{o, {to: io.Discard}}).close(); found != c.found || noisy != c.noisy || got.String() != c.want {
				t.Errorf("%.60q by %d: %.60q (%d bytes), found %v, noisy %v", c.text, size, got.String(), got.Len(), found, noisy)
			}
		}
	}
}
