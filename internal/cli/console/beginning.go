package console

import "bytes"

// A Beginning keeps the first Left bytes that are written, and takes the rest in silence: for
// what a program says that nobody has to hear to its end.
type Beginning struct {
	Left int
	kept bytes.Buffer
}

// Write implements io.Writer. It never fails.
func (b *Beginning) Write(p []byte) (int, error) {
	n := min(b.Left, len(p))
	b.Left -= n
	b.kept.Write(p[:n])
	return len(p), nil
}

// String returns what was kept.
func (b *Beginning) String() string { return b.kept.String() }
