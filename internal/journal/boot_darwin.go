package journal

import "syscall"

// bootID returns an identifier of the current boot of the machine, or "" if it is
// unknown.
func bootID() string {
	id, err := syscall.Sysctl("kern.bootsessionuuid")
	if err != nil {
		return ""
	}
	return id
}
