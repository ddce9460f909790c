package output

import (
	"fmt"
	"strconv"
	"strings"

	"shoal/fleet"
)

const (
	// maxName is the maximum length of a file name in bytes. File systems allow 255; 200
	// leaves room for suffixes that users append.
	maxName = 200
	// indexDigits is the width of the index if the number of targets is unknown.
	indexDigits = 7
)

// fileNames returns the names of a target's files for stdout and stderr: index,
// underscore, host. The index alone makes names unique, whatever a file system does with
// case, Unicode or trailing dots. The rest is for people, so it may be escaped and cut.
func fileNames(t *fleet.Target, digits int) [fleet.NumStreams]string {
	stem := fmt.Sprintf("%0*d_", digits, t.Index)
	const ext = len(".out")
	stem += escapeName(t.Host.String(), maxName-len(stem)-ext)
	return [fleet.NumStreams]string{stem + ".out", stem + ".err"}
}

// digitsFor returns the number of digits of the largest index; 0 targets means unknown.
func digitsFor(targets int) int {
	if targets <= 0 {
		return indexDigits
	}
	return len(strconv.Itoa(targets - 1))
}

// escapeName keeps bytes that are safe in every file system and shell, and writes others
// as %XX. The result has at most limit bytes and no partial escape.
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
