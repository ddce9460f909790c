package journal

import (
	"os"
	"strings"
)

// bootID tells this start of the machine from others; "" where it is not known.
func bootID() string {
	id, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(id))
}
