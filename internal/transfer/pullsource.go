package transfer

import (
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"

	"shoal/internal/hint"
)

// A source is one of the paths that a pull asks for. Parts are its names, without empty ones
// and "."; "*", "?" and "[" in them make it a pattern, which the far end expands.
type source struct {
	text    string
	parts   []string
	pattern bool
}

// Sources returns the command of a target that pulls the paths: one in each line.
func Sources(paths []string) string { return strings.Join(paths, "\n") }

// CheckSources returns an error for paths that cannot be pulled together. They may have
// placeholders.
func CheckSources(paths []string) error {
	places := make(map[string]string)
	for _, text := range paths {
		s, err := newSource(text)
		if err != nil {
			return err
		}
		place := strings.Join(resolve(s.parts), "/")
		if other, ok := places[place]; ok {
			return hint.Wrap(fmt.Errorf("%.200q and %.200q would be one file here", other, text), "pull each into a directory of its own")
		}
		places[place] = text
	}
	return nil
}

// parseSources is the inverse of Sources.
func parseSources(command string, count int) ([]source, error) {
	texts := strings.Split(command, "\n")
	if len(texts) != count {
		return nil, fmt.Errorf("there are %d paths in place of %d: a placeholder has a newline", len(texts), count)
	}
	sources := make([]source, count)
	for i, text := range texts {
		var err error
		if sources[i], err = newSource(text); err != nil {
			return nil, err
		}
	}
	return sources, nil
}

func newSource(text string) (source, error) {
	s := source{text: text, pattern: isPattern(text)}
	switch {
	case text == "":
		return s, hint.New("SRC is empty", "name a file or directory on the hosts; . is the account's home")
	case strings.ContainsAny(text, "\x00\n") || len(text) > maxPath:
		return s, hint.New("SRC has a NUL byte or a newline, or is too long", "pull the directory that it is in")
	case strings.HasPrefix(text, "~"):
		return s, hint.Wrap(fmt.Errorf("SRC %.80q begins with ~, which no shell replaces here", text), "a relative path is seen from the account's home")
	case hasDrive(text):
		return s, hint.Wrap(fmt.Errorf("SRC %.80q begins with a drive, and is no path for ssh", text), driveHint)
	}
	s.parts = partsOf(text)
	seen := false
	for _, part := range s.parts {
		if part == ".." && seen {
			return s, fmt.Errorf("SRC %.200q has .. after a pattern", text)
		}
		seen = seen || isPattern(part)
	}
	return s, nil
}

func isPattern(text string) bool { return strings.ContainsAny(text, "*?[") }

// maxPath is the length of the longest path, in bytes: PATH_MAX of Linux.
const maxPath = 4096

func partsOf(path string) (parts []string) {
	for part := range strings.SplitSeq(path, "/") {
		if part != "" && part != "." {
			parts = append(parts, part)
		}
	}
	return parts
}

// resolve removes ".." together with what is before it.
func resolve(parts []string) (resolved []string) {
	for _, part := range parts {
		if part != ".." {
			resolved = append(resolved, part)
		} else if len(resolved) > 0 {
			resolved = resolved[:len(resolved)-1]
		}
	}
	return resolved
}

// place returns where a path goes, below the directory of the host, with slashes; "" is that
// directory. It fails for a path that was not asked for.
func (s *source) place(path string) (string, error) {
	parts := partsOf(path)
	if len(parts) < len(s.parts) || strings.HasPrefix(path, "/") != strings.HasPrefix(s.text, "/") {
		return "", errNotAsked
	}
	for i, part := range parts {
		switch {
		case i < len(s.parts) && !isPattern(s.parts[i]):
			if part != s.parts[i] {
				return "", errNotAsked
			}
		case part == "..":
			return "", errNotAsked
		case i < len(s.parts) && part[0] == '.' && s.parts[i][0] != '.': // patterns do not match hidden files
			return "", errNotAsked
		}
	}
	parts = resolve(parts)
	for i, part := range parts {
		parts[i] = localName(part)
	}
	return strings.Join(parts, "/"), nil
}

var errNotAsked = errors.New("the host sent what it was not asked for")

// localName returns the name of a file here: one that would not be shown as it is has % and
// hexadecimal digits in place of control characters.
func localName(name string) string {
	if !strings.ContainsFunc(name, hidden) {
		return name
	}
	var b strings.Builder
	for i, r := range name {
		_, size := utf8.DecodeRuneInString(name[i:])
		if !hidden(r) {
			b.WriteString(name[i : i+size])
			continue
		}
		for _, c := range []byte(name[i : i+size]) {
			fmt.Fprintf(&b, "%%%02x", c)
		}
	}
	return b.String()
}

// hidden reports whether r is a control character, or changes the direction of text.
func hidden(r rune) bool {
	return r < ' ' || r >= 0x7f && r <= 0x9f || r == 0x200e || r == 0x200f || r >= 0x202a && r <= 0x202e || r >= 0x2066 && r <= 0x2069
}
