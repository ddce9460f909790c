package console

import (
	"testing"

	"shoal/fleet"
	"shoal/record"
)

func TestExitCode(t *testing.T) {
	for name, c := range map[string]struct {
		outcomes    []fleet.Outcome
		interrupted bool
		lost        bool
		want        int
	}{
		"all ok":               {outcomes: []fleet.Outcome{fleet.OutcomeOK}, want: 0},
		"nothing at all":       {want: 0},
		"failed":               {outcomes: []fleet.Outcome{fleet.OutcomeOK, fleet.OutcomeFailed}, want: 1},
		"signalled":            {outcomes: []fleet.Outcome{fleet.OutcomeSignalled}, want: 1},
		"never started":        {outcomes: []fleet.Outcome{fleet.OutcomeFailed, fleet.OutcomeNeverStarted}, want: 3},
		"refused":              {outcomes: []fleet.Outcome{fleet.OutcomeRefused}, want: 3},
		"cancelled":            {outcomes: []fleet.Outcome{fleet.OutcomeCancelled}, want: 3},
		"unknown is worst":     {outcomes: []fleet.Outcome{fleet.OutcomeFailed, fleet.OutcomeNeverStarted, fleet.OutcomeUnknown}, want: 4},
		"a result lost":        {outcomes: []fleet.Outcome{fleet.OutcomeOK}, lost: true, want: 4},
		"interrupted wins all": {outcomes: []fleet.Outcome{fleet.OutcomeUnknown}, interrupted: true, want: 130},
	} {
		s := record.Summary{Interrupted: c.interrupted}
		for _, o := range c.outcomes {
			s.Outcomes[o]++
		}
		if got := ExitCode(&s, !c.lost); got != c.want {
			t.Errorf("%s: %d, want %d", name, got, c.want)
		}
	}
}
