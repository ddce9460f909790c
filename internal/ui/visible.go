package ui

import "unicode/utf8"

// Keep is the set of control characters that AppendVisible lets through. The zero value
// lets none through.
type Keep uint8

// The values of Keep.
const (
	// KeepNewline lets \n through and drops the \r of a CRLF line end: Windows hosts and
	// ttys end lines this way, and it hides no text.
	KeepNewline Keep = 1 << iota
	// KeepTab lets \t through.
	KeepTab
)

const hexDigits = "0123456789abcdef"

// AppendVisible appends text to dst and returns the extended slice. It makes visible
// everything that a terminal would interpret or hide:
//
//	\r \n \t         carriage return except in a kept CRLF, newline, tab
//	\x1b \x9b \xff   other C0 controls, DEL, and bytes that are not UTF-8
//	\u202e \u200b    C1 controls, bidi controls, zero-width and other format
//	                 characters, line and paragraph separators, invisible fillers
//	\U000e0041       the same beyond U+FFFF: tags, shorthand controls
//
// Everything else, including a backslash, is copied unchanged; the result cannot be
// converted back. Clean text costs one scan and one copy, and no allocation if dst has
// room.
func AppendVisible(dst, text []byte, keep Keep) []byte {
	clean := 0 // text[clean:i] is clean and not yet copied
	for i := 0; i < len(text); {
		if c := text[i]; c >= ' ' && c < 0x7f {
			i++
			continue
		}
		r, size := utf8.DecodeRune(text[i:])
		if isSafe(r, size, keep) {
			i += size
			continue
		}
		dst = append(dst, text[clean:i]...)
		if !endsCRLF(text[i:], keep) {
			dst = appendEscape(dst, r, size, text[i])
		}
		i += size
		clean = i
	}
	return append(dst, text[clean:]...)
}

// Visible is AppendVisible for single-line text: it also makes newlines and tabs visible.
// Clean text is returned unchanged.
func Visible(text string) string {
	for i, r := range text {
		// An invalid byte is decoded as a RuneError of size 1, which looks like U+FFFD
		// here; the slow path can tell them apart.
		if r == utf8.RuneError || !isSafe(r, utf8.RuneLen(r), 0) {
			return string(AppendVisible([]byte(text[:i]), []byte(text[i:]), 0))
		}
	}
	return text
}

func endsCRLF(text []byte, keep Keep) bool {
	return keep&KeepNewline != 0 && len(text) > 1 && text[0] == '\r' && text[1] == '\n'
}

// isSafe reports whether r, decoded from size bytes, may be sent to a terminal unchanged.
func isSafe(r rune, size int, keep Keep) bool {
	switch {
	case r == '\n':
		return keep&KeepNewline != 0
	case r == '\t':
		return keep&KeepTab != 0
	case r < 0xa0:
		return r >= ' ' && r < 0x7f
	case r == utf8.RuneError:
		return size > 1
	}
	return !isHidden(r)
}

// isHidden reports whether r affects the layout but is invisible. The ranges are Unicode
// 15's format characters (Cf), line and paragraph separators (Zl, Zp), blank fillers and
// the supplementary variation selectors. The basic selectors (U+FE00-F) are allowed
// because emoji use them.
func isHidden(r rune) bool {
	switch {
	case r < 0x0600:
		return r == 0x00ad || r == 0x034f // soft hyphen, grapheme joiner
	case r < 0x2000:
		return r <= 0x0605 || r == 0x061c || r == 0x06dd || r == 0x070f ||
			r == 0x0890 || r == 0x0891 || r == 0x08e2 ||
			r == 0x115f || r == 0x1160 || // Hangul fillers
			r == 0x17b4 || r == 0x17b5 || r >= 0x180b && r <= 0x180f
	case r < 0x10000:
		return r >= 0x200b && r <= 0x200f || // zero width, direction marks
			r >= 0x2028 && r <= 0x202e || // separators, embeddings, overrides
			r >= 0x2060 && r <= 0x206f || // joiners, isolates, shaping
			r == 0x3164 || r == 0xfeff || r == 0xffa0 || r >= 0xfff0 && r <= 0xfffb
	}
	return r == 0x110bd || r == 0x110cd || r >= 0x13430 && r <= 0x1345f ||
		r >= 0x1bca0 && r <= 0x1bca3 || r >= 0x1d173 && r <= 0x1d17a ||
		r >= 0xe0000 && r <= 0xe0fff // tags, variation selectors
}

// appendEscape appends the escape of r, or of the byte first if r is not one valid rune.
func appendEscape(dst []byte, r rune, size int, first byte) []byte {
	switch {
	case r == '\r':
		return append(dst, `\r`...)
	case r == '\n':
		return append(dst, `\n`...)
	case r == '\t':
		return append(dst, `\t`...)
	case size == 1:
		return append(dst, '\\', 'x', hexDigits[first>>4], hexDigits[first&0xf])
	case r < 0x10000:
		return appendHex(append(dst, `\u`...), r, 4)
	}
	return appendHex(append(dst, `\U`...), r, 8)
}

func appendHex(dst []byte, r rune, digits int) []byte {
	for shift := 4 * (digits - 1); shift >= 0; shift -= 4 {
		dst = append(dst, hexDigits[r>>shift&0xf])
	}
	return dst
}
