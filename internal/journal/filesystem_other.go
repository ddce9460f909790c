//go:build !linux && !darwin

package journal

// sharedFilesystem returns "" because shared file systems are not detected here.
func sharedFilesystem(string) (string, error) { return "", nil }
