package remote

import (
	"crypto/rand"
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"
)

// MaxLine is the maximum length in bytes of a single argument on Linux (MAX_ARG_STRLEN
// without the final NUL): a server could not pass a longer line to any shell. Longer commands
// go through standard input; see Wrap.Request.
const MaxLine = 128<<10 - 1

// line returns the command line for the login shell. It uses eval so that the script can
// start itself again: $0 is its text.
func line(shell, script, argument string) (string, error) {
	return lineOf(shell, script, argument, MaxLine)
}

func lineOf(shell, script, argument string, limit int) (string, error) {
	if shell == "" {
		shell = defaultShell
	}
	text := "exec " + shell + ` -c 'eval "$0"' '` + script + "' '' '" + argument + "'"
	if len(text) > limit {
		return "", fmt.Errorf("the command takes %d bytes when wrapped, of at most %d", len(text), limit)
	}
	return text, nil
}

const defaultShell = "/bin/sh"

// oneLine joins the lines of a script with spaces, because csh accepts no newline between
// quotes. Every line must end where a blank may follow.
func oneLine(script string) string {
	var b strings.Builder
	for text := range strings.Lines(script) {
		if text = strings.TrimSpace(text); text != "" {
			b.WriteString(text)
			b.WriteByte(' ')
		}
	}
	return strings.TrimSuffix(b.String(), " ")
}

// encode returns text in a form that is safe between single quotes in every shell: a byte
// that a shell would interpret becomes \0 and three octal digits, for printf %b (XCU
// printf). It reports whether it changed anything.
func encode(text string) (string, bool) {
	var b strings.Builder
	for rest := text; rest != ""; {
		r, size := utf8.DecodeRuneInString(rest)
		if c := rest[0]; r == utf8.RuneError && size == 1 || c < ' ' && c != '\t' || c == 0x7f || strings.IndexByte(`\!'`, c) >= 0 {
			fmt.Fprintf(&b, `\0%03o`, c)
		} else {
			b.WriteString(rest[:size])
		}
		rest = rest[size:]
	}
	return b.String(), b.Len() != len(text)
}

// NewNonce returns an unpredictable nonce. Each query needs its own.
func NewNonce() string { return rand.Text() }

func validateNonce(nonce string) error {
	if len(nonce) < 8 || !isWord(nonce, "", 64) {
		return errors.New("a nonce has 8 to 64 letters and digits")
	}
	return nil
}
