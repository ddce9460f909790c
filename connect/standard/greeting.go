package standard

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

// throttled says whether the server turned the connection away.
func (w *wire) throttled() bool {
	for line := range strings.Lines(string(w.greeting)) {
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
func (w *wire) spokeOtherwise() bool {
	first, _, ended := bytes.Cut(w.greeting, []byte{'\n'})
	if len(first) == 0 && !ended {
		return false
	}
	head := first[:min(len(first), 4)]
	return !strings.HasPrefix("SSH-", string(head))
}

func (w *wire) notSSH(why string) *fleet.Error {
	return w.blame(fleet.PhaseBanner, fleet.ReasonProtocolError,
		fmt.Errorf("not SSH: %s; it began with %q", why, w.greeting[:min(len(w.greeting), 64)]))
}
