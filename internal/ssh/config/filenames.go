package config

import (
	"os"
	"path/filepath"
	"slices"
	"strings"

	"shoal/internal/ssh/match"
)

// fileKeywords are the keywords with an effect whose values are paths, or lists of paths.
var fileKeywords = []op{opIdentityFile, opCertificateFile, opUserKnownHostsFile, opGlobalKnownHostsFile, opRevokedHostKeys, opIdentityAgent}

// OptionKeyword returns the keyword of an option, as ssh -o takes it, in lower case.
func OptionKeyword(option string) string {
	keyword, _, _ := cutKeyword(strings.TrimLeft(option, whitespace))
	return match.Lower(keyword)
}

// RelativeFile reports whether an option names a file as seen from the working directory.
// Where a file lies that an unset variable names is not known: it counts as such a file.
func RelativeFile(option string) bool {
	o, paths := filesIn(option)
	return slices.ContainsFunc(paths, func(path string) bool { return relative(o, path) })
}

// AbsoluteFiles returns the option with the files that it names as seen from the directory
// dir named absolutely.
func AbsoluteFiles(option, dir string) string {
	o, paths := filesIn(option)
	if !slices.ContainsFunc(paths, func(path string) bool { return relative(o, path) }) {
		return option
	}
	if o != opGlobalKnownHostsFile { // the only one that takes no tokens
		dir = strings.ReplaceAll(dir, "%", "%%")
	}
	for i, path := range paths {
		if relative(o, path) && (o != opIdentityAgent || path[0] != '$') {
			path = filepath.Join(dir, path)
		}
		paths[i] = quoteWord(path)
	}
	keyword, _, _ := cutKeyword(strings.TrimLeft(option, whitespace))
	return keyword + "=" + strings.Join(paths, " ")
}

// filesIn returns the paths in an option; nil for one that names no files or is malformed.
func filesIn(option string) (op, []string) {
	row := indexKeywords()[OptionKeyword(option)]
	if row == nil || !slices.Contains(fileKeywords, row.op) {
		return opNone, nil
	}
	_, rest, err := cutKeyword(strings.TrimLeft(option, whitespace))
	if err != nil {
		return opNone, nil
	}
	words, err := splitWords(strings.TrimLeft(rest, whitespace))
	if err != nil {
		return opNone, nil
	}
	return row.op, words
}

// relative reports whether a path depends on the working directory. Of the tokens only %d,
// the home directory, begins with a slash.
func relative(o op, path string) bool {
	if path == "" || strings.EqualFold(path, "none") || o == opIdentityAgent && path == "SSH_AUTH_SOCK" {
		return false
	}
	if name, ok := strings.CutPrefix(path, "$"); ok {
		if braced, ok := strings.CutPrefix(name, "{"); ok {
			name, _, _ = strings.Cut(braced, "}")
		}
		return !filepath.IsAbs(os.Getenv(name))
	}
	return !filepath.IsAbs(path) && path[0] != '~' && path != "%d" && !strings.HasPrefix(path, "%d/")
}

// escaped makes what may stand between double quotes. It is shared: each one builds a table of
// six kilobytes.
var escaped = strings.NewReplacer(`\`, `\\`, `"`, `\"`)

// quoteWord returns the text that splitWords reads as the word.
func quoteWord(word string) string {
	if word != "" && word[0] != '#' && !strings.ContainsAny(word, " \t'\"\\") {
		return word
	}
	return `"` + escaped.Replace(word) + `"`
}
