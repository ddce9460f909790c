package hostkeys

import (
	"context"
	"errors"
	"io/fs"
	"path/filepath"
	"testing"
	"time"
)

// A file system where a file does not keep its inode number does not keep those who learn.
func TestNeverTheSameFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "known_hosts")
	other := func(_, _ fs.FileInfo) bool { return false }
	if f, err := lockSame(t.Context(), path, 1, other); f != nil || !errors.Is(err, errReplaced) {
		t.Errorf("%v, %v", f, err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if f, err := lockSame(ctx, path, time.Hour, other); f != nil || !errors.Is(err, context.Canceled) {
		t.Errorf("%v, %v", f, err)
	}
}
