package client

import "shoal/fleet"

// An exit is what the server said of the command's end (RFC 4254 §6.10).
type exit struct {
	known    bool
	status   uint32
	signal   string
	conflict bool // what came later says otherwise
}

// signalName keeps a name apart from "no signal", even an empty one.
func signalName(s string) string {
	if s == "" {
		return "unnamed"
	}
	return s
}

// end gives the attempt's end; complete says that the channel closed in order.
func (e exit) end(p fleet.Phase, complete bool) fleet.End {
	end := fleet.Exited(p, e.status, e.signal, complete)
	if e.conflict {
		end.Flags |= fleet.FlagExitConflict
	}
	return end
}
