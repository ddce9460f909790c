package wrap

import (
	"bytes"
	"io"

	"shoal/internal/remote"
)

// maxReceipt is the maximum number of bytes of noise and receipt that a server may send
// for a detached command.
const maxReceipt = 64 << 10

// A receipt collects the standard output of a detached start. Output beyond the bound is
// dropped, and then no receipt is found.
type receipt struct{ bytes []byte }

func (r *receipt) Write(p []byte) (int, error) {
	r.bytes = append(r.bytes, p[:min(len(p), maxReceipt-len(r.bytes))]...)
	return len(p), nil
}

// A refusal passes on an output without the wrapper's line that says why it did
// not start the command. More may follow that line: a forced command may say something
// when the wrapper has ended.
type refusal struct {
	to     io.Writer // nil drops the output
	mark   []byte    // how the line begins
	nonce  string
	held   []byte         // the longest suffix that may be the beginning of the line
	word   remote.Refusal // "" until the line has come
	failed error          // of to
}

func newRefusal(nonce string, to io.Writer) *refusal {
	return &refusal{to: to, nonce: nonce, mark: []byte("shoal/1 " + nonce + " refused ")}
}

// maxRefusal is the maximum length in bytes of the line from its mark on.
const maxRefusal = 100

func (r *refusal) Write(p []byte) (int, error) {
	if r.word != "" || len(r.held) == 0 && bytes.IndexByte(p, r.mark[0]) < 0 {
		r.pass(p)
		return len(p), r.failed
	}
	r.held = append(r.held, p...)
	r.sort()
	return len(p), r.failed
}

// sort passes on the bytes that cannot belong to the line.
func (r *refusal) sort() {
	at := bytes.Index(r.held, r.mark)
	if at < 0 {
		at = len(r.held) - overlap(r.held, r.mark)
	}
	r.pass(r.held[:at])
	r.held = append(r.held[:0], r.held[at:]...)
	if word, ok := remote.ParseRefusal(r.nonce, r.held); ok {
		r.word = word
		r.pass(r.held[bytes.IndexByte(r.held, '\n')+1:])
		r.held = nil
	}
	if len(r.held) > maxRefusal { // only the wrapper knows the nonce, and its line is shorter
		r.pass(r.held)
		r.held = nil
	}
}

// overlap returns the number of bytes at the end of text that are the beginning of mark.
func overlap(text, mark []byte) int {
	for n := min(len(text), len(mark)-1); n > 0; n-- {
		if bytes.HasSuffix(text, mark[:n]) {
			return n
		}
	}
	return 0
}

func (r *refusal) pass(p []byte) {
	if r.to == nil || r.failed != nil || len(p) == 0 {
		return
	}
	_, r.failed = r.to.Write(p)
}

// close passes on the held bytes, and returns the refusal, if there was one.
func (r *refusal) close() (remote.Refusal, bool) {
	r.pass(r.held)
	r.held = nil
	return r.word, r.word != ""
}

// A confirmation passes on an output without one line of the wrapper, such as that
// which confirms the end.
type confirmation struct {
	to   io.Writer
	mark []byte
	held []byte // the longest suffix that may be the beginning of the line
	seen bool
}

func newConfirmation(line string, to io.Writer) *confirmation {
	if to == nil {
		to = io.Discard
	}
	return &confirmation{to: to, mark: []byte(line)}
}

func (c *confirmation) Write(p []byte) (int, error) {
	if c.seen || len(c.held) == 0 && bytes.IndexByte(p, c.mark[0]) < 0 {
		return c.to.Write(p)
	}
	c.held = append(c.held, p...)
	var before, behind []byte
	if at := bytes.Index(c.held, c.mark); at >= 0 {
		c.seen, before, behind = true, c.held[:at], c.held[at+len(c.mark):]
	} else {
		n := overlap(c.held, c.mark)
		before, behind = c.held[:len(c.held)-n], c.held[len(c.held)-n:]
	}
	_, err := c.to.Write(before)
	if c.seen && err == nil {
		_, err = c.to.Write(behind)
		behind = nil
	}
	c.held = append(c.held[:0], behind...)
	return len(p), err
}

// close passes on the held bytes, and reports whether the line was there.
func (c *confirmation) close() bool {
	_, _ = c.to.Write(c.held)
	c.held = nil
	return c.seen
}
