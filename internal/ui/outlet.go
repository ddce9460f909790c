package ui

import (
	"io"
	"os"

	"golang.org/x/term"
)

// noColour is the variable that disables colours when it is not empty.
const noColour = "NO_COLOR" //nolint:misspell // the name is not ours

// An Outlet describes an output stream. The zero value is a pipe or a file, to which bytes
// are written unchanged.
type Outlet struct {
	// Terminal is set if the stream is a terminal.
	Terminal bool
	// Moves is set if the terminal can move its cursor, so that a line can be rewritten;
	// false for TERM=dumb and without TERM.
	Moves bool
	// Colour is set if colours are wanted: not if the environment variable of
	// https://no-color.org is set, or Moves is false.
	Colour bool

	// Pipe is set if the stream is a pipe or a socket: another program reads it.
	Pipe bool

	file *os.File
}

// Inspect returns the Outlet of w from its type and the environment. Only an *os.File can
// be a terminal. getenv is os.Getenv, except in tests.
func Inspect(w io.Writer, getenv func(string) string) Outlet {
	file, ok := w.(*os.File)
	if !ok {
		return Outlet{}
	}
	if !term.IsTerminal(int(file.Fd())) {
		info, err := file.Stat()
		return Outlet{Pipe: err == nil && info.Mode()&(os.ModeNamedPipe|os.ModeSocket) != 0}
	}
	o := Outlet{Terminal: true, file: file}
	switch getenv("TERM") {
	case "", "dumb":
	default:
		o.Moves = true
		o.Colour = getenv(noColour) == ""
	}
	return o
}

// Columns returns the terminal's current width, which changes with its window; 0 if the
// stream is not a terminal or the width is unknown.
func (o Outlet) Columns() int {
	if o.file == nil {
		return 0
	}
	columns, _, err := term.GetSize(int(o.file.Fd()))
	if err != nil {
		return 0
	}
	return columns
}

// A Style is an SGR sequence (ECMA-48 §8.3.117) that sets how text looks.
type Style string

// The styles in use; they are legible on dark and light backgrounds.
const (
	Plain   Style = ""
	Red     Style = "\x1b[31m"
	Green   Style = "\x1b[32m"
	Yellow  Style = "\x1b[33m"
	Blue    Style = "\x1b[34m"
	Magenta Style = "\x1b[35m"
	Cyan    Style = "\x1b[36m"
)

const reset = "\x1b[0m"

// Append appends text in the style. The text must be visible already.
func (s Style) Append(dst []byte, text string) []byte {
	if s == Plain {
		return append(dst, text...)
	}
	dst = append(dst, s...)
	dst = append(dst, text...)
	return append(dst, reset...)
}
