package ui

import (
	"strings"

	"github.com/clipperhouse/displaywidth"
)

// wrapIndent precedes the lines that continue one.
const wrapIndent = "  "

// Wrap breaks the lines of text, which must be visible, between words, so that they fit
// into the columns; 0 or less means any number. A word that is too long is left whole.
// Styles count as no columns.
func Wrap(text string, columns int) string {
	if columns <= 2*len(wrapIndent) {
		return text
	}
	var b strings.Builder
	for line := range strings.Lines(text) {
		if Width(unstyled(line)) <= columns {
			b.WriteString(line)
			continue
		}
		wrapLine(&b, line, columns)
	}
	return b.String()
}

func wrapLine(b *strings.Builder, line string, columns int) {
	at := 0        // columns of the line that is being written
	begun := false // it has a word
	for i, word := range strings.Split(line, " ") {
		width := Width(strings.TrimSuffix(unstyled(word), "\n"))
		switch {
		case i == 0:
		case begun && at+1+width > columns:
			b.WriteString("\n" + wrapIndent)
			at, begun = len(wrapIndent), false
		default:
			b.WriteByte(' ')
			at++
		}
		b.WriteString(word)
		at, begun = at+width, begun || word != ""
	}
}

// unstyled returns text without the sequences of a Style.
func unstyled(text string) string {
	for {
		before, rest, styled := strings.Cut(text, "\x1b[")
		if !styled {
			return text
		}
		_, after, ended := strings.Cut(rest, "m")
		if !ended {
			return text
		}
		text = before + after
	}
}

const ellipsis = "…"

// Width returns the number of terminal columns of text. The text must be visible already:
// escapes are counted as ordinary characters.
func Width(text string) int { return displaywidth.String(text) }

// Truncate returns text cut to the given number of columns, with an ellipsis at the end if
// something was cut off. For 0 columns it returns "".
func Truncate(text string, columns int) string {
	if columns <= 0 {
		return ""
	}
	return displaywidth.TruncateString(text, columns, ellipsis)
}

// Cut cuts text, which must be visible, after as many columns as there is room for. A character
// that is wider than all columns is not divided: it stays at the beginning of head.
func Cut(text string, columns int) (head, rest string) {
	if len(text) <= columns { // no character has more columns than bytes
		return text, ""
	}
	at, used := 0, 0
	for g := displaywidth.StringGraphemes(text); g.Next(); at += len(g.Value()) {
		if used += g.Width(); used > columns && at > 0 || columns <= 0 {
			break
		}
	}
	return text[:at], text[at:]
}

// AlignTable formats rows as a table for a terminal: the first and the last column are
// left-aligned, all others right-aligned.
func AlignTable(rows [][]string) string {
	widths := make([]int, len(rows[0]))
	for _, row := range rows {
		for i, text := range row {
			widths[i] = max(widths[i], Width(text))
		}
	}
	var b strings.Builder
	for _, row := range rows {
		var line strings.Builder
		for i, text := range row {
			gap := strings.Repeat(" ", widths[i]-Width(text))
			switch {
			case i == 0:
				line.WriteString(text + gap)
			case i == len(row)-1:
				line.WriteString("  " + text)
			default:
				line.WriteString("  " + gap + text)
			}
		}
		b.WriteString(strings.TrimRight(line.String(), " ") + "\n")
	}
	return b.String()
}
