package xcrypto

import (
	"fmt"

	"golang.org/x/crypto/ssh"

	"shoal/fleet"
)

// maxSignalName bounds what is kept of a signal's name; RFC 4254 §6.10 knows
// none longer than 4 bytes.
const maxSignalName = 64

// An exit is what the server said of the command's end (RFC 4254 §6.10).
type exit struct {
	known    bool
	status   uint32
	signal   string
	conflict bool  // what came later says otherwise
	err      error // the server's word could not be understood
}

// parseExit reads an exit-status or exit-signal request; ok is false for any
// other.
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

// signalName keeps a name apart from "no signal", even an empty one.
func signalName(s string) string {
	if s == "" {
		return "unnamed"
	}
	return s[:min(len(s), maxSignalName)]
}

// end gives the attempt's end; complete says that the channel closed in order.
func (e exit) end(p fleet.Phase, complete bool) fleet.End {
	end := fleet.Exited(p, e.status, e.signal, complete)
	if e.conflict {
		end.Flags |= fleet.FlagExitConflict
	}
	return end
}
