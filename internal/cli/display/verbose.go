package display

import (
	"fmt"
	"io"
	"os"
	"sync"

	"shoal/fleet"
	"shoal/internal/cli/console"
	"shoal/internal/ui"
)

// A Verbose prints the lines of -v, each after the name of its host. It never blocks on
// the terminal. A nil Verbose prints nothing.
type Verbose struct {
	own *Messages

	mu sync.Mutex
	to io.Writer
}

// NewVerbose returns a Verbose that prints to standard error, or nil if on is false.
func NewVerbose(on bool, stdio console.Stdio) *Verbose {
	if !on {
		return nil
	}
	own := newMessages(stdio.Err, ui.Inspect(stdio.Err, os.Getenv).Columns)
	return &Verbose{own: own, to: own}
}

// Tell implements the engine's Options.Verbose. The name is not followed by a colon at
// once, as it is before the output of hosts, which can therefore imitate no line.
func (v *Verbose) Tell(t fleet.Target, line string) {
	v.mu.Lock()
	defer v.mu.Unlock()
	_, _ = fmt.Fprintf(v.to, "%s -v: %s\n", ui.Visible(t.Host.String()), ui.Visible(line))
}

// Func returns Tell, or nil.
func (v *Verbose) Func() func(fleet.Target, string) {
	if v == nil {
		return nil
	}
	return v.Tell
}

// To has further lines printed by w, which is Results.Stderr, above the progress line;
// nil means standard error again, once that is closed.
func (v *Verbose) To(w io.Writer) {
	if v == nil {
		return
	}
	v.own.flush()
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.to = w; w == nil {
		v.to = v.own
	}
}

// Close prints what waits.
func (v *Verbose) Close() {
	if v != nil {
		v.own.flush()
		v.own.close()
	}
}
