package sshreason

import (
	"bytes"
	"fmt"
	"strings"

	"shoal/fleet"
)

// turnedAway are the lines with which OpenSSH drops a connection before its version
// line: sshd.c since 7.9 (the first) and since 9.8 (the second, also for
// PerSourcePenalties).
var turnedAway = []string{"Exceeded MaxStartups", "Not allowed at this time"}

// Greeting classifies the failure of a connection that ended before the server's
// version line, by the bytes that the server sent. ok is false if they tell
// nothing.
func Greeting(greeting []byte) (r fleet.Reason, err error, ok bool) {
	switch {
	case throttled(greeting):
		return fleet.ReasonThrottled, fmt.Errorf(
			"the server turns connections away (MaxStartups or a penalty): %q", firstLine(greeting)), true
	case spokeOtherwise(greeting):
		return fleet.ReasonProtocolError, NotSSH("no version line came", greeting), true
	}
	return fleet.ReasonNone, nil, false
}

// NotSSH returns an error for a peer that does not speak SSH, with why and the
// first bytes of greeting.
func NotSSH(why string, greeting []byte) error {
	return fmt.Errorf("not SSH: %s; it began with %q", why, greeting[:min(len(greeting), 64)])
}

func throttled(greeting []byte) bool {
	for line := range strings.Lines(string(greeting)) {
		line = strings.TrimRight(line, "\r\n")
		for _, text := range turnedAway {
			if line == text {
				return true
			}
		}
	}
	return false
}

// spokeOtherwise reports whether the server has sent bytes that cannot begin a
// version line, so that this is a protocol error.
func spokeOtherwise(greeting []byte) bool {
	first, _, ended := bytes.Cut(greeting, []byte{'\n'})
	if len(first) == 0 && !ended {
		return false
	}
	head := first[:min(len(first), 4)]
	return !strings.HasPrefix("SSH-", string(head))
}

func firstLine(b []byte) string {
	s, _, _ := strings.Cut(string(b), "\n")
	return strings.TrimRight(s[:min(len(s), 64)], "\r")
}
