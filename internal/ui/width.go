package ui

import "github.com/clipperhouse/displaywidth"

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
