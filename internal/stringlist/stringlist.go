// Package stringlist has a list of many short strings, such as the names of a million hosts, in
// little memory: their bytes, some four more for each, and nothing for the garbage collector to
// follow.
package stringlist

import "strings"

// chunkLen is the number of strings that are stored as one.
const chunkLen = 256

// A List is a list of strings that only grows. The zero value is empty. It may be read by
// several goroutines while none appends.
type List struct {
	chunks []chunk
	last   []string // not yet stored, fewer than chunkLen
}

// A chunk is chunkLen strings.
type chunk struct {
	text string
	ends *[chunkLen]uint32
}

// Append adds a string. Up to 255 strings are kept as they were passed.
func (l *List) Append(s string) {
	if l.last == nil {
		l.last = make([]string, 0, chunkLen)
	}
	if l.last = append(l.last, s); len(l.last) < chunkLen {
		return
	}
	c := chunk{strings.Join(l.last, ""), new([chunkLen]uint32)}
	end := 0
	for i, s := range l.last {
		end += len(s)
		c.ends[i] = uint32(end)
	}
	l.chunks = append(l.chunks, c)
	clear(l.last)
	l.last = l.last[:0]
}

// Len returns the number of strings.
func (l *List) Len() int { return len(l.chunks)*chunkLen + len(l.last) }

// At returns the string at an index. It does not allocate.
func (l *List) At(i int) string {
	if i/chunkLen == len(l.chunks) {
		return l.last[i%chunkLen]
	}
	c := &l.chunks[i/chunkLen]
	i %= chunkLen
	start := uint32(0)
	if i > 0 {
		start = c.ends[i-1]
	}
	return c.text[start:c.ends[i]]
}
