package ui

import "strings"

// SplitHint splits an error's text from its hint, the last line, which begins with "hint:
// ". hint is "" if there is none.
func SplitHint(text string) (what, hint string) {
	what, hint, _ = strings.Cut(text, "\nhint: ")
	return what, hint
}
