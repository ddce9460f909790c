package spool

import (
	"errors"
	"io"
)

// aheadSize is the size of a part that copyAhead reads, and aheadParts how many there are.
const (
	aheadSize  = 256 << 10
	aheadParts = 4
)

// copyAhead is io.Copy with the next parts read, on a goroutine of its own, while w takes one: hashing
// a large file takes as long as the slower of the two, and not both. It returns when a read that has begun
// ends, so that r must be a file.
func copyAhead(w io.Writer, r io.Reader) (n int64, err error) {
	type part struct {
		bytes []byte
		err   error
	}
	full := make(chan part, aheadParts)   // from the reader, which closes it behind an error; has room for all parts
	free := make(chan []byte, aheadParts) // back to the reader, closed here; has room for all parts
	defer func() {
		close(free)
		for range full { // the reader has ended
		}
	}()
	go func() {
		defer close(full)
		for b := range free {
			if b == nil {
				b = make([]byte, aheadSize)
			}
			k, err := r.Read(b)
			full <- part{b[:k], err}
			if err != nil {
				return
			}
		}
	}()
	for range aheadParts {
		free <- nil
	}
	for p := range full {
		k, err := w.Write(p.bytes)
		n += int64(k)
		switch {
		case err != nil:
			return n, err
		case errors.Is(p.err, io.EOF):
			return n, nil
		case p.err != nil:
			return n, p.err
		}
		free <- p.bytes[:cap(p.bytes)]
	}
	return n, nil
}
