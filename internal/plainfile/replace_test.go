package plainfile_test

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"

	"shoal/internal/plainfile"
)

func TestReplace(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "file")
	if err := os.WriteFile(path, []byte("old"), 0o644); err != nil {
		t.Fatal(err)
	}
	failed := errors.New("no more")
	for _, c := range []struct {
		err  error
		want string
		perm os.FileMode
	}{{failed, "old", 0o644}, {nil, "new", 0o600}} {
		err := plainfile.Replace(path, 0o600, func(w io.Writer) error {
			_, err := io.WriteString(w, "new")
			return errors.Join(err, c.err)
		})
		if !errors.Is(err, c.err) {
			t.Errorf("got the error %v, want %v", err, c.err)
		}
		got, err := os.ReadFile(path)
		if err != nil || string(got) != c.want {
			t.Errorf("after %v the file has %q (%v), want %q", c.err, got, err, c.want)
		}
		if info, err := os.Stat(path); err != nil || info.Mode().Perm() != c.perm {
			t.Errorf("after %v the file is %v (%v), want the permissions %v", c.err, info, err, c.perm)
		}
		if left, err := os.ReadDir(dir); err != nil || len(left) != 1 {
			t.Errorf("after %v there is %v (%v)", c.err, left, err)
		}
	}
}
