package mask

import (
	"bytes"
	"iter"
	"net/netip"
	"strings"
)

// Own are the names by which a host calls itself. The zero value is none.
type Own struct {
	full, short string // in lower case; short is "" or the first label of full
	first       byte   // of both
	address     bool   // full is an IP address
}

// OwnOf returns the names of a host that the user calls name.
func OwnOf(name string) Own {
	name = strings.ToLower(strings.TrimSuffix(name, "."))
	if name == "" || class[name[0]]&word == 0 {
		return Own{}
	}
	o := Own{full: name, first: name[0]}
	if _, err := netip.ParseAddr(name); err == nil {
		o.address = true
		return o
	}
	if short, _, ok := strings.Cut(name, "."); ok {
		o.short = short
	}
	return o
}

// at returns the end of the host's name if it is a whole word at i, or 0.
func (o *Own) at(text []byte, i int) int {
	if lower(text[i]) != o.first {
		return 0
	}
	for _, name := range [...]string{o.full, o.short} {
		end := i + len(name)
		if name == "" || end > len(text) || !equalFold(text[i:end], name) || isWord(text, end) {
			continue
		}
		if o.address && end+1 < len(text) && text[end] == '.' && class[text[end+1]]&digit != 0 {
			continue
		}
		return end
	}
	return 0
}

// equalFold reports whether a in lower case is b. Names of hosts are ASCII.
func equalFold(a []byte, b string) bool {
	for i, c := range a {
		if lower(c) != b[i] {
			return false
		}
	}
	return true
}

func lower(c byte) byte {
	if 'A' <= c && c <= 'Z' {
		return c + 'a' - 'A'
	}
	return c
}

// lines yields the lines of text without their newlines.
func lines(text []byte) iter.Seq[[]byte] {
	return func(yield func([]byte) bool) {
		for len(text) > 0 {
			line, rest, _ := bytes.Cut(text, []byte{'\n'})
			if !yield(line) {
				return
			}
			text = rest
		}
	}
}

// appendEscaped appends text with a mark after each NUL.
func appendEscaped(dst, text []byte) []byte {
	for {
		i := bytes.IndexByte(text, 0)
		if i < 0 {
			return append(dst, text...)
		}
		dst = append(append(dst, text[:i+1]...), nulMark)
		text = text[i+1:]
	}
}
