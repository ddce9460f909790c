package browser

import (
	"io"
	"strings"
	"sync"

	"shoal/internal/ui"
)

// maxAside bounds the text that is kept while the browser has the terminal, in bytes: the
// oldest is dropped.
const maxAside = 1 << 20

// An Aside keeps what is printed while the browser has the terminal, and tells the browser of
// it. Its methods are safe for concurrent use.
type Aside struct {
	mu      sync.Mutex
	w       io.Writer // nil until Release
	kept    []byte
	dropped bool
	notices []string
}

// Write implements io.Writer.
func (a *Aside) Write(p []byte) (int, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.w != nil {
		return a.w.Write(p) //nolint:wrapcheck // the caller knows what it writes to
	}
	a.kept = append(a.kept, p...)
	if n := len(a.kept) - maxAside; n > 0 {
		a.kept, a.dropped = append([]byte(nil), a.kept[n:]...), true
	}
	for line := range strings.Lines(string(p)) {
		if line = strings.TrimSpace(line); line != "" {
			a.notices = append(a.notices, ui.Visible(strings.TrimPrefix(line, "shoal: ")))
		}
	}
	if n := len(a.notices) - 100; n > 0 {
		a.notices = a.notices[n:]
	}
	return len(p), nil
}

// Notices returns the lines that were printed since the last call.
func (a *Aside) Notices() []string {
	a.mu.Lock()
	defer a.mu.Unlock()
	lines := a.notices
	a.notices = nil
	return lines
}

// Release writes what was kept to w, and from now on everything.
func (a *Aside) Release(w io.Writer) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	text := a.kept
	if a.dropped {
		text = append([]byte("shoal: earlier messages are left out here\n"), text...)
	}
	a.w, a.kept = w, nil
	_, err := w.Write(text)
	return err //nolint:wrapcheck // the caller knows what it writes to
}
