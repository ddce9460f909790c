package hostcache

import (
	"errors"
	"fmt"
	"io/fs"
	"os"

	"golang.org/x/sys/unix"

	"shoal/internal/hint"
	"shoal/internal/plainfile"
)

// open opens a regular file of ours. It never follows a symbolic link or blocks on a FIFO.
func open(path string, flags int) (*os.File, fs.FileInfo, error) {
	f, err := os.OpenFile(path, flags|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0o600)
	if errors.Is(err, unix.ELOOP) {
		return nil, nil, hint.Wrap(fmt.Errorf("%q is a symbolic link", path), "delete it; nothing but speed is lost")
	}
	if err != nil {
		return nil, nil, err
	}
	info, err := f.Stat()
	switch {
	case err != nil:
	case !info.Mode().IsRegular():
		err = hint.Wrap(fmt.Errorf("%q is not a plain file", path), "delete it; nothing but speed is lost")
	default:
		err = plainfile.Guard(path, info)
	}
	if err != nil {
		_ = f.Close() // nothing was written
		return nil, nil, err
	}
	return f, info, nil
}
