package client

import "shoal/fleet"

// An exit is what the server reported about the command's end (RFC 4254 §6.10).
type exit struct {
	known    bool
	conflict bool // a later message contradicts it
	status   uint32
	signal   string
}

// signalName distinguishes an empty name from "no signal".
func signalName(s string) string {
	if s == "" {
		return "unnamed"
	}
	return s
}

// end returns the attempt's end; complete means that the channel was closed in
// order.
func (e exit) end(p fleet.Phase, complete bool) fleet.End {
	end := fleet.Exited(p, e.status, e.signal, complete)
	if e.conflict {
		end.Flags |= fleet.FlagExitConflict
	}
	return end
}
