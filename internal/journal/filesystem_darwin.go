package journal

import (
	"os"
	"slices"
	"syscall"
)

// sharedFilesystem returns the name of the directory's file system if several
// machines may have it mounted, otherwise or if unknown "".
func sharedFilesystem(dir string) (string, error) {
	var s syscall.Statfs_t
	if err := syscall.Statfs(dir, &s); err != nil {
		return "", &os.PathError{Op: "statfs", Path: dir, Err: err}
	}
	var name []byte
	for _, c := range s.Fstypename {
		if c == 0 {
			break
		}
		name = append(name, byte(c))
	}
	if slices.Contains([]string{"nfs", "smbfs", "afpfs", "webdav", "ftp", "acfs"}, string(name)) {
		return string(name), nil
	}
	return "", nil
}
