package remote

import (
	"bytes"
	"errors"
	"fmt"
	"io"
)

// ErrNoSentinel means that the command's shell was not reached: a forced
// command, an account without a shell, or a login file that ends it.
var ErrNoSentinel = errors.New("the sentinel did not come: something else than the command ran")

// maxNoise is how much may stand before the sentinel, in bytes.
const maxNoise = 256 << 10

// A Cutter passes on what comes after the line of Wrap.Sentinel. It is not safe
// for concurrent use.
type Cutter struct {
	to    io.Writer
	line  []byte
	noise []byte // before the sentinel, as long as it has not come
	found bool
}

// NewCutter gives a Cutter for the standard output of a command that was
// wrapped with this nonce.
func NewCutter(to io.Writer, nonce string) *Cutter {
	return &Cutter{to: to, line: []byte(header(nonce) + "\n")}
}

// Write keeps or passes on p. After 256 KiB without the sentinel it fails with
// ErrNoSentinel.
func (c *Cutter) Write(p []byte) (int, error) {
	if c.found {
		return c.to.Write(p)
	}
	// The line may lie across two writes.
	from := max(0, len(c.noise)-len(c.line)+1)
	room := min(len(p), maxNoise+len(c.line)-len(c.noise))
	c.noise = append(c.noise, p[:room]...)
	at := bytes.Index(c.noise[from:], c.line)
	switch {
	case at < 0 && len(c.noise) >= maxNoise+len(c.line):
		return 0, fmt.Errorf("%w within %d bytes", ErrNoSentinel, maxNoise)
	case at < 0:
		return len(p), nil
	}
	c.found = true
	after := from + at + len(c.line)
	mine := len(p) - room // what did not go into noise
	rest := c.noise[after:]
	c.noise = c.noise[: after-len(c.line) : after-len(c.line)]
	if err := c.pass(rest); err != nil {
		return 0, err
	}
	return len(p), c.pass(p[len(p)-mine:])
}

func (c *Cutter) pass(p []byte) error {
	if len(p) == 0 {
		return nil
	}
	_, err := c.to.Write(p)
	return err
}

// Noise is what came before the sentinel, or everything where it did not come,
// at most 256 KiB and a line.
func (c *Cutter) Noise() []byte { return c.noise }

// Close tells whether the sentinel came; if not, with ErrNoSentinel. It closes
// nothing.
func (c *Cutter) Close() error {
	if !c.found {
		return fmt.Errorf("%w; what came begins with %.80q", ErrNoSentinel, c.noise)
	}
	return nil
}
