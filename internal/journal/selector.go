package journal

import (
	"fmt"
	"strings"

	"shoal/fleet"
)

// A Selector reports whether a target of a run is selected. It gets entries without
// output.
type Selector func(*Entry) bool

// All selects every target.
func All(*Entry) bool { return true }

// Resumable selects the targets whose command certainly did not run: those not started,
// and those whose last result says so. It does not select unknown targets.
func Resumable(e *Entry) bool {
	return e.Progress == NotStarted || e.Progress == Done && e.Outcome.DidNotRun()
}

// Unknown selects the targets of which it is unknown whether the command ran to its end:
// an intent without a result, or a result with outcome unknown.
func Unknown(e *Entry) bool { return e.Progress == Intended || e.Outcome == fleet.OutcomeUnknown }

// ResumableOrUnknown also selects unknown targets: their commands may run a second time.
func ResumableOrUnknown(e *Entry) bool { return Resumable(e) || Unknown(e) }

func notStarted(e *Entry) bool {
	return e.Progress == NotStarted || e.Outcome == fleet.OutcomeCancelled
}

func failed(e *Entry) bool {
	return e.Outcome == fleet.OutcomeFailed || e.Outcome == fleet.OutcomeSignalled
}

func outcome(o fleet.Outcome) Selector {
	return func(e *Entry) bool { return e.Progress == Done && e.Outcome == o }
}

// Cause selects the targets that failed in the phase or for the reason of that name, such
// as auth or auth_timeout.
func Cause(name string) Selector {
	return func(e *Entry) bool {
		well := e.Outcome == fleet.OutcomeOK || e.Outcome == fleet.OutcomeDetached
		return !well && (e.Phase.String() == name || string(e.Reason) == name)
	}
}

// Hosts selects the targets with one of these names as the inventory has them: db1,
// root@db1 or db1:2222. A name alone matches any user and port.
func Hosts(names ...string) Selector {
	set := make(map[string]bool, len(names))
	for _, n := range names {
		set[n] = true
	}
	return func(e *Entry) bool { return set[e.Target.Host.Name] || set[e.Target.Host.String()] }
}

// Selections are the words that ParseSelector accepts besides cause=…, with their
// meanings.
var Selections = []struct {
	Name, Meaning string
	Selector      Selector
}{
	{"all", "every target", All},
	{"ok", "exited 0", outcome(fleet.OutcomeOK)},
	{"failed", "exited with another status, or a signal ended it", failed},
	{"refused", "the server said no to exec", outcome(fleet.OutcomeRefused)},
	{"never-started", "was tried and exec never sent", outcome(fleet.OutcomeNeverStarted)},
	{"not-started", "never had its turn", notStarted},
	{"unknown", "exec was, or may have been, sent and its end not seen", Unknown},
	{"detached", "was started and let run on without us", outcome(fleet.OutcomeDetached)},
	{"resumable", "certainly did not run", Resumable},
}

// ParseSelector parses words of Selections and cause=REASON or cause=PHASE, separated by
// commas. A target is selected if one of them selects it.
func ParseSelector(text string) (Selector, error) {
	var any []Selector
	for word := range strings.SplitSeq(text, ",") {
		s, err := parseWord(word)
		if err != nil {
			return nil, err
		}
		any = append(any, s)
	}
	return func(e *Entry) bool {
		for _, s := range any {
			if s(e) {
				return true
			}
		}
		return false
	}, nil
}

func parseWord(word string) (Selector, error) {
	if cause, ok := strings.CutPrefix(word, "cause="); ok && cause != "" {
		return Cause(strings.ReplaceAll(cause, "-", "_")), nil
	}
	var known []string
	for _, s := range Selections {
		if s.Name == word {
			return s.Selector, nil
		}
		known = append(known, s.Name)
	}
	return nil, fmt.Errorf("%.40q selects nothing\nhint: one of %s, or cause=auth", word, strings.Join(known, ", "))
}
