package auth

import (
	"errors"
	"fmt"
	"io"
	"os"
	"syscall"

	"shoal/internal/hint"
)

// readBounded reads a regular file. A file longer than most bytes is an error.
func readBounded(path string, most int64) ([]byte, os.FileInfo, error) {
	// Without O_NONBLOCK, opening a FIFO would wait for its writer.
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, nil, err
	}
	defer func() { _ = f.Close() }() // it was only read
	info, err := f.Stat()
	if err != nil {
		return nil, nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, nil, errors.New("it is not a regular file")
	}
	content, err := io.ReadAll(io.LimitReader(f, most+1))
	if err != nil {
		return nil, nil, err
	}
	if int64(len(content)) > most {
		return nil, nil, fmt.Errorf("it is larger than %d bytes", most)
	}
	return content, info, nil
}

// checkMode refuses a secret file that we own and others may read or change (sshkey_perm_ok in
// OpenSSH's authfile.c).
func checkMode(info os.FileInfo) error {
	stat, ok := info.Sys().(*syscall.Stat_t)
	if ok && int(stat.Uid) != os.Getuid() {
		return nil // left to its owner, as in OpenSSH
	}
	if mode := info.Mode().Perm(); mode&0o077 != 0 {
		return hint.Wrap(fmt.Errorf("its mode %#o lets others at it", mode), "chmod 600 the file")
	}
	return nil
}
