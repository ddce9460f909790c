package journal

import (
	"os"
	"strings"
)

// bootID returns an identifier of the current boot of the machine, or "" if it is
// unknown.
func bootID() string {
	id, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(id))
}
