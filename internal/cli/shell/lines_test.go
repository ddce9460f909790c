package shell

import "testing"

// A paste is the same however the terminal cuts what it sends.
func TestPasteCutAnywhere(t *testing.T) {
	t.Parallel()
	const text = "x\x1b" + pasteBegins + "one\rtwo\r\x1b[2three" + pasteEnds + "\r"
	end := len(text) - len(pasteEnds) - 1
	for a := range len(text) {
		for b := a; b < len(text); b++ {
			k := new(keys)
			for _, part := range []string{text[:a], text[a:b], text[b:]} {
				k.count(part)
			}
			if k.pasting || k.pasted != 2 {
				t.Errorf("cut at %d and %d: pasting %t, %d lines; want an ended paste of 2", a, b, k.pasting, k.pasted)
			}
		}
		k := new(keys)
		k.count(text[:a])
		if k.count(text[a:max(a, end)]); a <= end && (!k.pasting || k.pasted != 2) {
			t.Errorf("cut at %d, before its end: pasting %t, %d lines; want a paste of 2", a, k.pasting, k.pasted)
		}
	}
}
