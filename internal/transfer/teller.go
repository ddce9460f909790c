package transfer

import (
	"bytes"
	"fmt"
	"io"
	"math"
	"path"
	"strconv"
	"unicode/utf8"

	"shoal/internal/hint"
	"shoal/internal/ssh"
	"shoal/internal/textdiff"
)

// A teller says what a dry run has found at one host.
type teller struct {
	push   *Push
	host   string
	dest   string
	stdout io.Writer // nil: it says nothing
}

func (p *Push) teller(t ssh.Target, stdout io.Writer) teller {
	return teller{push: p, host: t.Host.String(), dest: t.Command, stdout: stdout}
}

func (x *teller) tell(format string, args ...any) {
	if x.stdout != nil {
		_, _ = fmt.Fprintf(x.stdout, format, args...) // whoever reads it decides about errors
	}
}

// name is that of an entry at the far end.
func (x *teller) name(e *Entry) string {
	if x.push.Only {
		return x.dest
	}
	return path.Join(x.dest, e.Name)
}

// tellState says what a dry run has found.
func (x *teller) tellState(e *Entry, f []string) {
	mode := x.push.Options.Mode
	switch {
	case f[0] == "new":
		x.tell("new: %s\n", x.name(e))
	case f[0] == "changed":
		x.tell("changed: %s\n", x.name(e))
	case mode != "" && e.Kind == File && len(f) > 2 && octal(f[2]) != octal(mode):
		x.tell("mode %.4s, would be %s: %s\n", f[2], mode, x.name(e))
	}
}

func octal(s string) uint64 {
	n, err := strconv.ParseUint(s, 8, 16)
	if err != nil {
		return math.MaxUint64
	}
	return n
}

// tellDiff shows how a file that is there differs from ours.
func (x *teller) tellDiff(e *Entry, old []byte) {
	ours := make([]byte, e.Size)
	if _, err := x.push.payload.ReadAt(ours, e.at); err != nil && err != io.EOF { //nolint:errorlint // as io.ReaderAt says
		x.tell("%s: reading it here: %v\n", x.name(e), err)
		return
	}
	switch {
	case len(old) > maxDiff:
		x.tell("%s: what is there is larger than %d bytes, and not compared\n", x.name(e), maxDiff)
	case !isText(old):
		x.tell("%s: what is there is no text\n", x.name(e))
	default:
		text, truncated := textdiff.Unified(x.name(e), old, x.name(e)+" (pushed)", ours)
		x.tell("%s", text)
		if truncated {
			x.tell("%s: no more than %d lines are shown; for all: shoal pull -w %s %s DIR, and diff it with %s\n",
				x.name(e), textdiff.MaxLines, hint.ShellWord(x.host), hint.ShellWord(x.name(e)), hint.ShellWord(e.source))
		}
	}
}

// isText reports whether lines of b can be shown.
func isText(b []byte) bool { return bytes.IndexByte(b, 0) < 0 && utf8.Valid(b) }

// showable reports whether the text of an entry can be compared.
func (p *Push) showable(e *Entry) bool {
	if !p.Options.Diff || e.Kind != File || e.Size > maxDiff {
		return false
	}
	b := make([]byte, e.Size)
	n, _ := p.payload.ReadAt(b, e.at)
	return n == len(b) && isText(b)
}
