package output

import (
	"fmt"
	"strconv"
	"strings"

	"shoal/fleet"
)

const (
	// maxName bounds a file name in bytes. File systems take 255; 200 leaves
	// room for what people append.
	maxName = 200
	// indexDigits is the width of the index when the number of targets is not
	// known.
	indexDigits = 7
)

// fileNames gives the names of a target's files for stdout and stderr: index,
// underscore, host. The index alone makes them different, whatever a file
// system thinks of case, Unicode or trailing dots, so that the rest is for
// people and may be escaped and cut as needed.
func fileNames(t *fleet.Target, digits int) [fleet.NumStreams]string {
	stem := fmt.Sprintf("%0*d_", digits, t.Index)
	const ext = len(".out")
	stem += escapeName(t.Host.String(), maxName-len(stem)-ext)
	return [fleet.NumStreams]string{stem + ".out", stem + ".err"}
}

// digitsFor is the width of the largest index of so many targets; 0 targets
// means that the number is not known.
func digitsFor(targets int) int {
	if targets <= 0 {
		return indexDigits
	}
	return len(strconv.Itoa(targets - 1))
}

// escapeName keeps what every file system takes and a shell does not touch, and
// writes other bytes as %XX, within limit bytes and without cutting an escape.
func escapeName(name string, limit int) string {
	var b strings.Builder
	for i := range len(name) {
		c := name[i]
		text := string(rune(c))
		if !isPlain(c) {
			text = fmt.Sprintf("%%%02X", c)
		}
		if b.Len()+len(text) > limit {
			break
		}
		b.WriteString(text)
	}
	return b.String()
}

func isPlain(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' ||
		c == '.' || c == '-' || c == '_' || c == '@'
}
