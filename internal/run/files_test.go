package run

import (
	"os"
	"path/filepath"
	"slices"
	"testing"

	"shoal/internal/journal"
)

func TestChangedFiles(t *testing.T) {
	dir := t.TempDir()
	path := func(name string) string { return filepath.Join(dir, name) }
	write := func(name, text string) {
		t.Helper()
		if err := os.WriteFile(path(name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{"config", "include", "list", "old-list", "key"} {
		write(name, name)
	}
	then := Files([]string{path("config"), path("include")}, []string{path("list"), path("old-list"), "-"}, []string{path("key")})
	if len(then) != 5 {
		t.Fatalf("%+v", then)
	}
	if got := ChangedFiles(then, then); len(got) != 0 {
		t.Errorf("nothing has changed: %+v", got)
	}
	write("config", "changed")
	write("list", "changed")
	write("new", "")
	if err := os.Remove(path("old-list")); err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, c := range ChangedFiles(then, Files([]string{path("config"), path("new")}, nil, []string{path("key")})) {
		got = append(got, string(c.Kind)+" "+filepath.Base(c.Path)+" "+c.Change)
	}
	want := []string{
		"ssh_config config has changed", "ssh_config include has gone", "inventory list has changed", "inventory old-list has gone",
		"ssh_config new is new",
	}
	if !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
	if then[4].Kind != journal.FileIdentity || then[4].Digest != "" { // "key" is no key
		t.Errorf("%+v", then[4])
	}
}
