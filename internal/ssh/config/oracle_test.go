package config

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"shoal/internal/needs"
	"shoal/internal/ssh/match"
)

// An oracle is the installed ssh. Its algorithms and defaults are queried, so that the suite
// compares how configurations are resolved and not how that ssh was built.
type oracle struct {
	algorithms Algorithms
	defaults   map[string][]string
}

// debianOnly are lines of ssh -G that Debian's patches add.
var debianOnly = []string{
	"host", // printed since 9.1: the argument itself
	"gssapikeyexchange", "gssapitrustdns", "gssapirenewalforcesrekey", "gssapikexalgorithms",
	"gssapiclientidentity", "gssapiserveridentity",
}

func newOracle(t testing.TB) *oracle {
	t.Helper()
	needs.Program(t, "ssh")
	o := &oracle{}
	out, err := askSSH("-F", "none", "host")
	if err != nil {
		t.Fatal(err)
	}
	o.defaults = out
	for _, l := range []struct {
		list           *AlgorithmList
		query, keyword string
	}{
		{&o.algorithms.Kex, "kex", "kexalgorithms"},
		{&o.algorithms.Ciphers, "cipher", "ciphers"},
		{&o.algorithms.MACs, "mac", "macs"},
		{&o.algorithms.HostKey, "HostKeyAlgorithms", "hostkeyalgorithms"},
		{&o.algorithms.PubkeyAccepted, "HostKeyAlgorithms", "pubkeyacceptedalgorithms"},
		{&o.algorithms.HostbasedAccepted, "HostKeyAlgorithms", "hostbasedacceptedalgorithms"},
		{&o.algorithms.CASignature, "sig", "casignaturealgorithms"},
	} {
		names, err := exec.Command("ssh", "-Q", l.query).Output()
		if err != nil {
			t.Fatal(err)
		}
		l.list.Supported = strings.Fields(string(names))
		l.list.Default = strings.Split(out[l.keyword][0], ",")
	}
	return o
}

// askSSH returns the lines of ssh -G by keyword.
func askSSH(args ...string) (map[string][]string, error) {
	cmd := exec.Command("ssh", append([]string{"-G"}, args...)...)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	cmd.Env = append(os.Environ(), "SC_DIR=/env/dir", "SC_NAME=name", "SSH_AUTH_SOCK=/agent")
	if err := cmd.Run(); err != nil {
		return nil, fmt.Errorf("%w: %s", err, stderr.Bytes())
	}
	lines := make(map[string][]string)
	for line := range strings.Lines(stdout.String()) {
		keyword, value, _ := strings.Cut(strings.TrimSuffix(line, "\n"), " ")
		keyword = match.Lower(keyword)
		lines[keyword] = append(lines[keyword], value)
	}
	for _, keyword := range debianOnly {
		delete(lines, keyword)
	}
	return lines, nil
}

// A sample is a configuration and a query. In texts, @ stands for the directory of the files.
type sample struct {
	name  string
	files map[string]string // "config" is the argument of -F
	host  string
	user  string
	port  uint16
	set   []string
}

// write writes the files to a directory and returns the path of "config".
func (s *sample) write(t testing.TB) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range s.files {
		text = strings.ReplaceAll(text, "@", dir+"/")
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return filepath.Join(dir, "config")
}

func (s *sample) ask(path string) (map[string][]string, error) {
	args := []string{"-F", path}
	if s.user != "" {
		args = append(args, "-l", s.user)
	}
	if s.port != 0 {
		args = append(args, "-p", fmt.Sprint(s.port))
	}
	for _, o := range s.set {
		args = append(args, "-o", o)
	}
	return askSSH(append(args, "--", s.host)...)
}

// testEnv is the environment that askSSH passes to ssh.
func testEnv(name string) (string, bool) {
	switch name {
	case "SC_DIR":
		return "/env/dir", true
	case "SC_NAME":
		return "name", true
	case "SSH_AUTH_SOCK":
		return "/agent", true
	}
	return os.LookupEnv(name)
}

// compare returns the differences between ssh's answer and ours.
func (o *oracle) compare(theirs map[string][]string, r *Resolved) []string {
	ours := make(map[string][]string)
	standard := make(map[string]bool)
	// Since 9.3 the jump host is part of %C; in the oracle's 9.2 it is not.
	without := *r.tokens
	without.jump = ""
	for _, s := range r.Settings() {
		s.Value = strings.ReplaceAll(s.Value, r.tokens.hash(), without.hash())
		ours[s.Keyword] = append(ours[s.Keyword], s.Value)
		standard[s.Keyword] = s.Source == Source{} && s.Value == defaultOf(s.Keyword)
	}
	var diffs []string
	for _, k := range Keywords() {
		want := theirs[k.Name]
		got := ours[k.Name]
		if standard[k.Name] || got == nil && want != nil {
			// Our default is right if ssh also has its default.
			got = o.defaults[k.Name]
		}
		if !slices.Equal(got, want) {
			diffs = append(diffs, fmt.Sprintf("%s: %q, ssh has %q", k.Name, got, want))
		}
	}
	for keyword := range theirs {
		if !slices.ContainsFunc(Keywords(), func(k Keyword) bool { return k.Name == keyword }) {
			diffs = append(diffs, "ssh prints "+keyword+", which is not known here")
		}
	}
	return diffs
}

// defaultOf returns the table's default for a keyword.
func defaultOf(name string) string {
	for i := range keywordTable {
		if keywordTable[i].name == name {
			return keywordTable[i].standard
		}
	}
	return ""
}

// check compares one sample and reports differences. If and only if ssh refuses, we must return
// an error.
func (o *oracle) check(t *testing.T, s *sample) (accepted bool) {
	t.Helper()
	path := s.write(t)
	theirs, theirErr := s.ask(path)
	c, err := Load(LoadOptions{File: path, Set: s.set, Algorithms: o.algorithms, Local: Local{Getenv: testEnv}})
	options := Options{User: s.user, Port: s.port}
	var r *Resolved
	switch {
	case err != nil:
	case theirErr != nil:
		_, err = c.Resolve(t.Context(), s.host, options)
	default:
		// Without refusing keywords, which only we do.
		r, err = c.resolve(t.Context(), s.host, &options, true)
	}
	switch {
	case theirErr != nil && err != nil:
		return false
	case theirErr != nil:
		t.Errorf("ssh refuses and we do not: %v\n%s", theirErr, s.files["config"])
	case err != nil:
		t.Errorf("refused, but not by ssh: %v\n%s", err, s.files["config"])
	default:
		if diffs := o.compare(theirs, r); len(diffs) > 0 {
			t.Errorf("ssh -G %s %v differs:\n  %s\nwith\n%s", s.host, s.set, strings.Join(diffs, "\n  "), s.files["config"])
		}
	}
	return true
}
