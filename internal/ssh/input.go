package ssh

import (
	"errors"
	"io"
)

// JoinInputs returns an Input of first and, behind it, rest; a nil rest has no bytes.
func JoinInputs(first, rest Input) Input {
	if rest == nil || rest.Size() <= 0 {
		return first
	}
	return joined{first, rest}
}

type joined struct{ first, rest Input }

// Size implements Input.
func (j joined) Size() int64 { return j.first.Size() + j.rest.Size() }

// ReadAt implements io.ReaderAt.
func (j joined) ReadAt(p []byte, at int64) (n int, err error) {
	first := j.first.Size()
	if at < first {
		if n, err = j.first.ReadAt(p[:min(int64(len(p)), first-at)], at); err != nil && !errors.Is(err, io.EOF) {
			return n, err
		}
	}
	if n == len(p) {
		return n, nil
	}
	m, err := j.rest.ReadAt(p[n:], at+int64(n)-first)
	return n + m, err
}
