package plainfile_test

import (
	"io/fs"
	"os"
	"strings"
	"syscall"
	"testing"

	"shoal/internal/plainfile"
)

// TestGuardOwner simulates the owner: the test cannot create another user's file.
func TestGuardOwner(t *testing.T) {
	for uid, want := range map[int]bool{os.Geteuid(): true, 0: true, os.Geteuid() + 1: false} {
		err := plainfile.Guard("x", owned{uid: uid})
		if (err == nil) != want || !want && !strings.Contains(err.Error(), "belongs to another user") {
			t.Errorf("owner %d: %v", uid, err)
		}
	}
}

type owned struct {
	fs.FileInfo
	uid int
}

func (owned) Mode() fs.FileMode { return 0o600 }
func (o owned) Sys() any        { return &syscall.Stat_t{Uid: uint32(o.uid)} }
