package record

import (
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"

	"shoal/fleet"
)

func result(index int, e fleet.End) fleet.Result {
	return fleet.Result{Target: fleet.Target{Host: fleet.Host{Name: fmt.Sprintf("node%d", index)}, Index: index}, End: e}
}

func TestSummaryGroups(t *testing.T) {
	var s Summary
	throttled := fleet.End{Outcome: fleet.OutcomeNeverStarted, Reason: fleet.ReasonThrottled, Phase: fleet.PhaseBanner}
	refused := fleet.End{Outcome: fleet.OutcomeNeverStarted, Reason: fleet.ReasonConnRefused, Phase: fleet.PhaseDial}
	for i, e := range map[int]fleet.End{
		9: throttled, 3: throttled, 8: throttled,
		2: refused,
		1: {Outcome: fleet.OutcomeOK, Flags: fleet.FlagOutputTruncated | fleet.FlagOutputIncomplete},
		4: {Outcome: fleet.OutcomeFailed, Status: 1}, 5: {Outcome: fleet.OutcomeFailed, Status: 127},
		6: {Outcome: fleet.OutcomeSignalled, Signal: "KILL", Flags: fleet.FlagOutputIncomplete},
		7: {Outcome: fleet.OutcomeUnknown, Reason: fleet.ReasonConnReset, Status: 0},
	} {
		s.Add(result(i, e))
	}
	want := []Group{
		{Cause: Cause{Outcome: fleet.OutcomeFailed, Status: 1}, Targets: 1, Hosts: []string{"node4"}},
		{Cause: Cause{Outcome: fleet.OutcomeFailed, Status: 127}, Targets: 1, Hosts: []string{"node5"}},
		{Cause: Cause{Outcome: fleet.OutcomeSignalled, Signal: "KILL"}, Targets: 1, Hosts: []string{"node6"}},
		{Cause: Cause{Outcome: fleet.OutcomeNeverStarted, Reason: fleet.ReasonThrottled}, Targets: 3, Hosts: []string{"node3", "node8", "node9"}},
		{Cause: Cause{Outcome: fleet.OutcomeNeverStarted, Reason: fleet.ReasonConnRefused}, Targets: 1, Hosts: []string{"node2"}},
		{Cause: Cause{Outcome: fleet.OutcomeUnknown, Reason: fleet.ReasonConnReset}, Targets: 1, Hosts: []string{"node7"}},
	}
	if diff := cmp.Diff(want, s.Groups()); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	if s.Targets() != 9 || s.Truncated != 1 || s.Incomplete != 2 || s.Reasons[fleet.ReasonThrottled] != 3 || len(s.Reasons) != 3 {
		t.Errorf("%+v", s)
	}
	if s.Outcomes != [fleet.NumOutcomes]int{fleet.OutcomeOK: 1, fleet.OutcomeFailed: 2, fleet.OutcomeSignalled: 1, fleet.OutcomeNeverStarted: 4, fleet.OutcomeUnknown: 1} {
		t.Errorf("%v", s.Outcomes)
	}
}

func TestSummaryIsBounded(t *testing.T) {
	var s Summary
	for i := range maxHosts + 5 {
		s.Add(result(i, fleet.End{Outcome: fleet.OutcomeSignalled, Signal: fmt.Sprint("X", i)}))
		s.Add(result(i, fleet.End{Outcome: fleet.OutcomeOK}))
	}
	hosts, targets, various := 0, 0, 0
	groups := s.Groups()
	for _, g := range groups {
		hosts += len(g.Hosts)
		targets += g.Targets
		if g.Various {
			various = g.Targets
		}
	}
	if len(groups) != maxCauses+1 || hosts != maxHosts || targets != maxHosts+5 || various != targets-maxCauses {
		t.Errorf("%d groups, %d hosts, %d targets, %d various", len(groups), hosts, targets, various)
	}
}
