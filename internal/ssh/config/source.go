package config

import (
	"fmt"
	"strings"
)

// CommandLine is the File of a [Source] for -o options and for the Options of Resolve.
const CommandLine = "command line"

// hostOptions is the File of a [Source] for Options.Set.
const hostOptions = "the host's own options"

// A Source is the origin of a value. The zero value means OpenSSH's default.
type Source struct {
	File string // path of the file, or CommandLine
	Line int    // from 1; for -o the option's position; 0 for Options of Resolve
}

// String returns "file:line", or "default".
func (s Source) String() string {
	switch {
	case s.File == "":
		return "default"
	case s.Line == 0:
		return s.File
	case s.File == CommandLine:
		return fmt.Sprintf("%s, option %d", s.File, s.Line)
	}
	return fmt.Sprintf("%s:%d", s.File, s.Line)
}

// A Problem is a line of the configuration that cannot be used at all, or for the given host.
type Problem struct {
	Source
	Keyword string // in lower case; "" if the line has none
	Err     error  // never nil
}

// Error returns the place and the error. It may end in a line "hint: …".
func (p *Problem) Error() string {
	if p.Keyword == "" {
		return fmt.Sprintf("%v: %v", p.Source, p.Err)
	}
	return fmt.Sprintf("%v: %.60s: %v", p.Source, quoteStrange(p.Keyword), p.Err)
}

func (p *Problem) Unwrap() error { return p.Err }

// quoteStrange quotes text that is not a plain word.
func quoteStrange(s string) string {
	for i := range len(s) {
		if !isAlphanumeric(s[i]) {
			return fmt.Sprintf("%q", s)
		}
	}
	return s
}

// Problems are all lines that Load could not use.
type Problems []*Problem

// maxShown bounds how many problems an error text lists.
const maxShown = 20

// Error returns the first 20 problems, one per line.
func (ps Problems) Error() string {
	var b strings.Builder
	for i, p := range ps {
		if i == maxShown {
			fmt.Fprintf(&b, "\nand %d more", len(ps)-maxShown)
			break
		}
		if i > 0 {
			b.WriteByte('\n')
		}
		b.WriteString(p.Error())
	}
	return b.String()
}

// Unwrap returns the problems for errors.Is and errors.As.
func (ps Problems) Unwrap() []error {
	errs := make([]error, len(ps))
	for i, p := range ps {
		errs[i] = p
	}
	return errs
}
