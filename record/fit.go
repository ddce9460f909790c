package record

import (
	"encoding/base64"
	"strconv"
	"unicode/utf8"

	"shoal/fleet"
)

const (
	// longestEscape is the length of what appendQuoted writes for a byte, at most: those of a
	// character of more bytes take less each.
	longestEscape = len(`\u0000`)
	// aroundOutputs is more than the keys, encodings and sizes of both outputs take in a line.
	aroundOutputs = 512
)

// fitted returns r with so much of its outputs that its line has maxLine bytes at most, which is what
// readers take, and holds no more in memory. What was cut is told by the result's flag.
func fitted(r *fleet.Result, files Files, maxLine int) *fleet.Result {
	var outputs [fleet.NumStreams][]byte // that are in the line
	total := 0
	for s, o := range []*fleet.Output{&r.Stdout, &r.Stderr} {
		if files[s] == "" {
			outputs[s] = o.Bytes
			total += len(o.Bytes)
		}
	}
	if total <= maxLine/2/longestEscape {
		return r // also with the rest of the line
	}
	cut := *r
	cut.Flags |= fleet.FlagOutputTruncated
	room := max(0, maxLine-len(appendEnd(appendTarget(nil, &r.Target), &cut))-len(files[fleet.Stdout])-len(files[fleet.Stderr])-aroundOutputs)
	stdout := within(outputs[fleet.Stdout], room)
	stderr := within(outputs[fleet.Stderr], room)
	if len(stdout) == len(outputs[fleet.Stdout]) && len(stderr) == len(outputs[fleet.Stderr]) && encodedSize(stdout)+encodedSize(stderr) <= room {
		return r
	}
	// The stream that needs less than half gets what it needs, and the other one the rest.
	stdout = within(stdout, max(room/2, room-encodedSize(stderr)))
	stderr = within(stderr, room-encodedSize(stdout))
	if files[fleet.Stdout] == "" {
		cut.Stdout.Bytes = stdout
	}
	if files[fleet.Stderr] == "" {
		cut.Stderr.Bytes = stderr
	}
	return &cut
}

// within returns the longest beginning of text that appendText writes in this many bytes, between
// the quotes; of text that is encoded in base64, up to some bytes less. It reads no more of text.
func within(text []byte, size int) []byte {
	if len(text) > size {
		text = wholeRunes(text[:size])
	}
	if !utf8.Valid(text) {
		text = text[:min(len(text), size/4*3)]
		if !utf8.Valid(text) {
			return text
		}
	}
	for i := 0; i < len(text); {
		n, bytes := escapedSize(text[i:])
		if size -= n; size < 0 {
			return text[:i]
		}
		i += bytes
	}
	return text
}

// wholeRunes returns text without a character at its end that is not whole.
func wholeRunes(text []byte) []byte {
	for n := 1; n < utf8.UTFMax && n <= len(text); n++ {
		if at := len(text) - n; utf8.RuneStart(text[at]) {
			if !utf8.FullRune(text[at:]) {
				return text[:at]
			}
			break
		}
	}
	return text
}

// encodedSize returns how many bytes appendText writes for text, between the quotes.
func encodedSize(text []byte) (size int) {
	if !utf8.Valid(text) {
		return base64.StdEncoding.EncodedLen(len(text))
	}
	for i := 0; i < len(text); {
		n, bytes := escapedSize(text[i:])
		size += n
		i += bytes
	}
	return size
}

// escapedSize returns how many bytes appendQuoted writes for the first character of text, and how
// many it has.
func escapedSize(text []byte) (size, bytes int) {
	c := text[0]
	switch {
	case c == '"', c == '\\', c == '\n', c == '\r', c == '\t':
		return 2, 1
	case c >= ' ' && c < 0x7f:
		return 1, 1
	case c < utf8.RuneSelf:
		return longestEscape, 1
	}
	r, n := utf8.DecodeRune(text)
	switch {
	case strconv.IsPrint(r):
		return n, n
	case r >= 0x10000:
		return 2 * longestEscape, n
	}
	return longestEscape, n
}
