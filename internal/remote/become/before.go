package become

import (
	"bytes"
	"io"
)

// A before passes on one stream from behind the line that says that the command's user is the
// other one. It keeps what came earlier.
type before struct {
	try     *try
	to      io.Writer // nil drops the output
	telling bool      // the stream on which the method asks
	passing bool

	// The fields below are guarded by try.mu.
	held []byte // since the password was sent, or the beginning
	said []byte // before the password was sent

	// late is what has come since, of a Direct command's standard error: up to the end it may
	// be sudo's. over means that more came, and was passed on.
	late []byte
	over bool
}

// Bounds of what is kept before the command starts, in bytes.
const (
	maxHeld = 64 << 10
	maxSaid = 4 << 10
)

// Write implements io.Writer.
func (b *before) Write(p []byte) (int, error) {
	if !b.passing {
		rest, now := b.hold(p)
		if !now {
			return len(p), nil
		}
		b.passing = true
		if _, err := b.pass(rest); err != nil {
			return 0, err
		}
		return len(p), nil
	}
	return b.pass(p)
}

func (b *before) pass(p []byte) (int, error) {
	if b.telling && b.try.text.Direct && !b.over {
		if b.late = append(b.late, p...); len(b.late) <= maxSaid {
			return len(p), nil
		}
		b.over = true
		if err := b.release(); err != nil {
			return 0, err
		}
		return len(p), nil
	}
	if b.to == nil || len(p) == 0 {
		return len(p), nil
	}
	return b.to.Write(p)
}

// release passes on what was kept of a Direct command.
func (b *before) release() error {
	if b.to == nil || len(b.late) == 0 {
		return nil
	}
	_, err := b.to.Write(b.late)
	return err //nolint:wrapcheck // it is the caller's own
}

// hold keeps p, and returns what of it is the command's once that runs.
func (b *before) hold(p []byte) (rest []byte, now bool) {
	t := b.try
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.text.Terminal && !b.telling && t.became { // a stream that a terminal does not have
		return p, true
	}
	b.held = append(b.held, p...)
	before, rest, now := cutLine(b.held, t.text.Became())
	if now {
		rest = bytes.Clone(rest)
		b.held = before
		if b.telling {
			t.isNowLocked()
		}
		return rest, true
	}
	if b.telling && t.text.Ask {
		b.look()
	}
	if over := len(b.held) - maxHeld; over > 0 {
		b.held = append(b.held[:0], b.held[over:]...)
	}
	return nil, false
}

// look looks for the question for the password. try.mu must be held.
func (b *before) look() {
	t := b.try
	line := b.held[bytes.LastIndexByte(b.held, '\n')+1:]
	_, _, secret := cutLine(b.held, t.text.Secret())
	if secret || bytes.Contains(line, []byte(t.text.Prompt())) {
		t.questionLocked()
		return
	}
	t.awaitLocked(len(bytes.TrimRight(line, "\r")) > 0)
}

// cut separates what came before the password was sent. try.mu must be held.
func (b *before) cut() {
	b.said, b.held = append(b.said, b.held...), nil
	b.said = b.said[:min(len(b.said), maxSaid)]
}

// cutLine returns what is before and behind a line that ends with text.
func cutLine(p []byte, text string) (before, behind []byte, ok bool) {
	for _, end := range []string{"\n", "\r\n"} {
		if before, behind, ok = bytes.Cut(p, []byte(text+end)); ok {
			return before, behind, true
		}
	}
	return p, nil, false
}
