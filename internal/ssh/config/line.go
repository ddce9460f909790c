package config

import (
	"errors"
	"fmt"
	"strings"

	"shoal/internal/ssh/match"
)

// A setting is a value from a line, with its place. All hosts share it; it is never changed.
type setting struct {
	op      op
	source  *Source
	user    bool     // from a user's configuration or the command line
	text    string   // as ssh -G prints it, before tokens are replaced
	written string   // of lists of algorithms: as it was written
	list    []string // the words of a keyword that takes several
	num     int64    // of numbers and times, in their unit
	value   any      // any other parsed value
}

// A line is a configuration line during parsing.
type line struct {
	loader  *loader
	keyword string // in lower case
	op      op
	args    []string
	rest    string // the arguments as written
	source  *Source
	user    bool
	file    *file // the file that has the line; nil for -o
	node    node  // the result
}

// read parses a line into its node. It returns false for a blank line or a comment.
func (l *line) read(text string) (bool, error) {
	if strings.IndexByte(text, 0) >= 0 {
		return false, errors.New("NUL byte")
	}
	// A form feed is white space only at the end (readconf.c).
	text = strings.TrimRight(text, whitespace+"\f")
	word, rest, err := cutKeyword(text)
	if err == nil && word == "" {
		word, rest, err = cutKeyword(rest)
	}
	if err != nil {
		return false, err
	}
	if word == "" || word[0] == '#' {
		return false, nil
	}
	l.keyword, l.rest = match.Lower(word), strings.TrimLeft(rest, whitespace)
	if l.rest == "" {
		return false, errMissing
	}
	if l.args, err = splitWords(l.rest); err != nil {
		return false, err
	}
	row := l.loader.keywords[l.keyword]
	if row == nil {
		l.node = node{kind: nodeUnknown, keyword: l.keyword, source: l.source}
		return true, nil
	}
	l.op = row.op
	l.node = node{kind: nodeSettings, source: l.source}
	if err := row.read(l); err != nil {
		return false, err
	}
	if len(l.args) > 0 {
		return false, fmt.Errorf("extra argument %.80q at the end of the line", l.args[0])
	}
	return true, nil
}

// next returns the next word.
func (l *line) next() (string, bool) {
	if len(l.args) == 0 {
		return "", false
	}
	arg := l.args[0]
	l.args = l.args[1:]
	return arg, true
}

// need returns the next word, which must exist and not be empty.
func (l *line) need() (string, error) {
	arg, _ := l.next()
	if arg == "" {
		return "", errMissing
	}
	return arg, nil
}

// all returns all words; an empty one is an error.
func (l *line) all() ([]string, error) {
	words := l.args
	l.args = nil
	for _, w := range words {
		if w == "" {
			return nil, errors.New("empty argument")
		}
	}
	return words, nil
}

// set adds a value and returns it so that the caller can set further fields.
func (l *line) set(o op, text string) *setting {
	s := &setting{op: o, source: l.source, user: l.user, text: text}
	l.node.settings = append(l.node.settings, s)
	return s
}
