package output

import (
	"fmt"
	"strings"

	"shoal/fleet"
	"shoal/internal/hint"
	"shoal/internal/ui"
)

// maxCause is the maximum width of an error text in terminal columns.
const maxCause = 300

// told returns what to print about a result in addition to its output: how it ended unless
// it is ok, and what its output lacks; "" if there is nothing. It does not mention the end
// of cancelled targets, of which there may be thousands after Ctrl-C, or of detached ones.
func told(r *fleet.Result) string {
	var parts []string
	if end := toldEnd(&r.End); end != "" {
		if cause := toldCause(&r.End); cause != "" {
			end += ": " + cause
		}
		parts = append(parts, end)
	}
	return strings.Join(append(parts, toldLoss(r)...), "; ")
}

// toldEnd returns how an attempt ended without its error; "" for ok, cancelled and
// detached.
func toldEnd(e *fleet.End) string {
	where := string(e.Reason)
	if e.Phase != fleet.PhaseNone {
		where += " in " + e.Phase.String()
	}
	switch e.Outcome {
	case fleet.OutcomeFailed:
		if e.Status == 0 && e.Reason != fleet.ReasonNone { // of an SFTP server, which says nothing of the files
			return "failed: " + string(e.Reason)
		}
		text := fmt.Sprintf("exit status %d", e.Status)
		if e.Reason != fleet.ReasonNone {
			text += ": " + string(e.Reason)
		}
		return text
	case fleet.OutcomeSignalled:
		return "killed by signal " + ui.Truncate(ui.Visible(e.Signal), 40)
	case fleet.OutcomeNeverStarted:
		return "never started: " + where
	case fleet.OutcomeRefused:
		return "refused: " + where + ", the command did not run"
	case fleet.OutcomeUnknown:
		if e.Reason == fleet.ReasonLetGo { // as was asked for
			return ""
		}
		if e.Flags.Has(fleet.FlagExitKnown) {
			return "unknown: " + where + ", the command ran" // its output was lost on this machine
		}
		return "unknown: " + where + ", the command may have run"
	case fleet.OutcomeOK:
		if e.Reason != fleet.ReasonNone { // we stopped it
			return "exit status 0"
		}
		return ""
	case fleet.OutcomeCancelled, fleet.OutcomeDetached:
		return ""
	}
	return e.Outcome.String()
}

// EndText returns how an attempt ended in some words, without its error.
func EndText(e *fleet.End) string {
	if text := toldEnd(e); text != "" {
		return text
	}
	return wordOf(e.Outcome)
}

// toldCause returns the error on one line, without what toldEnd has already said.
func toldCause(e *fleet.End) string {
	err := e.Err
	if err == nil || e.Outcome == fleet.OutcomeCancelled {
		return ""
	}
	// Host, phase and reason are already in the line.
	if fe, ok := err.(*fleet.Error); ok { //nolint:errorlint // only the outermost one repeats them
		err = fe.Err
	}
	// Hints are the same for many targets; the summary of the run prints them once.
	text, _ := hint.Split(err.Error())
	// A character cut here is beyond the columns that Truncate keeps.
	return ui.Truncate(ui.Visible(text[:min(len(text), 8*maxCause)]), maxCause)
}

func toldLoss(r *fleet.Result) []string {
	var losses []string
	for s, out := range []fleet.Output{r.Stdout, r.Stderr} {
		if r.Flags.Has(fleet.FlagOutputTruncated) && out.Truncated() {
			losses = append(losses, fmt.Sprintf("%s truncated: %s of %s kept",
				fleet.Stream(s), ui.Bytes(int64(len(out.Bytes))), ui.Bytes(out.Size)))
		}
	}
	if r.Flags.Has(fleet.FlagOutputIncomplete) {
		losses = append(losses, "output may be incomplete: "+toldSizes(r))
	}
	if r.Flags.Has(fleet.FlagNoAgent) && !r.Outcome.DidNotRun() {
		losses = append(losses, "the agent was not forwarded: -v says why")
	}
	if r.Flags.Has(fleet.FlagEnvRefused) && !r.Outcome.DidNotRun() {
		losses = append(losses, "the server refused a variable of SetEnv: -v says which")
	}
	if r.Flags.Has(fleet.FlagLabelLost) {
		losses = append(losses, "the SELinux label of a file could not be restored (restorecon)")
	}
	if r.Flags.Has(fleet.FlagExitConflict) {
		losses = append(losses, "the server contradicted how the command ended, as it had said first")
	}
	return losses
}

func toldSizes(r *fleet.Result) string {
	var sizes []string
	for s, out := range []fleet.Output{r.Stdout, r.Stderr} {
		if out.Size > 0 {
			sizes = append(sizes, fmt.Sprintf("%s of %s", ui.Bytes(out.Size), fleet.Stream(s)))
		}
	}
	if len(sizes) == 0 {
		return "none came"
	}
	return strings.Join(sizes, " and ") + " came"
}
