// Package mask finds what differs between the outputs of hosts without a meaning: times,
// process numbers, addresses, the host's own name. Outputs are compared without it; it is
// never replaced in what is shown or stored.
//
// A [Masker] finds [Token]s in one pass over the bytes. [Append] writes a text for
// comparison, in which each token is a mark of its kind.
package mask

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// A Kind is a kind of text that can be masked.
type Kind uint8

// The kinds. Their texts in a Set are those of --mask.
const (
	// Time is a time of day, with the date and the zone beside it: 13:37:02,
	// 2026-11-29T12:07:08.123Z, Nov 29 12:07:08, 29/Nov/2026:12:07:08 +0000.
	Time Kind = iota
	// Date is a date without a time: 2026-11-29, 29/11/2026, Nov 29 2026.
	Date
	// Duration is a number with a unit of time: 12ms, 1h2m3s, 0.41 s, 3 days, 1-02:03:04.
	Duration
	// PID is the number in name[123], and after pid, ppid, tid and process.
	PID
	// Port is the number after an address, the host's name, localhost or *, and a colon;
	// and after port.
	Port
	// Address is an IPv4, IPv6 or MAC address.
	Address
	// UUID is one in the form of RFC 9562.
	UUID
	// Hash is a hexadecimal number of 7 characters or more with letters and digits, one that
	// begins with 0x, and a fingerprint SHA256:….
	Hash
	// Size is a number with a unit of bytes: 4K, 1.5 MiB, 4096 bytes, bytes: 123.
	Size
	// Host is the host's own name, or its first label, as a whole word.
	Host
	// Pattern is what a user's regular expression matches.
	Pattern
	// NumKinds is the number of kinds.
	NumKinds
)

var kindNames = [NumKinds]string{"time", "date", "duration", "pid", "port", "address", "uuid", "hash", "size", "host", "pattern"}

func (k Kind) String() string { return kindNames[k] }

// A Set is a set of kinds.
type Set uint16

// Of returns the set of kinds.
func Of(kinds ...Kind) Set {
	var s Set
	for _, k := range kinds {
		s |= 1 << k
	}
	return s
}

// All is every kind but Pattern, which needs a pattern.
const All = 1<<Pattern - 1

// Has reports whether k is in s.
func (s Set) Has(k Kind) bool { return s&(1<<k) != 0 }

// Kinds returns the kinds of s in their order.
func (s Set) Kinds() []Kind {
	var kinds []Kind
	for k := range NumKinds {
		if s.Has(k) {
			kinds = append(kinds, k)
		}
	}
	return kinds
}

// String returns the names of the kinds, separated by ", ".
func (s Set) String() string {
	var names []string
	for _, k := range s.Kinds() {
		names = append(names, k.String())
	}
	return strings.Join(names, ", ")
}

// Names returns the names of the kinds that Parse knows.
func Names() []string { return slices.Clone(kindNames[:Pattern]) }

// Parse returns the set of one kind by its name; a plural is as good.
func Parse(name string) (Set, error) {
	for k := range Pattern {
		plural := kindNames[k] + "s"
		if strings.HasSuffix(kindNames[k], "s") || strings.HasSuffix(kindNames[k], "h") {
			plural = kindNames[k] + "es"
		}
		if name == kindNames[k] || name == plural {
			return Of(k), nil
		}
	}
	return 0, fmt.Errorf("%.40q is no kind of text that can be masked", name)
}

// A Masker finds tokens. It may be used concurrently.
type Masker struct {
	kinds    Set
	patterns []*regexp.Regexp
}

// New returns a Masker for kinds, and for what the patterns match within a line; then
// Pattern is among its kinds.
func New(kinds Set, patterns ...*regexp.Regexp) *Masker {
	kinds &^= Of(Pattern)
	if len(patterns) > 0 {
		kinds |= Of(Pattern)
	}
	return &Masker{kinds, patterns}
}

// Kinds returns the kinds that the Masker finds.
func (m *Masker) Kinds() Set { return m.kinds }

// A Token is a part of a text, within one line.
type Token struct {
	Start, End int // in bytes
	Kind       Kind
}

// Tokens appends the tokens of text to dst, in their order, without overlap. own has the
// names of the host that sent the text.
//
// The built-in kinds are found independently of which of them are enabled. What a pattern
// matches comes before them.
func (m *Masker) Tokens(dst []Token, text []byte, own Own) []Token {
	from := len(dst)
	if m.kinds&All != 0 {
		s := scanner{text: text, own: own, kinds: m.kinds, tokens: dst}
		s.scan()
		dst = s.tokens
	}
	if len(m.patterns) == 0 {
		return dst
	}
	return slices.Concat(dst[:from], overlay(dst[from:], m.matches(text)))
}

// matches returns what the patterns match, in order and without overlap.
func (m *Masker) matches(text []byte) []Token {
	var found []Token
	start := 0
	for line := range lines(text) {
		for _, p := range m.patterns {
			for _, at := range p.FindAllIndex(line, -1) {
				if at[0] < at[1] {
					found = append(found, Token{start + at[0], start + at[1], Pattern})
				}
			}
		}
		start += len(line) + 1
	}
	slices.SortFunc(found, func(a, b Token) int { return a.Start - b.Start })
	merged := found[:0]
	for _, t := range found {
		if n := len(merged); n > 0 && t.Start < merged[n-1].End {
			merged[n-1].End = max(merged[n-1].End, t.End)
			continue
		}
		merged = append(merged, t)
	}
	return merged
}

// overlay returns over, and the tokens of under that none of over touches.
func overlay(under, over []Token) []Token {
	if len(over) == 0 {
		return under
	}
	var all []Token
	for _, t := range under {
		for len(over) > 0 && over[0].End <= t.Start {
			all, over = append(all, over[0]), over[1:]
		}
		if len(over) == 0 || t.End <= over[0].Start {
			all = append(all, t)
		}
	}
	return append(all, over...)
}

// Append appends text for comparison: each token of the kinds is two bytes, which no text
// has otherwise. Two texts give equal bytes exactly if they differ in such tokens only.
// Lines stay lines.
func Append(dst, text []byte, tokens []Token, kinds Set) []byte {
	at := 0
	for _, t := range tokens {
		if kinds.Has(t.Kind) {
			dst = appendEscaped(dst, text[at:t.Start])
			dst = append(dst, 0, 'A'+byte(t.Kind))
			at = t.End
		}
	}
	return appendEscaped(dst, text[at:])
}

// nulMark follows NUL in a text that has NUL itself.
const nulMark = 0xff
