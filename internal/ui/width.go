package ui

import "github.com/clipperhouse/displaywidth"

const ellipsis = "…"

// Width is the number of terminal columns that text takes. The text must be
// visible already: an escape is counted as its characters.
func Width(text string) int { return displaywidth.String(text) }

// Truncate gives the beginning of text that fits into so many columns, with an
// ellipsis at its end when something was cut off. No column gives "".
func Truncate(text string, columns int) string {
	if columns <= 0 {
		return ""
	}
	return displaywidth.TruncateString(text, columns, ellipsis)
}
