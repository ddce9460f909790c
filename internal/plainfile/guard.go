package plainfile

import (
	"fmt"
	"io/fs"
	"os"
	"syscall"

	"shoal/internal/hint"
)

// Guard refuses a directory or file that another user, except root, could have written to.
func Guard(path string, info fs.FileInfo) error {
	if perm := info.Mode().Perm(); perm&0o022 != 0 {
		return hint.Wrap(fmt.Errorf("%q can be written by others (mode %04o)", path, perm),
			"chmod go-w it, or name another state directory")
	}
	owner, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return fmt.Errorf("%q has no owner that can be checked", path)
	}
	if uid := int(owner.Uid); uid != os.Geteuid() && uid != 0 {
		return hint.Wrap(fmt.Errorf("%q belongs to another user (uid %d)", path, uid), "name another state directory")
	}
	return nil
}

// GuardDir is Guard for a path that must be a directory.
func GuardDir(dir string) error {
	info, err := os.Stat(dir)
	if err != nil {
		return err
	}
	if !info.IsDir() {
		return fmt.Errorf("%q is not a directory", dir)
	}
	return Guard(dir, info)
}
