package ssh

import (
	"crypto/sha256"
	"encoding/hex"
	"strings"
)

// Notes is a Dialer that keeps words about hosts between runs, for a week at most. Anybody who
// can answer for a host can cause one, so that it may cost time and nothing else. Its methods may
// be called at the same time.
type Notes interface {
	// Noted reports whether word is kept for the target's host.
	Noted(t Target, word string) bool
	// Note keeps word, or drops it. It does nothing for a host of which nothing is known.
	Note(t Target, word string, keep bool)
}

// Noted reports whether d keeps word for the target's host.
func Noted(d Dialer, t Target, word string) bool {
	n, ok := d.(Notes)
	return ok && n.Noted(t, word)
}

// Note has d keep word for the target's host, or drop it, if d keeps any.
func Note(d Dialer, t Target, word string, keep bool) {
	if n, ok := d.(Notes); ok {
		n.Note(t, word, keep)
	}
}

// Word returns a word for Notes: a name of at most 20 letters and -, and what it depends on beside
// the host, of which it has a digest.
func Word(name string, on ...string) string {
	sum := sha256.Sum256([]byte(strings.Join(on, "\x00")))
	return name + "-" + hex.EncodeToString(sum[:6])
}
