package journal

import (
	"errors"
	"fmt"
	"net/netip"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"shoal/fleet"
)

// everyKind is a run with a target of each kind; these constants are the targets' indexes.
const (
	kindOK = iota
	kindFailed
	kindSignalled
	kindNeverStarted
	kindRefused
	kindUnknown
	kindCancelled
	kindIntended
	kindUntouched
	kindRetried // never started, then intended again
	kindDetached
	numKinds
)

func everyKind(t *testing.T, j *Journal) *Run {
	t.Helper()
	r := mustBegin(t, j, RunInfo{}, targetsOf(numKinds))
	for kind, end := range map[int]fleet.End{
		kindOK:           {Outcome: fleet.OutcomeOK, Phase: fleet.PhaseDrain},
		kindFailed:       {Outcome: fleet.OutcomeFailed, Status: 3, Phase: fleet.PhaseDrain},
		kindSignalled:    {Outcome: fleet.OutcomeSignalled, Signal: "HUP", Phase: fleet.PhaseDrain},
		kindNeverStarted: {Outcome: fleet.OutcomeNeverStarted, Reason: fleet.ReasonAuthTimeout, Phase: fleet.PhaseAuth},
		kindRefused:      {Outcome: fleet.OutcomeRefused, Reason: fleet.ReasonExecRefused, Phase: fleet.PhaseExec},
		kindUnknown:      {Outcome: fleet.OutcomeUnknown, Reason: fleet.ReasonConnReset, Phase: fleet.PhaseRun},
		kindCancelled:    {Outcome: fleet.OutcomeCancelled, Reason: fleet.ReasonInterrupted},
		kindDetached:     {Outcome: fleet.OutcomeDetached, Phase: fleet.PhaseDrain},
		kindRetried:      {Outcome: fleet.OutcomeNeverStarted, Reason: fleet.ReasonDialTimeout, Phase: fleet.PhaseDial},
	} {
		if end.Outcome != fleet.OutcomeNeverStarted && end.Outcome != fleet.OutcomeCancelled {
			check(t, r.Intend(kind, 1, netip.AddrPort{}))
		}
		check(t, r.Result(fleet.Result{Target: targetOf(kind), End: end, Attempt: 1}))
	}
	check(t, r.Intend(kindIntended, 1, netip.AddrPort{}))
	check(t, r.Intend(kindRetried, 2, netip.AddrPort{}))
	return r
}

func TestSelections(t *testing.T) {
	j := mustOpen(t, t.TempDir(), Options{})
	r := everyKind(t, j)
	check(t, r.End(Ending{Interrupted: true}))
	for text, want := range map[string][]int{
		"all":                 {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10},
		"ok":                  {kindOK},
		"failed":              {kindFailed, kindSignalled},
		"never-started":       {kindNeverStarted},
		"refused":             {kindRefused},
		"unknown":             {kindUnknown, kindIntended, kindRetried},
		"not-started":         {kindCancelled, kindUntouched},
		"signalled":           {kindSignalled},
		"cancelled":           {kindCancelled, kindUntouched},
		"detached":            {kindDetached},
		"resumable":           {kindNeverStarted, kindRefused, kindCancelled, kindUntouched},
		"cause=auth":          {kindNeverStarted},
		"cause=auth-timeout":  {kindNeverStarted},
		"cause=conn_reset":    {kindUnknown},
		"cause=drain":         {kindFailed, kindSignalled},
		"cause=exec":          {kindRefused, kindIntended, kindRetried},
		"ok,failed,cause=run": {kindOK, kindFailed, kindSignalled, kindUnknown},
	} {
		sel, err := ParseSelector(text)
		check(t, err)
		targets, err := j.Select(t.Context(), r.ID(), sel)
		check(t, err)
		var got []int
		for _, target := range targets {
			if target.Host != targetOf(target.Index).Host || target.Command != "uptime" {
				t.Errorf("%+v", target)
			}
			got = append(got, target.Index)
		}
		if !slices.Equal(got, want) {
			t.Errorf("%s: %v instead of %v", text, got, want)
		}
	}
	for _, bad := range []string{"", "nonsense", "cause=", "ok,", "Failed"} {
		if _, err := ParseSelector(bad); err == nil || !strings.Contains(err.Error(), "hint: ") {
			t.Errorf("%q: %v", bad, err)
		}
	}
	if got := entries(t, j, r.ID(), Hosts("node00003.example.org", "x@node00004.example.org")); len(got) != 1 || got[0].Target.Index != 3 {
		t.Errorf("%+v", got)
	}
	sum, err := j.Summary(t.Context(), r.ID())
	check(t, err)
	if sum.Targets() != numKinds || sum.Outcomes[fleet.OutcomeUnknown] != 3 || sum.Outcomes[fleet.OutcomeCancelled] != 2 {
		t.Errorf("%+v", sum)
	}
}

// Some targets alone are read as all of them are.
func TestShowTargets(t *testing.T) {
	j := mustOpen(t, t.TempDir(), Options{})
	r := everyKind(t, j)
	all := entries(t, j, r.ID(), All)
	for i := range all {
		var got []Entry
		for e, err := range j.ShowTargets(t.Context(), r.ID(), []int{i, numKinds + 7, 0}) {
			check(t, err)
			got = append(got, e)
		}
		want := []Entry{all[0], all[i]}
		if i == 0 {
			want = want[:1]
		}
		if len(got) != len(want) || !reflect.DeepEqual(got, want) {
			t.Errorf("target %d:\n%+v\n%+v", i, got, want)
		}
	}
	for _, err := range j.ShowTargets(t.Context(), r.ID(), nil) {
		check(t, err)
		break // as with Show, the caller may have seen enough
	}
}

// While the run is running, no result is invented for a target that has none.
func TestEntriesOfARunningRun(t *testing.T) {
	dir := t.TempDir()
	j, reader := mustOpen(t, dir, Options{}), mustOpen(t, dir, Options{})
	r := everyKind(t, j)
	all := entries(t, reader, r.ID(), All)
	if e := all[kindUntouched]; e.Progress != NotStarted || e.Outcome != fleet.OutcomeNone {
		t.Errorf("%s %+v", e.Progress, e.End)
	}
	e := all[kindRetried]
	if e.Progress != Intended || e.Outcome != fleet.OutcomeUnknown || e.Attempt != 2 || len(e.Intents) != 1 || e.Phase != fleet.PhaseExec {
		t.Errorf("%s %+v", e.Progress, e)
	}
	if info, err := reader.Run(t.Context(), r.ID()); err != nil || info.State != Running {
		t.Error(info.State, err)
	}
	if _, err := reader.Resume(t.Context(), r.ID()); !errors.Is(err, ErrRunning) {
		t.Error(err)
	}
	check(t, j.Close()) // without End
	if info, err := reader.Run(t.Context(), r.ID()); err != nil || info.State != Crashed {
		t.Error(info.State, err)
	}
	again, err := reader.Resume(t.Context(), r.ID())
	check(t, err)
	if info, err := reader.Run(t.Context(), r.ID()); err != nil || info.State != Running || len(info.Sessions) != 2 {
		t.Error(info, err)
	}
	check(t, again.Result(okResult(targetOf(kindUntouched), "late")))
	check(t, again.End(Ending{}))
	e = entries(t, reader, r.ID(), All)[kindUntouched]
	if e.Progress != Done || e.Outcome != fleet.OutcomeOK || string(e.Stdout.Bytes) != "late" {
		t.Errorf("%s %+v", e.Progress, e)
	}
}

func TestResolve(t *testing.T) {
	now := day0
	j := mustOpen(t, t.TempDir(), Options{Now: func() time.Time { return now }})
	var ids []string
	for range 3 {
		r := mustBegin(t, j, RunInfo{}, targetsOf(0))
		check(t, r.End(Ending{}))
		ids = append(ids, r.ID())
		now = now.Add(31 * 24 * time.Hour)
	}
	if !slices.IsSorted(ids) {
		t.Errorf("%q", ids)
	}
	for name, want := range map[string]string{
		"last": ids[2], "last-0": ids[2], "last~1": ids[1], "last-1": ids[1], "last-2": ids[0],
		ids[1]: ids[1], ids[0][:7]: ids[0], ids[2][idTime+1:]: ids[2],
	} {
		if got, err := j.Resolve(t.Context(), name); err != nil || got != want {
			t.Errorf("%q: %q %v", name, got, err)
		}
	}
	for name, want := range map[string]error{
		ids[0][:2]: ErrAmbiguous, "last-3": ErrNoRun, "last-": ErrNoRun, "last--1": ErrNoRun, "last-x": ErrNoRun,
		"": ErrNoRun, "*": ErrNoRun, "zzzz": ErrNoRun, "[0-9]": ErrNoRun, "-": ErrNoRun,
	} {
		if got, err := j.Resolve(t.Context(), name); !errors.Is(err, want) {
			t.Errorf("%q: %q %v", name, got, err)
		}
	}
	if _, err := j.Run(t.Context(), "../../etc/passwd"); !errors.Is(err, ErrNoRun) {
		t.Error(err)
	}
	var got []string
	for info, err := range j.Runs(t.Context(), Filter{Since: day0.Add(1), Limit: 1}) {
		check(t, err)
		got = append(got, info.Run)
	}
	if !slices.Equal(got, ids[2:]) {
		t.Errorf("%q", got)
	}
}

func TestPrune(t *testing.T) {
	now := day0
	dir := t.TempDir()
	j := mustOpen(t, dir, Options{Now: func() time.Time { return now }, noSync: true})
	var runs []*Run
	for i := range 5 {
		r := mustBegin(t, j, RunInfo{}, targetsOf(20))
		for k := range 20 {
			out := "shared by all"
			if k > 0 {
				out = strings.Repeat(fmt.Sprintf("%d/%d", i, k), 300)
			}
			check(t, r.Intend(k, 1, netip.AddrPort{}))
			check(t, r.Result(okResult(targetOf(k), out)))
		}
		if i != 1 { // the second is running
			check(t, r.End(Ending{}))
		}
		runs = append(runs, r)
		now = now.Add(time.Hour)
	}
	p, err := j.Prune(t.Context(), Retention{MaxAge: 3*time.Hour + time.Minute})
	check(t, err)
	if !slices.Equal(p.Runs, []string{runs[0].ID()}) || p.Bytes <= 0 {
		t.Errorf("%+v", p)
	}
	for i, r := range runs {
		info, err := j.Run(t.Context(), r.ID())
		if i == 0 {
			if !errors.Is(err, ErrNoRun) {
				t.Error(info, err)
			}
			continue
		}
		check(t, err)
		if report, err := j.Verify(t.Context(), r.ID()); err != nil || !report.OK() {
			t.Errorf("run %d: %+v %v", i, report, err)
		}
	}
	var free int
	check(t, j.write.QueryRow(`PRAGMA freelist_count`).Scan(&free))
	if free != 0 {
		t.Errorf("%d pages were not returned to the file system", free)
	}
	scan(t, dir, strings.Repeat("0/7", 300), false)
	scan(t, dir, strings.Repeat("2/7", 300), true)

	// The newest run and a running one stay, however small the limit.
	p, err = j.Prune(t.Context(), Retention{MaxBytes: 1})
	check(t, err)
	if !slices.Equal(p.Runs, []string{runs[2].ID(), runs[3].ID()}) {
		t.Errorf("%+v", p)
	}
	check(t, runs[1].End(Ending{}))
	for _, r := range []*Run{runs[1], runs[4]} {
		if report, err := j.Verify(t.Context(), r.ID()); err != nil || !report.OK() || report.Results != 20 {
			t.Errorf("%+v %v", report, err)
		}
	}
	if p, err := j.Prune(t.Context(), Retention{}); err != nil || p.Runs != nil {
		t.Errorf("%+v %v", p, err)
	}
	if _, err := j.Prune(t.Context(), Retention{MaxAge: -1}); err == nil {
		t.Error("a negative age")
	}
}

// A target's sessions are those in which its command was about to be sent, even if other
// sessions came between, and if one session has several intents.
func TestSessionsOf(t *testing.T) {
	j := mustOpen(t, t.TempDir(), Options{})
	r := mustBegin(t, j, RunInfo{}, targetsOf(3))
	id := r.ID()
	for session, intents := range [][]int{{0, 0, 1}, {}, {1}, {0, 1, 1}} {
		if session > 0 {
			var err error
			r, err = j.Resume(t.Context(), id)
			check(t, err)
		}
		if r.Session() != session {
			t.Errorf("session %d counts as %d", session, r.Session())
		}
		for _, index := range intents {
			check(t, r.Intend(index, 1, netip.AddrPort{}))
		}
		check(t, r.End(Ending{}))
	}
	info, err := j.Run(t.Context(), id)
	check(t, err)
	all := entries(t, j, id, All)
	for index, want := range [][]int{{3, 0}, {3, 2, 0}, nil} {
		if got := info.SessionsOf(&all[index]); !slices.Equal(got, want) {
			t.Errorf("target %d was sent in %v, want %v", index, got, want)
		}
	}
}
