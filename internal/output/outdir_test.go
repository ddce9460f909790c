package output

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"shoal/record"
)

// faults.md: I05
func TestFilesRefusesTheDirectory(t *testing.T) {
	base := t.TempDir()
	make := func(name string, mode fs.FileMode) string {
		dir := filepath.Join(base, name)
		if err := os.Mkdir(dir, mode); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(dir, mode); err != nil {
			t.Fatal(err)
		}
		return dir
	}
	full := make("full", 0o700)
	if err := os.WriteFile(filepath.Join(full, ".x"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	link := filepath.Join(base, "link")
	if err := os.Symlink(make("empty", 0o755), link); err != nil {
		t.Fatal(err)
	}
	for dir, want := range map[string]string{
		full:                         "is not empty\nhint: ",
		make("open", 0o770):          "can be written by others (mode 0770)\nhint: ",
		link:                         "is a symbolic link\nhint: ",
		filepath.Join(full, ".x"):    "not a directory",
		filepath.Join(base, "a\x00"): "invalid argument",
	} {
		f, err := NewFiles(dir, record.Header{}, &record.Summary{})
		if err == nil || !strings.Contains(err.Error(), want) || f != nil {
			t.Errorf("%q: %v", dir, err)
		}
	}
	if left, _ := os.ReadDir(filepath.Join(base, "empty")); len(left) != 0 {
		t.Errorf("wrote through the link: %v", left)
	}
	f, err := NewFiles(filepath.Join(base, "empty"), record.Header{}, &record.Summary{})
	if err != nil {
		t.Fatalf("an empty directory of one's own: %v", err)
	}
	if err := f.Close(); err != nil {
		t.Error(err)
	}
}

// A file or link planted under a target's file name is neither used nor followed, and the
// target is not ok.
// faults.md: I05
func TestFilesPlanted(t *testing.T) {
	dir, victim := filepath.Join(t.TempDir(), "out"), filepath.Join(t.TempDir(), "victim")
	if err := os.WriteFile(victim, []byte("precious"), 0o600); err != nil {
		t.Fatal(err)
	}
	f, err := NewFiles(dir, record.Header{Targets: 2}, &record.Summary{})
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(victim, filepath.Join(dir, "0_node1.out")); err != nil {
		t.Fatal(err)
	}
	if err := os.Link(victim, filepath.Join(dir, "1_node2.err")); err != nil {
		t.Fatal(err)
	}
	for i := range 2 {
		if err := f.Result(ok(i, "overwritten")); !errors.Is(err, fs.ErrExist) {
			t.Errorf("node%d: %v", i+1, err)
		}
	}
	if err := f.Close(); err != nil {
		t.Error(err)
	}
	if content, err := os.ReadFile(victim); string(content) != "precious" {
		t.Errorf("%q, %v", content, err)
	}
}
