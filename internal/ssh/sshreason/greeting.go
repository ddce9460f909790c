package sshreason

import (
	"bytes"
	"fmt"
	"strings"

	"shoal/fleet"
)

// turnedAway are the texts with which OpenSSH drops a connection before its
// version line: sshd.c since 7.9 (the first) and since 9.8 (the second, also
// for PerSourcePenalties).
var turnedAway = []string{"Exceeded MaxStartups", "Not allowed at this time"}

// Greeting names the failure of a connection that ended before the server's
// version line, by what it sent. ok is false when that says nothing.
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

// NotSSH says why something is not SSH and how it began.
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

// spokeOtherwise says whether the server has sent something that cannot be the
// beginning of a version line, so that what failed is the protocol.
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
