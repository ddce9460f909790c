package journal

import "syscall"

// bootID tells this start of the machine from others; "" where it is not known.
func bootID() string {
	id, err := syscall.Sysctl("kern.bootsessionuuid")
	if err != nil {
		return ""
	}
	return id
}
