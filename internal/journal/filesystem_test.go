package journal

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// A journal on NFS is refused before anything is created there (audit, suspected): two
// machines would damage it.
func TestSharedFilesystems(t *testing.T) {
	home := t.TempDir()
	dir := filepath.Join(home, ".local", "state", "shoal")
	var asked []string
	nfs := Options{filesystem: func(dir string) (string, error) {
		asked = append(asked, dir)
		if _, err := os.Stat(dir); err != nil {
			return "", err
		}
		return "nfs", nil
	}}
	for name, open := range map[string]func() (*Journal, error){
		"Open":         func() (*Journal, error) { return Open(t.Context(), dir, nfs) },
		"OpenReadOnly": func() (*Journal, error) { return OpenReadOnly(t.Context(), dir, nfs) },
	} {
		asked = nil
		_, err := open()
		if err == nil || !strings.Contains(err.Error(), "several machines may use at once (nfs)") || !strings.Contains(err.Error(), "hint: ") {
			t.Errorf("%s: %v", name, err)
		}
		if last := asked[len(asked)-1]; last != home {
			t.Errorf("%s asked about %q", name, asked)
		}
		if _, err := os.Stat(filepath.Join(home, ".local")); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s has made something: %v", name, err)
		}
	}
	failing := Options{filesystem: func(string) (string, error) { return "", fs.ErrPermission }}
	if _, err := Open(t.Context(), dir, failing); !errors.Is(err, fs.ErrPermission) {
		t.Error(err)
	}
	if kind, err := sharedFilesystem(t.TempDir()); kind != "" || err != nil {
		t.Errorf("a temporary directory is %q: %v", kind, err)
	}
}
