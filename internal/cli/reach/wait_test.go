package reach

import (
	"errors"
	"strings"
	"testing"
	"time"

	"shoal/fleet"
	"shoal/internal/reach"
)

// What is said of a host that answers does not say that it does not.
func TestWaitLines(t *testing.T) {
	for reason, want := range map[fleet.Reason]string{
		fleet.ReasonNotRebooted: `h: answers, but not_rebooted: its boot identifier is still "x" (`,
		fleet.ReasonBootUnknown: "h: answers, but boot_unknown: its boot identifier is still",
		fleet.ReasonConnRefused: "h: no answer, dial: conn_refused: its boot",
	} {
		var text strings.Builder
		w := &waits{w: &text, boots: &reach.Boots{Rebooted: true}, begun: time.Now()}
		phase := fleet.PhaseDrain
		if reason == fleet.ReasonConnRefused {
			phase = fleet.PhaseDial
		}
		err := w.Result(fleet.Result{Target: fleet.Target{Host: fleet.Host{Name: "h"}}, End: fleet.End{
			Outcome: fleet.OutcomeNeverStarted, Phase: phase, Reason: reason, Err: errors.New(`its boot identifier is still "x"`),
		}})
		if err != nil || !strings.HasPrefix(text.String(), want) {
			t.Errorf("%s: %q, %v, want %q", reason, text.String(), err, want)
		}
	}
}
