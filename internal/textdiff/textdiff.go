// Package textdiff compares texts line by line, and writes unified diffs.
package textdiff

import (
	"bytes"
	"fmt"
	"slices"
	"strings"

	"github.com/aymanbagabas/go-udiff/lcs"
)

// Context is the number of equal lines before and after a difference.
const Context = 3

// Limits of Unified: bytes of each text, and lines of the result.
const (
	MaxText  = 4 << 20
	MaxLines = 2000
)

// Lines splits a text into its lines, each with its newline if it has one.
func Lines(text string) []string { return slices.Collect(strings.Lines(text)) }

// A Change replaces the lines from A to AEnd of one text by the lines from B to BEnd of
// another. Lines count from 0; the ends are behind the last lines.
type Change struct{ A, AEnd, B, BEnd int }

// Changes returns the changes that make b of a, in their order, none next to another. They
// need not be the fewest if the texts differ in much.
func Changes(a, b []string) []Change {
	var changes []Change
	for _, d := range lcs.DiffLines(a, b) {
		if n := len(changes); n > 0 && changes[n-1].AEnd == d.Start && changes[n-1].BEnd == d.ReplStart {
			changes[n-1].AEnd, changes[n-1].BEnd = d.End, d.ReplEnd
			continue
		}
		changes = append(changes, Change{d.Start, d.End, d.ReplStart, d.ReplEnd})
	}
	return changes
}

// An Op is the first character of a line in a unified diff.
type Op byte

// The values of Op.
const (
	Equal   Op = ' '
	Removed Op = '-'
	Added   Op = '+'
)

// A Line is one line of a hunk, with its newline if it has one.
type Line struct {
	Op   Op
	Text string
}

// A Hunk is a part of a diff: changes that are near each other, and the lines around them.
type Hunk struct {
	A, B   int // the number of its first line in each text, from 0
	InA    int // the number of its lines in each text
	InB    int
	Change []Change
	Lines  []Line
}

// Hunks returns changes as hunks of the lines of a and b. These may be other texts than those
// that were compared, with as many lines; equal lines are those of a.
func Hunks(a, b []string, changes []Change) []Hunk {
	var hunks []Hunk
	for len(changes) > 0 {
		n := 1
		for n < len(changes) && changes[n].A-changes[n-1].AEnd <= 2*Context {
			n++
		}
		hunks = append(hunks, hunk(a, b, changes[:n]))
		changes = changes[n:]
	}
	return hunks
}

func hunk(a, b []string, changes []Change) Hunk {
	first, last := changes[0], changes[len(changes)-1]
	before := min(Context, first.A)
	h := Hunk{A: first.A - before, B: first.B - before, Change: changes}
	at := h.A
	equal := func(to int) {
		for ; at < to; at++ {
			h.Lines = append(h.Lines, Line{Equal, a[at]})
			h.InA, h.InB = h.InA+1, h.InB+1
		}
	}
	for _, c := range changes {
		equal(c.A)
		for ; at < c.AEnd; at++ {
			h.Lines = append(h.Lines, Line{Removed, a[at]})
			h.InA++
		}
		for _, line := range b[c.B:c.BEnd] {
			h.Lines = append(h.Lines, Line{Added, line})
			h.InB++
		}
	}
	equal(min(last.AEnd+Context, len(a)))
	return h
}

// Header returns the line @@ … @@ of a hunk, without a newline.
func (h *Hunk) Header() string {
	return "@@ -" + place(h.A, h.InA) + " +" + place(h.B, h.InB) + " @@"
}

// place writes lines as diff -u does: none are said to be behind the line before.
func place(from, n int) string {
	switch n {
	case 0:
		return fmt.Sprintf("%d,0", from)
	case 1:
		return fmt.Sprint(from + 1)
	}
	return fmt.Sprintf("%d,%d", from+1, n)
}

// NoNewline is the line, without a newline, that follows one that has none.
const NoNewline = `\ No newline at end of file`

// Unified returns a unified diff from a to b, as diff -u writes it; "" if they are equal.
// truncated means that it stops after MaxLines lines. Texts with NUL, and those above MaxText
// bytes, are not compared line by line; one line says that they differ.
func Unified(nameA string, a []byte, nameB string, b []byte) (text string, truncated bool) {
	switch {
	case bytes.Equal(a, b):
		return "", false
	case bytes.IndexByte(a, 0) >= 0 || bytes.IndexByte(b, 0) >= 0:
		return fmt.Sprintf("Binary files %s and %s differ\n", nameA, nameB), false
	case len(a) > MaxText || len(b) > MaxText:
		return fmt.Sprintf("Files %s and %s differ\n", nameA, nameB), true
	}
	var out strings.Builder
	fmt.Fprintf(&out, "--- %s\n+++ %s\n", nameA, nameB)
	linesA, linesB := Lines(string(a)), Lines(string(b))
	lines := 0
	for _, h := range Hunks(linesA, linesB, Changes(linesA, linesB)) {
		out.WriteString(h.Header() + "\n")
		for _, line := range h.Lines {
			if lines++; lines > MaxLines {
				return out.String(), true
			}
			out.WriteByte(byte(line.Op))
			out.WriteString(line.Text)
			if !strings.HasSuffix(line.Text, "\n") {
				out.WriteString("\n" + NoNewline + "\n")
			}
		}
	}
	return out.String(), false
}
