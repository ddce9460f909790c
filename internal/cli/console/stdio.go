package console

import (
	"errors"
	"fmt"
	"io"
	"time"

	"shoal/internal/ui"
)

// Version is set by the linker; see the Makefile.
var Version = "unknown"

// Stdio are the streams of the process, or what a test wants.
type Stdio struct {
	In       io.Reader
	Out, Err io.Writer
}

// Complain prints an error for a person. It may quote what a peer or a file
// said, so it is made visible first.
func Complain(w io.Writer, err error) {
	Say(w, "%s", VisibleLines(err.Error()))
	if hinted, ok := errors.AsType[interface {
		error
		Hint() string
	}](err); ok && hinted.Hint() != "" {
		_, _ = fmt.Fprintf(w, "hint: %s\n", VisibleLines(hinted.Hint()))
	}
}

// VisibleLines makes text safe for a terminal and keeps its lines.
func VisibleLines(text string) string {
	return string(ui.AppendVisible(nil, []byte(text), ui.KeepNewline))
}

// Say prints a message for a person, beside the results. Nobody is told when
// that fails: there is nowhere left to tell it.
func Say(w io.Writer, format string, args ...any) {
	_, _ = fmt.Fprintf(w, "shoal: "+format+"\n", args...)
}

// SuspendFlush is how long a terminal may take to show why it gets its shell back.
const SuspendFlush = 100 * time.Millisecond
