package ui

import "strings"

// SplitHint parts an error's text from the advice at its end, which stands on a
// line of its own that begins with "hint: ". hint is "" when there is none.
func SplitHint(text string) (what, hint string) {
	what, hint, _ = strings.Cut(text, "\nhint: ")
	return what, hint
}
