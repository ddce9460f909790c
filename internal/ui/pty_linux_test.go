package ui

import (
	"os"
	"testing"

	"golang.org/x/sys/unix"

	"shoal/internal/ptytest"
)

// openPTY returns both ends of a pseudo-terminal of the given size.
func openPTY(t *testing.T, columns, rows uint16) (ptmx, tty *os.File) {
	t.Helper()
	ptmx, tty = ptytest.Open(t)
	t.Cleanup(func() { _, _ = ptmx.Close(), tty.Close() })
	size := &unix.Winsize{Col: columns, Row: rows}
	if err := unix.IoctlSetWinsize(int(tty.Fd()), unix.TIOCSWINSZ, size); err != nil {
		t.Fatal(err)
	}
	return ptmx, tty
}
