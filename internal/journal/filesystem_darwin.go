package journal

import (
	"os"
	"slices"

	"golang.org/x/sys/unix"
)

// sharedFilesystem returns the name of the directory's file system if several
// machines may have it mounted, otherwise or if unknown "".
func sharedFilesystem(dir string) (string, error) {
	var s unix.Statfs_t
	if err := unix.Statfs(dir, &s); err != nil {
		return "", &os.PathError{Op: "statfs", Path: dir, Err: err}
	}
	name := unix.ByteSliceToString(s.Fstypename[:])
	if slices.Contains([]string{"nfs", "smbfs", "afpfs", "webdav", "ftp", "acfs"}, name) {
		return name, nil
	}
	return "", nil
}
