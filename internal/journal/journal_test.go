package journal

import (
	"bytes"
	"errors"
	"fmt"
	"iter"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"shoal/fleet"
	"shoal/record"
)

var (
	day0 = time.Date(2026, 3, 14, 15, 9, 26, 535897932, time.UTC)

	sameResult = cmp.Options{
		cmp.Comparer(func(a, b error) bool { return fmt.Sprint(a) == fmt.Sprint(b) }),
		cmpopts.EquateEmpty(),
	}
)

func mustOpen(t testing.TB, dir string, o Options) *Journal {
	t.Helper()
	j, err := Open(t.Context(), dir, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := j.Close(); err != nil {
			t.Error(err)
		}
	})
	return j
}

func targetOf(i int) fleet.Target {
	return fleet.Target{
		Host:  fleet.Host{Name: fmt.Sprintf("node%05d.example.org", i)},
		Index: i, User: "ops", Port: 22, Command: "uptime",
	}
}

func targetsOf(n int) iter.Seq[fleet.Target] {
	return func(yield func(fleet.Target) bool) {
		for i := range n {
			if !yield(targetOf(i)) {
				return
			}
		}
	}
}

func mustBegin(t testing.TB, j *Journal, info RunInfo, targets iter.Seq[fleet.Target]) *Run {
	t.Helper()
	r, err := j.Begin(t.Context(), info, targets)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func okResult(target fleet.Target, out string) fleet.Result {
	return fleet.Result{
		Target:  target,
		End:     fleet.End{Outcome: fleet.OutcomeOK, Phase: fleet.PhaseDrain, Flags: fleet.FlagExitKnown},
		Attempt: 1,
		Started: day0,
		Took:    fleet.Durations{fleet.PhaseDial: time.Millisecond, fleet.PhaseRun: 3},
		Stdout:  fleet.Output{Bytes: []byte(out), Size: int64(len(out))},
	}
}

func entries(t testing.TB, j *Journal, run string, sel Selector) []Entry {
	t.Helper()
	var all []Entry
	for e, err := range j.Show(t.Context(), run, sel) {
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, e)
	}
	return all
}

func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// Every field of a result is read back unchanged.
func TestResultsComeBack(t *testing.T) {
	j := mustOpen(t, t.TempDir(), Options{Now: func() time.Time { return day0 }})
	big := bytes.Repeat([]byte("all work and no play\n"), 1000)
	jump := fleet.Target{
		Host: fleet.Host{Name: "bastion", User: "jo", Port: 2222}, User: "jo", Port: 2222,
		Route: &fleet.Route{ProxyCommand: []string{"nc", "-x\xff", "a b"}},
	}
	targets := []fleet.Target{
		{Host: fleet.Host{Name: "a", User: "root", Port: 2200}, User: "root", Port: 2200, Command: "echo a"},
		{Host: fleet.Host{Name: "fe80::1%eth0"}, Index: 1, User: "ops", Port: 22, Command: "echo \xff\x00 b"},
		{Host: fleet.Host{Name: "c"}, Index: 2, Command: "", Route: &fleet.Route{
			Address: "10.0.0.3", HostKeyAlias: "cc", Via: &jump,
		}},
		{Host: fleet.Host{Name: "d"}, Index: 7},
	}
	results := []fleet.Result{
		{
			End: fleet.End{
				Outcome: fleet.OutcomeFailed, Phase: fleet.PhaseDrain, Status: 0xC0000005,
				Flags: fleet.FlagExitKnown | fleet.FlagOutputTruncated,
			},
			Attempt: 3, Started: day0.Add(time.Second),
			Took:   fleet.Durations{1: 1, 2: 2, 11: 1 << 60},
			Stdout: fleet.Output{Bytes: big, Size: 1 << 40},
			Stderr: fleet.Output{Bytes: []byte{0, 0xff, '\n'}, Size: 3},
		},
		{
			End: fleet.End{Outcome: fleet.OutcomeSignalled, Phase: fleet.PhaseRun, Signal: "K\x1b\x00\xfeLL", Flags: fleet.FlagExitKnown},
		},
		{
			End: fleet.End{
				Outcome: fleet.OutcomeNeverStarted, Reason: fleet.ReasonAuthFailed, Phase: fleet.PhaseAuth,
				Err: errors.New("no \xff key\x00"),
			},
		},
		{
			End: fleet.End{Outcome: fleet.OutcomeUnknown, Reason: fleet.ReasonTimeout, Phase: fleet.PhaseRun, Err: errors.New("")},
		},
	}
	info := RunInfo{
		Header:  record.Header{Program: "shoal test", Command: "echo {x}\x00\xff", Fanout: 9},
		Parent:  "",
		Options: map[string]string{"user": "ops", "timeout": "3s"},
	}
	r := mustBegin(t, j, info, slices.Values(targets))
	for i := range results {
		results[i].Target = targets[i]
		if results[i].Outcome != fleet.OutcomeNeverStarted {
			check(t, r.Intend(targets[i].Index, results[i].Attempt, netip.AddrPort{}))
		}
		check(t, r.Result(results[i]))
	}
	check(t, r.End(Ending{ExitCode: 4, Interrupted: true, Failure: "stopped"}))

	var got []fleet.Result
	for _, e := range entries(t, j, r.ID(), All) {
		if e.Progress != Done {
			t.Errorf("target %d is %s", e.Target.Index, e.Progress)
		}
		got = append(got, e.Result)
	}
	if d := cmp.Diff(results, got, sameResult); d != "" {
		t.Error(d)
	}
	run, err := j.Run(t.Context(), r.ID())
	check(t, err)
	info.Run, info.Targets, info.Started = r.ID(), len(targets), day0
	if d := cmp.Diff(info.Header, run.Header); d != "" {
		t.Error(d)
	}
	if d := cmp.Diff(info.Options, run.Options); d != "" {
		t.Error(d)
	}
	s := run.Sessions[0]
	if run.State != Ended || !run.Ended().Equal(day0) || s.Ending != (Ending{true, 4, "stopped"}) {
		t.Errorf("%s %+v", run.State, s)
	}
	report, err := j.Verify(t.Context(), r.ID())
	check(t, err)
	if !report.OK() || report.Results != 4 || report.Intents != 3 || report.Targets != 4 {
		t.Errorf("%+v", report)
	}
}

// Flags of the connection are no sign that a command ran without an intent.
func TestFlagsWithoutAnIntent(t *testing.T) {
	j := mustOpen(t, t.TempDir(), Options{})
	r := mustBegin(t, j, RunInfo{}, targetsOf(4))
	for i, f := range []fleet.Flags{fleet.FlagFallback, fleet.FlagLegacy, fleet.FlagBraked, fleet.FlagExitKnown} {
		res := fleet.Result{Target: targetOf(i)}
		res.Outcome, res.Reason, res.Flags = fleet.OutcomeNeverStarted, fleet.ReasonSessionTimeout, f
		check(t, r.Result(res))
	}
	check(t, r.End(Ending{}))
	report, err := j.Verify(t.Context(), r.ID())
	check(t, err)
	if len(report.Problems) != 1 || !strings.Contains(report.Problems[0].Error(), "target 3 ran without an intent") {
		t.Errorf("%+v", report)
	}
}

func TestEqualOutputIsKeptOnce(t *testing.T) {
	j := mustOpen(t, t.TempDir(), Options{})
	r := mustBegin(t, j, RunInfo{}, targetsOf(500))
	for i := range 500 {
		check(t, r.Intend(i, 1, netip.AddrPort{}))
		check(t, r.Result(okResult(targetOf(i), "the same")))
	}
	check(t, r.End(Ending{}))
	var n int
	check(t, j.read.QueryRow(`SELECT count(*) FROM contents`).Scan(&n))
	if n != 2 { // the output and the command
		t.Errorf("%d contents", n)
	}
}
