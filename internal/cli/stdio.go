package cli

import (
	"errors"
	"fmt"
	"io"
	"time"

	"shoal/internal/ui"
)

// version is set by the linker; see the Makefile.
var version = "unknown"

// Stdio are the streams of the process, or what a test wants.
type Stdio struct {
	In       io.Reader
	Out, Err io.Writer
}

// complain prints an error for a person. It may quote what a peer or a file
// said, so it is made visible first.
func complain(w io.Writer, err error) {
	say(w, "%s", visibleLines(err.Error()))
	if hinted, ok := errors.AsType[interface {
		error
		Hint() string
	}](err); ok && hinted.Hint() != "" {
		_, _ = fmt.Fprintf(w, "hint: %s\n", visibleLines(hinted.Hint()))
	}
}

// visibleLines makes text safe for a terminal and keeps its lines.
func visibleLines(text string) string {
	return string(ui.AppendVisible(nil, []byte(text), ui.KeepNewline))
}

// say prints a message for a person, beside the results. Nobody is told when
// that fails: there is nowhere left to tell it.
func say(w io.Writer, format string, args ...any) {
	_, _ = fmt.Fprintf(w, "shoal: "+format+"\n", args...)
}

// suspendFlush is how long a terminal may take to show why it gets its shell back.
const suspendFlush = 100 * time.Millisecond
