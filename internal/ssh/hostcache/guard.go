package hostcache

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// guard refuses a directory or file that another user could have written to.
func guard(path string, info fs.FileInfo) error {
	if perm := info.Mode().Perm(); perm&0o022 != 0 {
		return fmt.Errorf("%q can be written by others (mode %04o)\nhint: chmod go-w it, or name another state directory", path, perm)
	}
	owner, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return fmt.Errorf("%q has no owner that can be checked", path)
	}
	if uid := int(owner.Uid); uid != os.Geteuid() && uid != 0 {
		return fmt.Errorf("%q belongs to another user (uid %d)\nhint: name another state directory", path, uid)
	}
	return nil
}

func guardDir(dir string) error {
	info, err := os.Stat(dir)
	if err != nil {
		return err
	}
	if !info.IsDir() {
		return fmt.Errorf("%q is not a directory", dir)
	}
	return guard(dir, info)
}

// open opens a regular file of ours. It never follows a symbolic link or blocks on a FIFO.
func open(path string, flags int) (*os.File, fs.FileInfo, error) {
	f, err := os.OpenFile(path, flags|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0o600)
	if errors.Is(err, unix.ELOOP) {
		return nil, nil, fmt.Errorf("%q is a symbolic link\nhint: delete it; nothing but speed is lost", path)
	}
	if err != nil {
		return nil, nil, err
	}
	info, err := f.Stat()
	switch {
	case err != nil:
	case !info.Mode().IsRegular():
		err = fmt.Errorf("%q is not a plain file\nhint: delete it; nothing but speed is lost", path)
	default:
		err = guard(path, info)
	}
	if err != nil {
		_ = f.Close() // nothing was written
		return nil, nil, err
	}
	return f, info, nil
}
