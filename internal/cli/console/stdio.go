// Package console has what every command needs from its process: the standard
// streams, messages, exit codes and prompts for secrets. Results and progress
// are in package display.
package console

import (
	"fmt"
	"io"
	"time"

	"shoal/internal/hint"
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
	if _, told := hint.Split(err.Error()); told == "" {
		if advice := hint.Of(err); advice != "" { // of a public package's own type
			Hint(w, VisibleLines(advice))
		}
	}
}

// Hint prints advice that is safe for a terminal.
func Hint(w io.Writer, advice string) { _, _ = fmt.Fprintf(w, "hint: %s\n", advice) }

// Note prints a notice and, on a line of its own, its hint.
func Note(w io.Writer, text string) {
	what, advice := hint.Split(text)
	Say(w, "%s", ui.Visible(what))
	if advice != "" {
		Hint(w, ui.Visible(advice))
	}
}

// VisibleLines makes text safe for a terminal and keeps its line breaks.
func VisibleLines(text string) string {
	return string(ui.AppendVisible(nil, []byte(text), ui.KeepNewline))
}

// Say prints a message. Write errors are ignored: there is nowhere left to
// report them.
func Say(w io.Writer, format string, args ...any) {
	_, _ = fmt.Fprintf(w, "shoal: "+format+"\n", args...)
}

// SuspendFlush is how long to wait for messages to be written before the
// process stops itself.
const SuspendFlush = 100 * time.Millisecond
