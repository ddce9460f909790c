package ui

import (
	"io"
	"os"

	"golang.org/x/term"
)

// noColour is set to anything but "" by those who want no colours.
const noColour = "NO_COLOR" //nolint:misspell // the name is not ours

// An Outlet is what is known of a stream that people may read. The zero value
// is a pipe or a file: bytes go there as they are.
type Outlet struct {
	// Terminal says that a person sees the bytes as a terminal shows them.
	Terminal bool
	// Moves says that the terminal can move its cursor, so that a line can be
	// written again; false for TERM=dumb and without TERM.
	Moves bool
	// Colour says that colours are wanted: never when the environment asks for
	// none (https://no-color.org), nor where Moves is false.
	Colour bool

	file *os.File
}

// Inspect looks at w and at the environment. Only an *os.File can be a
// terminal. getenv is os.Getenv, or what a test wants.
func Inspect(w io.Writer, getenv func(string) string) Outlet {
	file, ok := w.(*os.File)
	if !ok || !term.IsTerminal(int(file.Fd())) {
		return Outlet{}
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

// Columns is the terminal's width now, which changes when its window does; 0
// when there is no terminal or it does not tell.
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
