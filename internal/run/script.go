package run

import (
	"fmt"
	"path/filepath"
	"strings"

	"shoal/internal/hint"
	"shoal/internal/journal"
	"shoal/internal/plainfile"
	"shoal/internal/remote"
)

// A Script is a local file that runs on the hosts.
type Script struct {
	*remote.Script

	Path string // absolute
}

// ReadScript reads a script.
func ReadScript(path string) (*Script, error) {
	full, err := filepath.Abs(path)
	if err != nil {
		return nil, fmt.Errorf("looking for the script %q: %w", path, err)
	}
	text, err := plainfile.ReadFile(full, remote.MaxScript)
	if err != nil {
		return nil, fmt.Errorf("reading the script: %w", err)
	}
	s, err := remote.NewScript(text)
	if err != nil {
		return nil, fmt.Errorf("the script %q: %w", path, err)
	}
	return &Script{Script: s, Path: full}, nil
}

// Words returns the text of the command that runs the script with the arguments: its name,
// which is for people, and the arguments, each quoted for sh if it has to be.
func (s *Script) Words(args []string) string {
	words := []string{hint.ShellWord(filepath.Base(s.Path))}
	for _, a := range args {
		words = append(words, hint.ShellWord(a))
	}
	return strings.Join(words, " ")
}

// recorded returns the script as the journal keeps it; "" for none.
func (s *Script) recorded() string {
	if s == nil {
		return ""
	}
	return quoted(s.Path, s.Digest())
}

// OpenScript reads again the script of a run in the journal; nil if it ran commands. It fails
// unless the script is what it was.
func OpenScript(info *journal.RunInfo) (*Script, error) {
	text := info.Options[optionScript]
	if text == "" {
		return nil, nil
	}
	was, err := unquoted(text)
	if err != nil || len(was) != 2 {
		return nil, fmt.Errorf("the run %s: its script is recorded as %.100q, which this program cannot read", info.Run, text)
	}
	const again = "shoal script makes a new run of what is there now"
	s, err := ReadScript(was[0])
	if err != nil {
		return nil, hint.Wrap(fmt.Errorf("the script of the run %s cannot be read again: %w", info.Run, err), again)
	}
	if s.Digest() != was[1] {
		return nil, hint.Wrap(fmt.Errorf("the script of the run %s has changed since: %q", info.Run, s.Path), again)
	}
	return s, nil
}
