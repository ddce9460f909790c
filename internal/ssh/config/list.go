package config

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"shoal/internal/ssh/match"
)

// readWords reads any number of words; the first line with words wins.
func readWords(l *line) error {
	words, err := l.all()
	if err != nil {
		return err
	}
	return l.setWords(words)
}

// readLogVerbose keeps only the first word: a harmless bug of readconf.c.
func readLogVerbose(l *line) error {
	words, err := l.allNoneAlone()
	if err != nil || len(words) == 0 {
		return err
	}
	return l.setWords(words[:1])
}

func (l *line) setWords(words []string) error {
	if len(words) == 0 {
		return nil
	}
	l.set(l.op, strings.Join(words, " ")).list = words
	return nil
}

// maxHostFiles is SSH_MAX_HOSTS_FILES of readconf.h.
const maxHostFiles = 32

func readFiles(l *line) error {
	words, err := l.allNoneAlone()
	if err != nil {
		return err
	}
	if len(words) > maxHostFiles {
		return fmt.Errorf("more than %d files", maxHostFiles)
	}
	return l.setWords(words)
}

// allNoneAlone returns all words; "none" must be the only one.
func (l *line) allNoneAlone() ([]string, error) {
	words, err := l.all()
	if err != nil {
		return nil, err
	}
	none := func(s string) bool { return strings.EqualFold(s, "none") }
	if len(words) > 1 && slices.ContainsFunc(words, none) {
		return nil, errors.New(`"none" must stand alone`)
	}
	return words, nil
}

// maxDomains is MAX_CANON_DOMAINS of readconf.h.
const maxDomains = 32

func readDomains(l *line) error {
	words, err := l.allNoneAlone()
	if err != nil {
		return err
	}
	if len(words) > maxDomains {
		return fmt.Errorf("more than %d domains", maxDomains)
	}
	for i, w := range words {
		if words[i], err = cleanDomain(w); err != nil {
			return err
		}
	}
	return l.setWords(words)
}

// A cnameRule permits names of source to be replaced by those of target.
type cnameRule struct{ source, target string }

func readPermittedCNAMEs(l *line) error {
	words, err := l.allNoneAlone()
	if err != nil {
		return err
	}
	if len(words) > maxDomains {
		return fmt.Errorf("more than %d rules", maxDomains)
	}
	if len(words) == 0 {
		return nil
	}
	var rules []cnameRule
	var texts []string
	for _, w := range words {
		source, target, both := strings.Cut(match.Lower(w), ":")
		switch {
		case match.Lower(w) == "none":
			continue
		case w == "*":
			source, target = "*", "*"
		case !both || target == "":
			return fmt.Errorf("%.80q is not source-list:target-list", w)
		}
		rules = append(rules, cnameRule{source, target})
		texts = append(texts, source+":"+target)
	}
	if len(rules) == 0 {
		texts = []string{"none"}
	}
	l.set(l.op, strings.Join(texts, " ")).value = rules
	return nil
}

func readSendEnv(l *line) error {
	words, err := l.all()
	if err != nil {
		return err
	}
	for _, w := range words {
		if strings.Contains(w, "=") {
			return fmt.Errorf("bad name of an environment variable: %.80q", w)
		}
		l.set(l.op, w)
	}
	return nil
}

func readSetEnv(l *line) error {
	words := l.args
	l.args = nil
	for _, w := range words {
		if !strings.Contains(w, "=") {
			return fmt.Errorf("%.80q is not NAME=value", w)
		}
	}
	return l.setWords(words)
}
