package remote

import (
	"bytes"
	"errors"
	"fmt"
	"io"
)

// ErrNoSentinel means that the output did not come from the command's shell, but from a
// forced command, an account without a shell, or a login file that ends the shell.
var ErrNoSentinel = errors.New("the sentinel did not come: something else than the command ran")

// maxNoise is the maximum number of bytes before the sentinel.
const maxNoise = 256 << 10

// A Cutter passes on the output that follows the sentinel line (see Wrap.Sentinel). It is
// not safe for concurrent use.
type Cutter struct {
	to    io.Writer
	line  []byte
	noise []byte // before the sentinel, until it has come
	found bool
}

// NewCutter returns a Cutter for the standard output of a command that was wrapped with
// nonce.
func NewCutter(to io.Writer, nonce string) *Cutter {
	return &Cutter{to: to, line: []byte(header(nonce) + "\n")}
}

// Write passes p on, or keeps it while the sentinel has not come. It fails with
// ErrNoSentinel after 256 KiB without the sentinel.
func (c *Cutter) Write(p []byte) (int, error) {
	if c.found {
		return c.to.Write(p)
	}
	// The line may be split between two writes.
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
	mine := len(p) - room // what was not added to noise
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

// Noise returns the output before the sentinel, or all output if it has not come: at most
// 256 KiB and a line.
func (c *Cutter) Noise() []byte { return c.noise }

// Close returns ErrNoSentinel if the sentinel has not come. It does not close the writer.
func (c *Cutter) Close() error {
	if !c.found {
		return fmt.Errorf("%w; what came begins with %.80q", ErrNoSentinel, c.noise)
	}
	return nil
}
