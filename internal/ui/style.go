package ui

// A Style is an SGR sequence (ECMA-48 §8.3.117) that sets how text looks.
type Style string

// The styles in use; they are legible on dark and light backgrounds.
const (
	Plain  Style = ""
	Red    Style = "\x1b[31m"
	Yellow Style = "\x1b[33m"
	Cyan   Style = "\x1b[36m"
)

const reset = "\x1b[0m"

// Append appends text in the style. The text must be visible already.
func (s Style) Append(dst []byte, text string) []byte {
	if s == Plain {
		return append(dst, text...)
	}
	dst = append(dst, s...)
	dst = append(dst, text...)
	return append(dst, reset...)
}
