package bench

import (
	"bytes"
	"os"
	"strconv"
	"strings"
)

// systemFacts reads the machine's description from /proc.
func systemFacts() (kernel, cpu string, memory int64) {
	if text, err := os.ReadFile("/proc/sys/kernel/osrelease"); err == nil {
		kernel = strings.TrimSpace(string(text))
	}
	cpu = procValue("/proc/cpuinfo", "model name")
	kib, _ := strconv.ParseInt(strings.TrimSuffix(procValue("/proc/meminfo", "MemTotal"), " kB"), 10, 64)
	return kernel, cpu, kib << 10
}

// procValue returns the first value of "key : value" in a file; "" if there is
// none.
func procValue(path, key string) string {
	text, err := os.ReadFile(path)
	if err != nil {
		return ""
	}
	for line := range bytes.Lines(text) {
		name, value, found := strings.Cut(string(line), ":")
		if found && strings.TrimSpace(name) == key {
			return strings.TrimSpace(value)
		}
	}
	return ""
}
