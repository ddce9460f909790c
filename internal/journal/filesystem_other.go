//go:build !linux && !darwin

package journal

// sharedFilesystem names the file system of a directory where several machines
// may have it mounted; "" where that is not known of it.
func sharedFilesystem(string) (string, error) { return "", nil }
