package output

import (
	"bytes"
	"unicode/utf8"

	"shoal/internal/ui"
)

// maxLine is the maximum length in bytes of a line on a terminal before it is broken, and
// of an incomplete line that Live buffers.
const maxLine = 64 << 10

// brokenMark ends a piece of a line that was broken because it is too long.
const brokenMark = "…"

// label returns text, coloured in style if o.Colour is set.
func (o Out) label(text string, style ui.Style) []byte {
	if !o.Colour {
		style = ui.Plain
	}
	return style.Append(nil, ui.Visible(text))
}

// appendLines appends text with the prefix before each line. It completes a last line
// without a newline, except if bytes must stay exact: without prefix and without escaping.
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

// appendLine appends one line, with or without its newline.
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

// breakAt returns the length of the first piece of a line longer than maxLine. It does not
// split UTF-8 characters.
func breakAt(line []byte) int {
	for n := maxLine; n > maxLine-utf8.UTFMax; n-- {
		if utf8.RuneStart(line[n]) {
			return n
		}
	}
	return maxLine
}
