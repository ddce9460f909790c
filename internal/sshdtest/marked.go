package sshdtest

import (
	"bytes"
	"path/filepath"
	"strconv"
	"strings"
)

// markName is the environment variable that marks all processes of a server.
// Parents and groups are not enough: sshd starts each command in a session of
// its own, and a command whose connection has ended becomes init's child.
const markName = "SHOAL_TESTSSHD"

// marked returns a handle for each process with the mark in its environment.
func marked(mark string) []handle {
	var found []handle
	entry := []byte(markName + "=" + mark)
	environs, _ := filepath.Glob("/proc/[0-9]*/environ") // the pattern is valid
	for _, path := range environs {
		pid, err := strconv.Atoi(strings.Split(path, "/")[2])
		if err != nil {
			continue
		}
		h, err := open(pid)
		if err != nil {
			continue // it has exited
		}
		// Read the environment after opening the handle, so that both belong to
		// the same process.
		env, err := environ(pid)
		if err != nil || !hasEntry(env, entry) {
			h.close()
			continue
		}
		found = append(found, h)
	}
	return found
}

func hasEntry(env, entry []byte) bool {
	for e := range bytes.SplitSeq(env, []byte{0}) {
		if bytes.Equal(e, entry) {
			return true
		}
	}
	return false
}
