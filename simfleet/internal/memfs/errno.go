package memfs

import "io/fs"

// An Errno is the reason why a call failed. Its text is that of strerror(3).
type Errno uint8

// The errors, with Linux's numbers.
const (
	EPERM        Errno = 1
	ENOENT       Errno = 2
	EIO          Errno = 5
	ENXIO        Errno = 6
	EBADF        Errno = 9
	EACCES       Errno = 13
	EEXIST       Errno = 17
	EXDEV        Errno = 18
	ENOTDIR      Errno = 20
	EISDIR       Errno = 21
	EINVAL       Errno = 22
	EFBIG        Errno = 27
	ENOSPC       Errno = 28
	EROFS        Errno = 30
	EPIPE        Errno = 32
	ENAMETOOLONG Errno = 36
	ENOTEMPTY    Errno = 39
	ELOOP        Errno = 40
	EDQUOT       Errno = 122
)

var errnoText = map[Errno]string{
	EPERM: "Operation not permitted", ENOENT: "No such file or directory", EIO: "Input/output error",
	ENXIO: "No such device or address", EBADF: "Bad file descriptor", EACCES: "Permission denied",
	EEXIST: "File exists", EXDEV: "Invalid cross-device link", ENOTDIR: "Not a directory",
	EISDIR: "Is a directory", EINVAL: "Invalid argument", EFBIG: "File too large",
	ENOSPC: "No space left on device", EROFS: "Read-only file system", EPIPE: "Broken pipe",
	ENAMETOOLONG: "File name too long", ENOTEMPTY: "Directory not empty", ELOOP: "Too many levels of symbolic links",
	EDQUOT: "Disk quota exceeded",
}

func (e Errno) Error() string { return errnoText[e] }

// Is lets errors.Is find io/fs's errors.
func (e Errno) Is(target error) bool {
	switch target {
	case fs.ErrNotExist:
		return e == ENOENT
	case fs.ErrExist:
		return e == EEXIST || e == ENOTEMPTY
	case fs.ErrPermission:
		return e == EACCES || e == EPERM
	}
	return false
}
