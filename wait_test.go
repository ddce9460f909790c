package shoal_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"shoal"
	"shoal/fleet"
	"shoal/internal/sshdtest"
	"shoal/simfleet"
)

// A ping ends with the phase that was asked for, tells where it failed, and runs nothing.
func TestPing(t *testing.T) {
	t.Parallel()
	fl, opts := sim(t, simfleet.Options{Hosts: 3, Fault: func(i int) simfleet.Fault {
		return map[int]simfleet.Fault{1: simfleet.FaultWrongHostkey, 2: simfleet.FaultReset}[i]
	}})
	for until, ok := range map[fleet.Phase]int{0: 1, fleet.PhaseAuth: 1, fleet.PhaseHostkey: 1, fleet.PhaseKex: 2} {
		reached := 0
		for _, res := range collect(t, shoal.Ping(t.Context(), fl.Targets(), until, opts)) {
			switch {
			case res.Outcome == fleet.OutcomeOK && res.Took[fleet.PhaseDial] > 0:
				reached++
			case res.Outcome != fleet.OutcomeNeverStarted || res.Reason == fleet.ReasonNone || res.Attempt != 1:
				t.Errorf("until %v, %d: %v(%s) after %d tries", until, res.Target.Index, res.Outcome, res.Reason, res.Attempt)
			}
		}
		if reached != ok {
			t.Errorf("until %v: %d were reached, want %d", until, reached, ok)
		}
	}
	if n := fl.Stats().Execs; n != 0 {
		t.Errorf("%d commands were run", n)
	}
	for what, bad := range map[string]shoal.Options{"a terminal": {Terminal: &shoal.Terminal{}}, "another client": {Client: shoal.Client{Standard: true}}} {
		for _, err := range shoal.Ping(t.Context(), fl.Targets(), fleet.PhaseKex, bad) {
			if err == nil {
				t.Errorf("%s: no error", what)
			}
		}
	}
	for _, err := range shoal.Ping(t.Context(), fl.Targets(), fleet.PhaseRun, opts) {
		if err == nil {
			t.Error("until run: no error")
		}
	}
}

// Hosts that answer do so at once, one with another key never, and one that turns us away until
// the limit; leaving the loop ends the wait.
func TestWait(t *testing.T) {
	fl, opts := sim(t, simfleet.Options{Hosts: 5, Fault: func(i int) simfleet.Fault {
		return map[int]simfleet.Fault{3: simfleet.FaultWrongHostkey, 4: simfleet.FaultReset}[i]
	}})
	want := map[int]fleet.Reason{0: "", 1: "", 2: "", 3: fleet.ReasonHostkeyChanged}
	got := 0
	for res, err := range shoal.Wait(t.Context(), fl.Targets(), shoal.WaitOptions{Limit: time.Hour}, opts) {
		if err != nil {
			t.Fatal(err)
		}
		reason, ends := want[res.Target.Index]
		if !ends || res.Reason != reason || (res.Outcome == fleet.OutcomeOK) != (reason == "") || res.Attempt != 1 {
			t.Errorf("%d: %v(%s) after %d tries: %v", res.Target.Index, res.Outcome, res.Reason, res.Attempt, res.Err)
		}
		if got++; got == len(want) {
			break
		}
	}
	if n := fl.Stats().Execs; n != 0 {
		t.Errorf("%d commands were run", n)
	}
	results := collect(t, shoal.Wait(t.Context(), fl.Targets(), shoal.WaitOptions{Limit: time.Nanosecond}, opts))
	if len(results) != 5 {
		t.Errorf("%d results, want 5", len(results))
	}
	for name, change := range map[string]func(*shoal.Options, *shoal.WaitOptions){
		"stdin":   func(o *shoal.Options, _ *shoal.WaitOptions) { o.Stdin = strings.NewReader("x") },
		"become":  func(o *shoal.Options, _ *shoal.WaitOptions) { o.Remote.Become = new(shoal.Become) },
		"barrier": func(o *shoal.Options, _ *shoal.WaitOptions) { o.Rollout.Barrier = true },
		"limit":   func(_ *shoal.Options, w *shoal.WaitOptions) { w.Limit = -1 },
	} {
		o, w := opts, shoal.WaitOptions{}
		change(&o, &w)
		for res, err := range shoal.Wait(t.Context(), fl.Targets(), w, o) {
			if err == nil {
				t.Errorf("%s: %+v", name, res)
			}
		}
	}
}

// A host has rebooted when it tells another identifier than before it was to be rebooted.
func TestWaitRebooted(t *testing.T) {
	boot := filepath.Join(t.TempDir(), "boot")
	tell := func(id string) {
		if err := os.WriteFile(boot, []byte("shoal-boot-id "+id+"b8d0a9e-31c7-4b0e-a5d1-0123456789ab\n"), 0o600); err != nil {
			t.Error(err)
		}
	}
	targets, opts, _ := far(t, sshdtest.WithForceCommand("cat "+boot))
	opts.Journal, opts.Remote.Dir = nil, ""
	tell("0")
	taken := 0
	w := shoal.WaitOptions{Rebooted: true, Taken: func(n int) { taken += n; tell("1") }}
	got := collect(t, shoal.Wait(t.Context(), targets, w, opts))
	if len(got) != 1 || got[0].Outcome != fleet.OutcomeOK || got[0].Attempt != 2 || taken != 1 {
		t.Errorf("taken %d: %+v", taken, got)
	}
}
