// Package attr stores the attributes of hosts: names and values, both text. A fleet of 60,000
// hosts has few names and many equal values; therefore every text is stored once, and an
// attribute takes eight bytes.
//
// A [Builder] creates one [Set] per host. Sets are read-only, and safe for concurrent use once
// the Builder is not used any more.
package attr

import (
	"fmt"
	"iter"
	"slices"
	"unicode"
	"unicode/utf8"

	"shoal/hosts/internal/problem"
)

// Limits.
const (
	// MaxName bounds a name, in bytes.
	MaxName = 128
	// MaxValue bounds a value, in bytes.
	MaxValue = 64 << 10
	// MaxSet bounds the attributes of one host.
	MaxSet = 4096
)

// An id stands for a text of a table.
type id uint32

// A pair is one attribute.
type pair struct{ name, value id }

// A table holds the texts.
type table struct{ texts []string }

// A Set is the attributes of one host, read-only. The zero value has none. Sets
// that one Builder gave share its texts.
type Set struct {
	table *table
	pairs []pair // sorted by the text of the name
}

// Len counts the attributes.
func (s Set) Len() int { return len(s.pairs) }

// Attr returns the value of an attribute, and whether there is one.
func (s Set) Attr(name string) (string, bool) {
	at, found := slices.BinarySearchFunc(s.pairs, name, func(p pair, name string) int {
		return compare(s.table.texts[p.name], name)
	})
	if !found {
		return "", false
	}
	return s.table.texts[s.pairs[at].value], true
}

// All yields names and values, sorted by name.
func (s Set) All() iter.Seq2[string, string] {
	return func(yield func(string, string) bool) {
		for _, p := range s.pairs {
			if !yield(s.table.texts[p.name], s.table.texts[p.value]) {
				return
			}
		}
	}
}

func compare(a, b string) int {
	switch {
	case a < b:
		return -1
	case a > b:
		return 1
	}
	return 0
}

// A Builder makes Sets. The zero value is ready; it is for one goroutine.
type Builder struct {
	table *table
	ids   map[string]id
	// arena is where Sets are cut from: one allocation for many of them.
	arena []pair
	work  []pair
}

const arenaPairs = 4096

// intern returns the id of a text.
func (b *Builder) intern(text string) id {
	if b.table == nil {
		b.table, b.ids = new(table), make(map[string]id)
	}
	known, there := b.ids[text]
	if !there {
		known = id(len(b.table.texts))
		b.table.texts = append(b.table.texts, text)
		b.ids[text] = known
	}
	return known
}

// Set makes one of names and values; of equal names the last counts. Names and
// values have passed [Check].
func (b *Builder) Set(attrs iter.Seq2[string, string]) Set {
	b.work = b.work[:0]
	for name, value := range attrs {
		b.work = append(b.work, pair{b.intern(name), b.intern(value)})
	}
	if len(b.work) == 0 {
		return Set{}
	}
	texts := b.table.texts
	slices.SortStableFunc(b.work, func(x, y pair) int { return compare(texts[x.name], texts[y.name]) })
	kept := b.work[:0]
	for i, p := range b.work {
		if i+1 == len(b.work) || b.work[i+1].name != p.name {
			kept = append(kept, p)
		}
	}
	if len(kept) > cap(b.arena)-len(b.arena) {
		b.arena = make([]pair, 0, max(arenaPairs, len(kept)))
	}
	from := len(b.arena)
	b.arena = append(b.arena, kept...)
	return Set{table: b.table, pairs: b.arena[from:len(b.arena):len(b.arena)]}
}

// Check returns an error unless an attribute is valid: a name of letters, digits and any
// of _ - . that begins with a letter or '_', and a value of UTF-8 without NUL.
// Errors have a method Hint() string.
func Check(name, value string) error {
	if err := CheckName(name); err != nil {
		return err
	}
	switch {
	case len(value) > MaxValue:
		return problem.Faultf("shorten it", "attribute %s has %d bytes", name, len(value))
	case !utf8.ValidString(value):
		return problem.Faultf("convert the text to UTF-8", "attribute %s is not valid UTF-8", name)
	}
	for i := range len(value) {
		if value[i] == 0 {
			return problem.Faultf("remove it", "attribute %s holds a NUL byte", name)
		}
	}
	return nil
}

// CheckName is the part of [Check] for names.
func CheckName(name string) error {
	const advice = "an attribute's name has letters, digits and any of _ - . and begins with a letter"
	if name == "" {
		return problem.Faultf(advice, "attribute without a name")
	}
	if len(name) > MaxName {
		return problem.Faultf("shorten it", "attribute name of %d bytes", len(name))
	}
	for i, r := range name {
		if r == '_' || unicode.IsLetter(r) || i > 0 && (r == '-' || r == '.' || unicode.IsDigit(r)) {
			continue
		}
		return problem.Faultf(advice, "character %q in the attribute name %s", r, fmt.Sprintf("%q", name))
	}
	return nil
}
