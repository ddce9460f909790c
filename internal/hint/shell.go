package hint

import "strings"

// ShellWord returns text as one word for a POSIX shell to read as an argument: unchanged, or in
// single quotes.
func ShellWord(text string) string {
	if text != "" && text[0] != '=' && !strings.ContainsFunc(text, special) { // zsh replaces =NAME
		return text
	}
	return "'" + strings.ReplaceAll(text, "'", `'\''`) + "'"
}

// special reports whether a shell might interpret r.
func special(r rune) bool {
	return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && !strings.ContainsRune("_-.,:/@%+=", r)
}
