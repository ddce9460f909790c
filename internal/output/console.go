package output

import (
	"bytes"
	"io"
	"sync"
)

// eraseLine moves to the beginning of the line and erases it (ECMA-48 §8.3.41, EL). It
// does not move the cursor up, so resizing the window cannot erase earlier output.
const eraseLine = "\r\x1b[K"

// console is a terminal whose bottom line changes. mpb draws on it. The lock is held
// across writes, because the line and the output above it share one cursor.
type console struct {
	w       io.Writer
	columns func() int // returns 0 if unknown; nil means unknown

	mu      sync.Mutex
	next    bytes.Buffer // the frame being drawn
	shown   []byte       // the frame on the screen, or empty
	midLine bool         // the last output above did not end its line
	hidden  bool         // the frame must not be on the screen
}

// Write prints p above the changing line.
func (c *console) Write(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	var screen []byte
	if len(c.shown) > 0 && !c.absent() {
		screen = append(screen, eraseLine...)
	}
	erased := len(screen)
	screen = append(screen, p...)
	c.midLine = p[len(p)-1] != '\n'
	if !c.absent() {
		screen = append(screen, c.shown...)
	}
	n, err := c.w.Write(screen)
	return min(max(n-erased, 0), len(p)), err
}

// ReadFrom appends a part of the next frame.
func (c *console) ReadFrom(r io.Reader) (int64, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.next.ReadFrom(r)
}

// Flush replaces the frame on the screen with the next frame.
func (c *console) Flush(int) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	frame := bytes.TrimSpace(c.next.Bytes())
	defer c.next.Reset()
	if bytes.Equal(frame, c.shown) {
		return nil
	}
	c.shown = bytes.Clone(frame)
	if c.absent() {
		return nil
	}
	_, err := c.w.Write(append([]byte(eraseLine), frame...))
	return err
}

// absent reports whether the frame is not on the screen and must not be drawn now.
func (c *console) absent() bool { return c.midLine || c.hidden }

// hide erases the line, or draws it again.
func (c *console) hide(hidden bool) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if hidden == c.hidden {
		return nil
	}
	c.hidden = hidden
	if c.midLine || len(c.shown) == 0 {
		return nil
	}
	screen := []byte(eraseLine)
	if !hidden {
		screen = append(screen, c.shown...)
	}
	_, err := c.w.Write(screen)
	return err
}

// clear erases the line.
func (c *console) clear() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.shown) == 0 {
		return nil
	}
	c.shown = nil
	if c.absent() {
		return nil
	}
	_, err := c.w.Write([]byte(eraseLine))
	return err
}

// IsTerminal and GetTermSize implement the interface that mpb requires.
func (c *console) IsTerminal() bool { return true }

func (c *console) GetTermSize() (width, height int, err error) {
	if c.columns != nil {
		width = c.columns()
	}
	if width == 0 {
		width = 80
	}
	return width, 1, nil
}
