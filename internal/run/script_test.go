package run

import (
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"shoal/internal/hint"
	"shoal/internal/journal"
)

// The script of a run is read again in every byte of its path, and none takes its place.
func TestScriptIsReadAgain(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "a 'b' \"{host}\n\xff")
	write := func(path, text string) {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write(path, "exit 1\n")
	s, err := ReadScript(path)
	if err != nil {
		t.Fatal(err)
	}
	info := &journal.RunInfo{Options: Remote{Script: s}.options()}
	again, err := OpenScript(info)
	if err != nil || again.Path != path || again.Digest() != s.Digest() {
		t.Fatalf("%+v, %v", again, err)
	}
	if err := (Remote{Script: again}).CheckInput(info); err != nil {
		t.Error(err)
	}
	copied := path + "2"
	write(copied, "exit 1\n")
	other, err := ReadScript(copied)
	if err != nil {
		t.Fatal(err)
	}
	for what, is := range map[string]struct {
		r    Remote
		info *journal.RunInfo
	}{
		"no script": {Remote{}, info}, "none before": {Remote{Script: s}, &journal.RunInfo{}}, "another path": {Remote{Script: other}, info},
	} {
		if err := is.r.CheckInput(is.info); err == nil || hint.Of(err) == "" {
			t.Errorf("%s: %v", what, err)
		}
	}
	if none, err := OpenScript(&journal.RunInfo{}); none != nil || err != nil {
		t.Errorf("a run of commands: %+v, %v", none, err)
	}
	for _, text := range []string{"x", `"/a"`, `"/a" "b" "c"`} {
		broken := &journal.RunInfo{Options: maps.Clone(info.Options)}
		broken.Options[optionScript] = text
		if _, err := OpenScript(broken); err == nil || !strings.Contains(err.Error(), "cannot read") {
			t.Errorf("%q: %v", text, err)
		}
	}
	write(path, "exit 2\n")
	if _, err := OpenScript(info); err == nil || !strings.Contains(err.Error(), "has changed since") || hint.Of(err) == "" {
		t.Errorf("changed: %v", err)
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if _, err := OpenScript(info); err == nil || !strings.Contains(err.Error(), "cannot be read again") || hint.Of(err) == "" {
		t.Errorf("gone: %v", err)
	}
}

// Words are quoted only where a shell might change them.
func TestScriptWords(t *testing.T) {
	s := &Script{Path: "/srv/my script.sh"}
	want := `'my script.sh' -x a/b.c,1:2@3%4+5 '' '~' '=ls' 'it'\''s' '{host}' 'ü' '` + "\n\xff'"
	if got := s.Words([]string{"-x", "a/b.c,1:2@3%4+5", "", "~", "=ls", "it's", "{host}", "ü", "\n\xff"}); got != want {
		t.Errorf("%q, want %q", got, want)
	}
}
