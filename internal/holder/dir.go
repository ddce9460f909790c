// Package holder has the process that holds connections between runs (shoal run --persist): where
// its socket is, how it is started and found, and that it is the only one for a state directory.
// What run and process say to each other is package internal/ssh/persist.
//
// The files are in a private directory on this machine, not in the state directory, whose path may
// be too long for a socket and which machines may share. Their names contain a hash of the state
// directory and of the machine's boot. A process holds the lock of its lock file as long as it
// lives: what is not locked is left over.
package holder

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"

	"golang.org/x/sys/unix"

	"shoal/internal/hint"
)

// maxSocketPath is the size of sun_path on the BSDs, without NUL.
const maxSocketPath = 103

const (
	socketSuffix = ".sock"
	lockSuffix   = ".lock"
	startSuffix  = ".start"
	logSuffix    = ".log"
	nameSize     = 16 // hexadecimal digits
)

// dirs returns the directories that may have sockets of this user, best first.
func dirs() []string {
	uid := strconv.Itoa(os.Geteuid())
	var list []string
	for _, runtime := range []string{os.Getenv("XDG_RUNTIME_DIR"), "/run/user/" + uid} {
		if filepath.IsAbs(runtime) && len(runtime)+len("/shoal/")+nameSize+len(socketSuffix) <= maxSocketPath && private(runtime) == nil {
			list = append(list, filepath.Join(runtime, "shoal"))
		}
	}
	list = append(list, "/tmp/shoal-"+uid)
	if len(list) > 1 && list[0] == list[1] {
		list = list[1:]
	}
	return list
}

// private returns an error unless path is a directory of this user alone.
func private(path string) error {
	info, err := os.Lstat(path)
	if err != nil {
		return err
	}
	var st unix.Stat_t
	if err := unix.Lstat(path, &st); err != nil {
		return fmt.Errorf("looking at %q: %w", path, err)
	}
	switch {
	case !info.IsDir():
		return fmt.Errorf("%q is no directory", path)
	case int(st.Uid) != os.Geteuid():
		return fmt.Errorf("%q belongs to another user", path)
	case info.Mode().Perm()&0o077 != 0:
		return fmt.Errorf("%q is open to others", path)
	}
	return nil
}

// makeDir returns the directory for a new socket.
func makeDir() (string, error) {
	var errs []error
	for _, dir := range dirs() {
		err := os.Mkdir(dir, 0o700)
		if err == nil || errors.Is(err, fs.ErrExist) {
			if err = private(dir); err == nil {
				return dir, nil
			}
		}
		errs = append(errs, err)
	}
	return "", hint.Wrap(fmt.Errorf("there is no place for a socket: %w", errors.Join(errs...)),
		"set XDG_RUNTIME_DIR to a directory of your own, with a short path")
}

// nameFor returns the first part of the names of a state directory's files.
func nameFor(stateDir string) (string, error) {
	boot, err := bootID()
	if err != nil {
		return "", fmt.Errorf("telling this boot from others: %w", err)
	}
	sum := sha256.Sum256([]byte(boot + "\x00" + stateDir))
	return hex.EncodeToString(sum[:])[:nameSize], nil
}
