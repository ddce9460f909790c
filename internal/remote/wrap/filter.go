package wrap

import (
	"bytes"
	"io"

	"shoal/internal/remote"
)

// maxReceipt bounds what a server may say before and in the receipt of a
// detached command, in bytes.
const maxReceipt = 64 << 10

// A receipt takes the standard output of a detached start. What is beyond the
// bound is dropped, and no receipt is found then.
type receipt struct{ bytes []byte }

func (r *receipt) Write(p []byte) (int, error) {
	r.bytes = append(r.bytes, p[:min(len(p), maxReceipt-len(r.bytes))]...)
	return len(p), nil
}

// A refusal passes on the standard error, but not the wrapper's line that says
// why it did not start the command.
type refusal struct {
	to     io.Writer // nil drops what comes
	mark   []byte    // how the line begins
	nonce  string
	held   []byte // the longest end of what came that may be the line's beginning, or the line
	failed error  // of to
}

func newRefusal(nonce string, to io.Writer) *refusal {
	return &refusal{to: to, nonce: nonce, mark: []byte("shoal/1 " + nonce + " refused ")}
}

// maxRefusal bounds the line from its mark on, in bytes.
const maxRefusal = 100

func (r *refusal) Write(p []byte) (int, error) {
	if len(r.held) == 0 && bytes.IndexByte(p, r.mark[0]) < 0 {
		r.pass(p)
		return len(p), r.failed
	}
	r.held = append(r.held, p...)
	r.sort()
	return len(p), r.failed
}

// sort passes on what cannot belong to the line.
func (r *refusal) sort() {
	at := bytes.Index(r.held, r.mark)
	if at < 0 {
		at = len(r.held) - overlap(r.held, r.mark)
	}
	r.pass(r.held[:at])
	r.held = append(r.held[:0], r.held[at:]...)
	if len(r.held) > maxRefusal { // nobody but the wrapper knows the nonce, and it stops here
		r.pass(r.held)
		r.held = nil
	}
}

// overlap is how many bytes at the end of text are the beginning of mark.
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

// close gives the refusal, if one came, or else passes on what was held.
func (r *refusal) close() (remote.Refusal, bool) {
	word, ok := remote.ParseRefusal(r.nonce, r.held)
	if !ok {
		r.pass(r.held)
	}
	r.held = nil
	return word, ok
}
