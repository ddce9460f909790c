package remote

import (
	"fmt"
	"strings"
)

// Line returns the command line that runs a script of /bin/sh, under any login shell. The
// script has no single quote, backslash or exclamation mark but those of Octal, and each of its
// lines ends where a blank may follow. It fails if the line is longer than MaxLine without
// BecomeRoom.
func Line(script string) (string, error) { return lineOf("", oneLine(script), "", MaxLine-BecomeRoom) }

// Lines is Line for many hosts: the result returns the line of one, where $2 of the script is the
// argument, which must be letters, digits, blanks, what Octal returns and "=".
func Lines(script string) func(argument string) (string, error) {
	text := oneLine(script)
	return func(argument string) (string, error) { return line("", text, argument) }
}

// Octal returns text for printf %b, which may stand between double quotes in a script: all
// that a shell may interpret is \0 and three octal digits.
func Octal(text string) string {
	var b strings.Builder
	for _, c := range []byte(text) {
		if isWord(string(rune(c)), " _-+=:,.@%/", 1) {
			b.WriteByte(c)
		} else {
			fmt.Fprintf(&b, `\0%03o`, c)
		}
	}
	return b.String()
}
