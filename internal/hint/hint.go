// Package hint gives errors a line of advice for people.
//
// The advice is a part of the text, its last line, so that it stays with what is recorded
// of an error.
package hint

import (
	"errors"
	"strings"
)

const mark = "\nhint: "

type hinted struct {
	error
	advice string
}

func (e *hinted) Error() string { return e.error.Error() + mark + e.advice }
func (e *hinted) Unwrap() error { return e.error }

// Hint returns the advice. Errors of public packages have the same method.
func (e *hinted) Hint() string { return e.advice }

// New returns an error with advice, which is one line.
func New(text, advice string) error { return Wrap(errors.New(text), advice) }

// Wrap returns err with advice; err itself if it is nil or there is none.
func Wrap(err error, advice string) error {
	if err == nil || advice == "" {
		return err
	}
	return &hinted{err, advice}
}

// Of returns the advice of an error, or of one that it wraps, or that its text has because
// the error was recorded; "" if there is none.
func Of(err error) string {
	var has interface{ Hint() string }
	switch {
	case err == nil:
		return ""
	case errors.As(err, &has) && has.Hint() != "":
		return has.Hint()
	}
	_, advice := Split(err.Error())
	return advice
}

// Split splits an error's text from its advice. advice is "" if there is none.
func Split(text string) (what, advice string) {
	what, advice, _ = strings.Cut(text, mark)
	return what, advice
}

// Nearest returns the word of known that was probably meant: the one with the fewest edits, two at
// the most. A word whose beginning was typed, of three bytes or more, counts as two edits away. ""
// means that there is no telling.
func Nearest(word string, known []string) string {
	best, least := "", 3 // more than two edits make another word
	for _, k := range known {
		d := Edits(word, k)
		if len(word) > 2 && strings.HasPrefix(k, word) {
			d = min(d, 2)
		}
		if d < least && d < len(word) {
			best, least = k, d
		}
	}
	return best
}

// Edits returns how many bytes to insert, delete, replace or swap with their neighbour make b
// of a (optimal string alignment distance): a small number means that one was typed for the
// other.
func Edits(a, b string) int {
	before, last := make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range last {
		last[j] = j
	}
	for i := 1; i <= len(a); i++ {
		now := make([]int, len(b)+1)
		now[0] = i
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			now[j] = min(last[j]+1, now[j-1]+1, last[j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				now[j] = min(now[j], before[j-2]+1)
			}
		}
		before, last = last, now
	}
	return last[len(b)]
}
