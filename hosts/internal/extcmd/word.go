package extcmd

import (
	"strings"

	"shoal/hosts/internal/problem"
)

// maxWord bounds what is put into a command line, in bytes.
const maxWord = 255

// Word returns an error unless a name (of a group, a source or a node) is safe in a shell
// command line, quoted or not, and in a sed or grep pattern there: letters, digits and any of
// _ - . : @ + %, not beginning with '-', at most 255 bytes. A '/' would end such a pattern.
// Errors have a method Hint() string.
func Word(text string) error {
	return check("name", text, "_-.:@+%", maxWord)
}

// Path is Word for a path, which may also contain '/', ',' and '=' and have at most
// 4,096 bytes.
func Path(text string) error {
	return check("path", text, "_-.:@+%/,=", 4096)
}

func check(what, text, also string, limit int) error {
	advice := "what reaches a shell has letters, digits and any of " + also
	switch {
	case text == "":
		return problem.Faultf("write the "+what, "empty %s", what)
	case text[0] == '-':
		return problem.Faultf(advice, "%s %.80q begins with '-'", what, text)
	case len(text) > limit:
		return problem.Faultf("shorten it", "%s of %d bytes", what, len(text))
	}
	for _, r := range text {
		if r >= '0' && r <= '9' || r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' {
			continue
		}
		if !strings.ContainsRune(also, r) {
			return problem.Faultf(advice, "character %q in %s %.80q", r, what, text)
		}
	}
	return nil
}
