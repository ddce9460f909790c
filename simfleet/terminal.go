package simfleet

import (
	"bytes"
	"io"

	"golang.org/x/crypto/ssh"
)

// A terminal is a channel whose input is read through a terminal: it ends at the
// end-of-file character. What is written to it is up to counted.
type terminal struct {
	ssh.Channel
	ended bool
}

// wellFormedPTY reports whether this is the payload of a pty-req (RFC 4254 §6.2).
func wellFormedPTY(payload []byte) bool {
	var request struct {
		Term                         string
		Columns, Rows, Width, Height uint32
		Modes                        string
	}
	return ssh.Unmarshal(payload, &request) == nil
}

// Read implements io.Reader.
func (t *terminal) Read(p []byte) (int, error) {
	if t.ended {
		return 0, io.EOF
	}
	n, err := t.Channel.Read(p)
	if i := bytes.IndexByte(p[:n], '\x04'); i >= 0 {
		t.ended = true
		return i, nil
	}
	return n, err
}
