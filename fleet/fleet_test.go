package fleet_test

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"shoal/fleet"
)

func TestNamesReadBack(t *testing.T) {
	for p := range fleet.NumPhases {
		if got, err := fleet.ParsePhase(p.String()); err != nil || got != p {
			t.Errorf("phase %q reads back as %v, %v", p, got, err)
		}
	}
	for o := range fleet.NumOutcomes {
		if got, err := fleet.ParseOutcome(o.String()); err != nil || got != o {
			t.Errorf("outcome %q reads back as %v, %v", o, got, err)
		}
	}
	all := fleet.FlagExitKnown | fleet.FlagOutputTruncated | fleet.FlagOutputIncomplete
	var back fleet.Flags
	for _, name := range all.Names() {
		f, err := fleet.ParseFlag(name)
		if err != nil {
			t.Error(err)
		}
		back |= f
	}
	if back != all || all.String() != "exit_known,output_truncated,output_incomplete" {
		t.Errorf("flags %q read back as %q", all, back)
	}
	for _, s := range []string{"", "OK", "no such"} {
		if _, err := fleet.ParseOutcome(s); err == nil {
			t.Errorf("%q was taken for an outcome", s)
		}
	}
	if got := fleet.NumOutcomes.String(); got != "invalid(9)" {
		t.Errorf("a value beyond the last prints as %q", got)
	}
}

// Every outcome says whether the command ran, except two.
func TestOutcomesAnswer(t *testing.T) {
	for o := fleet.OutcomeOK; o < fleet.NumOutcomes; o++ {
		open := !o.Ran() && !o.DidNotRun()
		if open != (o == fleet.OutcomeUnknown || o == fleet.OutcomeDetached) || o.Ran() && o.DidNotRun() {
			t.Errorf("%v: ran %v, did not run %v", o, o.Ran(), o.DidNotRun())
		}
	}
}

func TestHostAndAddress(t *testing.T) {
	for _, c := range []struct {
		host          fleet.Host
		text, address string
	}{
		{fleet.Host{Name: "node1"}, "node1", "node1:22"},
		{fleet.Host{Name: "node1", Port: 2222}, "node1:2222", "node1:2222"},
		{fleet.Host{Name: "node1", User: "root"}, "root@node1", "node1:22"},
		{fleet.Host{Name: "::1", Port: 22}, "[::1]:22", "[::1]:22"},
		{fleet.Host{Name: "::1", User: "root", Port: 9}, "root@[::1]:9", "[::1]:9"},
		{fleet.Host{Name: "::1"}, "::1", "[::1]:22"},
	} {
		if got := c.host.String(); got != c.text {
			t.Errorf("%+v prints as %q, want %q", c.host, got, c.text)
		}
		if got := (fleet.Target{Host: c.host}).Address(); got != c.address {
			t.Errorf("%+v is dialled at %q, want %q", c.host, got, c.address)
		}
	}
	if got := (fleet.Target{Host: fleet.Host{Name: "a", Port: 1}, Port: 2}).Address(); got != "a:2" {
		t.Errorf("the target's own port does not win: %q", got)
	}
}

func TestTimeline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var line fleet.Timeline
		if line.Phase() != fleet.PhaseNone {
			t.Errorf("begins in %v", line.Phase())
		}
		time.Sleep(time.Hour) // before the first phase: counted nowhere
		for _, p := range []fleet.Phase{fleet.PhaseDial, fleet.PhaseKex, fleet.PhaseDial} {
			line.Enter(p)
			time.Sleep(time.Second)
		}
		took := line.Took()
		want := fleet.Durations{fleet.PhaseDial: 2 * time.Second, fleet.PhaseKex: time.Second}
		if took != want || took.Total() != 3*time.Second || line.Phase() != fleet.PhaseDial {
			t.Errorf("took %v in all %v, in phase %v", took, took.Total(), line.Phase())
		}
		time.Sleep(time.Second)
		if again := line.Took(); again[fleet.PhaseDial] != 3*time.Second {
			t.Errorf("the phase went on, and took %v", again[fleet.PhaseDial])
		}
	})
}

func TestErrorTellsAll(t *testing.T) {
	cause := errors.New("no answer")
	err := &fleet.Error{
		Host: "node1", Outcome: fleet.OutcomeNeverStarted, Phase: fleet.PhaseDial,
		Reason: fleet.ReasonDialTimeout, Err: cause,
	}
	if got := err.Error(); got != "node1: dial: dial_timeout: no answer" || !errors.Is(err, cause) {
		t.Errorf("error %q", got)
	}
	want := fleet.End{Outcome: fleet.OutcomeNeverStarted, Reason: fleet.ReasonDialTimeout, Phase: fleet.PhaseDial, Err: cause}
	if got := err.End(); got != want {
		t.Errorf("end %+v, want %+v", got, want)
	}
}
