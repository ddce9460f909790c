// Package console has what every command needs from its process: the standard
// streams, messages, exit codes and prompts for secrets. Results and progress
// are in package display.
package console

import (
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"shoal/internal/ui"
)

// Version is set by the linker; see the Makefile.
var Version = "unknown"

// Stdio are the streams of the process, or of a test.
type Stdio struct {
	In       io.Reader
	Out, Err io.Writer
}

// Complain prints an error. The text may quote a peer or a file, so it is made
// safe for a terminal.
func Complain(w io.Writer, err error) {
	Say(w, "%s", VisibleLines(err.Error()))
	if hinted, ok := errors.AsType[interface {
		error
		Hint() string
	}](err); ok && hinted.Hint() != "" {
		Hint(w, VisibleLines(hinted.Hint()))
	}
}

// Note prints a notice and, on a line of its own, its hint.
func Note(w io.Writer, text string) {
	what, hint := ui.SplitHint(text)
	Say(w, "%s", ui.Visible(what))
	if hint != "" {
		Hint(w, ui.Visible(hint))
	}
}

// Hint prints a hint on a line of its own.
func Hint(w io.Writer, text string) { write(w, "hint: "+text+"\n") }

// VisibleLines makes text safe for a terminal and keeps its line breaks.
func VisibleLines(text string) string {
	return string(ui.AppendVisible(nil, []byte(text), ui.KeepNewline))
}

// Say prints a message.
func Say(w io.Writer, format string, args ...any) {
	write(w, fmt.Sprintf("shoal: "+format+"\n", args...))
}

// write prints lines, broken between words if w is a terminal. Write errors are
// ignored: there is nowhere left to report them.
func write(w io.Writer, text string) {
	_, _ = io.WriteString(w, ui.Wrap(text, ui.Inspect(w, os.Getenv).Columns()))
}

// SuspendFlush is how long to wait for messages to be written before the
// process stops itself.
const SuspendFlush = 100 * time.Millisecond
