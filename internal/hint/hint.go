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
