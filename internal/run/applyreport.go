package run

import (
	"fmt"
	"time"

	"shoal/fleet"
	"shoal/internal/hint"
	"shoal/internal/remote"
)

// ApplyReport updates a result with what the remote report proves about its
// command. since is an upper bound of the time since the command was sent. begun means that
// the host has shown that the command began.
// Output that was missed stays missing. known reports whether the command's end
// is certain; otherwise the result is returned unchanged.
func ApplyReport(res fleet.Result, r remote.Report, since time.Duration, begun bool) (_ fleet.Result, known bool) {
	switch r.State {
	case remote.StateNever:
		if begun {
			res.Err = hint.New("its marker says that it never started, but the host had begun it: another machine answers now, or the marker is another one",
				"name each machine by itself")
			return res, false
		}
		if since < 0 {
			res.Err = fmt.Errorf("its marker says that it never started, but the clock here was set back: whether the machine was started anew since, nobody can tell")
			return res, false
		}
		if !r.DidNotRun(since) {
			res.Err = fmt.Errorf("its marker says that it never started, but the machine was started anew since, and may have forgotten")
			return res, false
		}
		res.Outcome, res.Flags, res.Err = fleet.OutcomeNeverStarted, 0, nil
		if res.Reason == fleet.ReasonNone {
			res.Reason = fleet.ReasonInterrupted
		}
		return res, true
	case remote.StateEnded:
		res.Outcome, res.Reason, res.Err = r.Outcome(), fleet.ReasonNone, nil
		res.Flags |= fleet.FlagExitKnown | fleet.FlagOutputIncomplete
		res.Status, res.Signal = uint32(r.Status), ""
		switch r.Cause {
		case remote.CauseTimeout:
			res.Reason, res.Signal = fleet.ReasonRemoteTimeout, "TERM"
		case remote.CauseKilled:
			res.Reason, res.Signal = fleet.ReasonKilled, "KILL"
		}
		if res.Outcome == fleet.OutcomeSignalled {
			res.Status = 0
		}
		return res, true
	}
	res.Err = fmt.Errorf("%s", StateWords(r.State))
	return res, false
}

// claimTime is how long a host may take, after it has accepted a command, until the wrapper has
// its marker: a server may end in between.
const claimTime = 5 * time.Second

// begun reports whether the host has shown that the command of the result began. waits means that
// it may have waited for bytes of standard input after it had accepted the command.
func begun(res *fleet.Result, waits bool) bool {
	return res.Stdout.Size+res.Stderr.Size > 0 || res.Took[fleet.PhaseRun] >= claimTime && !waits
}

// long reports whether a command goes through standard input if it is wrapped.
func long(command string) bool { return len(command) > remote.MaxLine/8 } // a byte may be encoded as five

// longest returns an upper bound of the time from begun to now, both of this
// process. The monotonic clock stops while the machine sleeps, and the wall
// clock may be set back; [remote.Report.DidNotRun] needs the longer of both.
func longest(begun, now time.Time) time.Duration {
	return max(now.Sub(begun), now.Round(0).Sub(begun.Round(0)))
}

// StateWords describes the state of a command without a known end.
func StateWords(s remote.State) string {
	switch s {
	case remote.StateRunning:
		return "it still runs"
	case remote.StateOrphaned:
		return "processes of it still run, and nobody waits for them: its exit status will not be known"
	case remote.StateLost:
		return "it may have run; nothing of it runs now, and how it ended was not written down"
	case remote.StateAbsent:
		return "it has no marker: it has not begun, or its marker is gone"
	case remote.StateClaimed:
		return "it has a marker, and has not begun"
	}
	return "its marker cannot be read"
}
