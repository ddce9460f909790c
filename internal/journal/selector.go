package journal

import (
	"fmt"
	"slices"
	"strings"

	"shoal/fleet"
	"shoal/internal/hint"
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

func outcome(any ...fleet.Outcome) Selector {
	return func(e *Entry) bool { return e.Progress == Done && slices.Contains(any, e.Outcome) }
}

// cause selects the targets that failed in the phase or for the reason of that name, such
// as auth or auth_timeout.
func cause(name string) Selector {
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

// Selections are the words that ParseSelector accepts besides cause=….
var Selections = []struct {
	Name     string
	Selector Selector
}{
	{"all", All},
	{"ok", outcome(fleet.OutcomeOK)},
	{"failed", outcome(fleet.OutcomeFailed, fleet.OutcomeSignalled)},
	{"signalled", outcome(fleet.OutcomeSignalled)},
	{"refused", outcome(fleet.OutcomeRefused)},
	{"never-started", outcome(fleet.OutcomeNeverStarted)},                                                           // tried
	{"not-started", func(e *Entry) bool { return e.Progress == NotStarted || e.Outcome == fleet.OutcomeCancelled }}, // not tried
	{"cancelled", func(e *Entry) bool { return e.Outcome == fleet.OutcomeCancelled }},
	{"unknown", Unknown},
	{"detached", outcome(fleet.OutcomeDetached)},
	{"resumable", Resumable},
}

// ParseSelector parses words of Selections and cause=REASON or cause=PHASE, separated by
// commas. A target is selected if one of them selects it.
func ParseSelector(text string) (Selector, error) {
	var any []Selector
	for word := range strings.SplitSeq(text, ",") {
		s := Selector(nil)
		names := ""
		for _, known := range Selections {
			names += known.Name + ", "
			if known.Name == strings.ReplaceAll(word, "_", "-") { // as results have them
				s = known.Selector
			}
		}
		if name, ok := strings.CutPrefix(word, "cause="); ok && name != "" {
			s = cause(strings.ReplaceAll(name, "-", "_"))
		}
		if s == nil {
			return nil, hint.Wrap(fmt.Errorf("%.40q selects nothing", word), "one of "+names+"or cause=auth")
		}
		any = append(any, s)
	}
	return func(e *Entry) bool {
		return slices.ContainsFunc(any, func(s Selector) bool { return s(e) })
	}, nil
}
