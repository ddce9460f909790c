package xcrypto

import (
	"fmt"

	"golang.org/x/crypto/ssh"

	"shoal/fleet"
)

// maxSignalName bounds a signal's name, in bytes; those of RFC 4254 §6.10 have at most 4.
const maxSignalName = 64

// An exit is what the server reported about the command's end (RFC 4254 §6.10).
type exit struct {
	known    bool
	status   uint32
	signal   string
	conflict bool  // a later report contradicts it
	err      error // the report could not be parsed
}

// parseExit parses an exit-status or exit-signal request; ok is false for other requests.
func parseExit(kind string, payload []byte) (e exit, ok bool) {
	switch kind {
	case "exit-status":
		var msg struct{ Status uint32 }
		if err := ssh.Unmarshal(payload, &msg); err != nil {
			return exit{err: fmt.Errorf("exit-status cannot be read: %w", err)}, true
		}
		return exit{known: true, status: msg.Status}, true
	case "exit-signal":
		var msg struct {
			Signal     string
			CoreDumped bool
			Message    string
			Language   string
		}
		if err := ssh.Unmarshal(payload, &msg); err != nil {
			return exit{err: fmt.Errorf("exit-signal cannot be read: %w", err)}, true
		}
		return exit{known: true, signal: signalName(msg.Signal)}, true
	}
	return exit{}, false
}

// signalName returns a non-empty name even for an empty one, since "" means no signal.
func signalName(s string) string {
	if s == "" {
		return "unnamed"
	}
	return s[:min(len(s), maxSignalName)]
}

// end returns the attempt's end; complete means that the channel was closed properly.
func (e exit) end(p fleet.Phase, complete bool) fleet.End {
	end := fleet.Exited(p, e.status, e.signal, complete)
	if e.conflict {
		end.Flags |= fleet.FlagExitConflict
	}
	return end
}
