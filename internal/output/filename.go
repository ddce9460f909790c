package output

import (
	"fmt"
	"iter"
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

// A namer chooses the files' names of targets that are all known before: the
// host's name where no other target has it, or else with user and port, or else as
// fileNames does. The zero value knows no targets.
type namer struct {
	count map[string]int // by stem in lower case: the targets that might have it
}

const maxStem = maxName - len(".out")

// stems returns the short names for a target's files, the better one first.
func stems(t *fleet.Target) []string {
	name := escapeName(t.Host.Name, maxStem)
	full := name
	if t.Host.User != "" {
		full = escapeName(t.Host.User, maxStem) + "@" + full
	}
	if t.Host.Port != 0 {
		full += "_" + strconv.Itoa(int(t.Host.Port))
	}
	if full == name {
		return []string{name}
	}
	return []string{name, full}
}

func newNamer(targets iter.Seq[fleet.Target]) namer {
	n := namer{make(map[string]int)}
	for t := range targets {
		for _, s := range stems(&t) {
			n.count[strings.ToLower(s)]++
		}
	}
	return n
}

// names returns the names of a target's files.
func (n namer) names(t *fleet.Target, digits int) [fleet.NumStreams]string {
	for _, s := range stems(t) {
		if n.count[strings.ToLower(s)] == 1 && isSafe(s) {
			return [fleet.NumStreams]string{s + ".out", s + ".err"}
		}
	}
	return fileNames(t, digits)
}

// isSafe reports whether a stem is neither hidden nor like an option, nor like
// one with an index, and has room.
func isSafe(stem string) bool {
	rest := strings.TrimLeft(stem, "0123456789")
	return stem != "" && len(stem) <= maxStem && stem[0] != '.' && stem[0] != '-' &&
		(rest == stem || !strings.HasPrefix(rest, "_"))
}

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
