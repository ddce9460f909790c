package output

import (
	"bytes"
	"io"
	"sync"
)

// eraseLine moves to the beginning of the line and empties it (ECMA-48 §8.3.41,
// EL). It needs no cursor movement upwards, so that nothing that was printed
// before can be lost when the window changes its size.
const eraseLine = "\r\x1b[K"

// console is the terminal with one line at its bottom that changes. It is what
// mpb draws on. The lock is held across writes: the line and what is printed
// above it share one cursor.
type console struct {
	w       io.Writer
	columns func() int // gives 0 when unknown; nil when nobody can tell

	mu      sync.Mutex
	next    bytes.Buffer // the frame that is being drawn
	shown   []byte       // the frame on the screen; empty when there is none
	midLine bool         // what was printed above has not ended its line
	hidden  bool         // the frame is not to be on the screen
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

// ReadFrom takes a part of the next frame.
func (c *console) ReadFrom(r io.Reader) (int64, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.next.ReadFrom(r)
}

// Flush shows the next frame instead of the one on the screen.
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

// absent says that the frame is not on the screen, nor to be put there now.
func (c *console) absent() bool { return c.midLine || c.hidden }

// hide takes the line off the screen, or puts it back.
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

// clear takes the line off the screen.
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

// IsTerminal and GetTermSize are what mpb asks for.
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
