package ssh

import "cmp"

// A PTY is a pseudo-terminal for a command (RFC 4254 §6.2). The zero value is one of 80
// columns and 24 rows, of type dumb. What is written to it is not echoed.
type PTY struct {
	Term          string // the value of TERM; "" means dumb
	Columns, Rows uint32 // in characters; 0 means 80 and 24
}

// Terminal returns the type of the terminal.
func (p *PTY) Terminal() string { return cmp.Or(p.Term, "dumb") }

// Size returns the size in characters.
func (p *PTY) Size() (columns, rows uint32) { return cmp.Or(p.Columns, 80), cmp.Or(p.Rows, 24) }

// PTYModes are the modes that are requested (RFC 4254 §8): no ECHO, because nobody types;
// the rest is the server's default.
const PTYModes = "\x35\x00\x00\x00\x00\x00"
