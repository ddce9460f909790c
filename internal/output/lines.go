package output

import (
	"bytes"
	"unicode/utf8"

	"shoal/internal/ui"
)

// maxLine is the longest line that is shown as one on a terminal, and the most
// that Live holds of a line whose end has not come; in bytes.
const maxLine = 64 << 10

// brokenMark ends a piece of a line that was broken because of its length.
const brokenMark = "…"

// label is text in front of lines in the way that o asks for.
func (o Out) label(text string, style ui.Style) []byte {
	if !o.Colour {
		style = ui.Plain
	}
	return style.Append(nil, ui.Visible(text))
}

// appendLines appends text with the prefix before each of its lines. A last
// line without its end gets one, except where the bytes pass exactly: without
// prefix and without escaping.
func (o Out) appendLines(dst, prefix, text []byte) []byte {
	if len(prefix) == 0 && !o.Escape {
		return append(dst, text...)
	}
	for len(text) > 0 {
		line := text
		if i := bytes.IndexByte(text, '\n'); i >= 0 {
			line = text[:i+1]
		}
		text = text[len(line):]
		dst = o.appendLine(dst, prefix, line)
	}
	return dst
}

// appendLine appends one line, whose end may be missing.
func (o Out) appendLine(dst, prefix, line []byte) []byte {
	for o.Escape && len(line) > maxLine {
		n := breakAt(line)
		dst = o.appendPiece(dst, prefix, line[:n])
		line = line[n:]
	}
	dst = append(dst, prefix...)
	if o.Escape {
		dst = ui.AppendVisible(dst, line, ui.KeepNewline|ui.KeepTab)
	} else {
		dst = append(dst, line...)
	}
	if !bytes.HasSuffix(line, []byte("\n")) {
		dst = append(dst, '\n')
	}
	return dst
}

// appendPiece appends a piece of a line that is too long for a terminal.
func (o Out) appendPiece(dst, prefix, piece []byte) []byte {
	dst = append(dst, prefix...)
	dst = ui.AppendVisible(dst, piece, ui.KeepTab)
	return append(dst, brokenMark+"\n"...)
}

// breakAt says how much of a line longer than maxLine to show as one piece:
// whole characters where it is UTF-8.
func breakAt(line []byte) int {
	for n := maxLine; n > maxLine-utf8.UTFMax; n-- {
		if utf8.RuneStart(line[n]) {
			return n
		}
	}
	return maxLine
}
