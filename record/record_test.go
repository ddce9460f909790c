package record

import (
	"bytes"
	"errors"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"shoal/fleet"
)

var update = flag.Bool("update", false, "rewrite the golden files")

func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), string(got)); diff != "" {
		t.Errorf("%s (-want +got):\n%s", path, diff)
	}
}

// sameResults compares what a stream can represent: errors by text, times without
// monotonic clock readings, and empty bytes equal to nil.
var sameResults = cmp.Options{
	cmpopts.EquateEmpty(),
	cmpopts.IgnoreUnexported(Summary{}),
	cmp.Comparer(func(a, b error) bool {
		return (a == nil) == (b == nil) && (a == nil || a.Error() == b.Error())
	}),
}

var (
	started = time.Date(2025, 3, 1, 12, 30, 0, 123456789, time.FixedZone("", 3600))
	header  = Header{
		Program: "shoal 0.1.0", Run: "20250301T113000Z-7f3a", Started: started,
		Command: "echo hello world {index}", Targets: 10000, Fanout: 1024,
	}
)

func examples() []fleet.Result {
	return []fleet.Result{
		{
			Target:  fleet.Target{Host: fleet.Host{Name: "node1"}, User: "root", Port: 22, Command: "echo hello world 0"},
			End:     fleet.End{Outcome: fleet.OutcomeOK, Phase: fleet.PhaseDrain, Flags: fleet.FlagExitKnown},
			Attempt: 1, Started: started,
			Took:   fleet.Durations{fleet.PhaseDial: 6 * time.Millisecond, fleet.PhaseRun: time.Nanosecond},
			Stdout: fleet.Output{Bytes: []byte("hello world 0\n"), Size: 14},
		},
		{
			Target: fleet.Target{Host: fleet.Host{Name: "2001:db8::1", Port: 2222, User: "admin"}, Index: 1, User: "admin", Port: 2222, Command: "printf '\\377'"},
			End: fleet.End{
				Outcome: fleet.OutcomeFailed, Phase: fleet.PhaseDrain, Status: 0xc0000005,
				Flags: fleet.FlagExitKnown | fleet.FlagOutputTruncated,
			},
			Attempt: 2, Started: started.Add(time.Second),
			Stdout: fleet.Output{Bytes: []byte{0xff, 0xfe, 'x'}, Size: 5 << 20},
			Stderr: fleet.Output{Bytes: []byte("\x1b[31m\u202e\u2028\x00\ufffd<&>\"\\\t\r\n日本語 😀 \U000e0041"), Size: 42},
		},
		{
			Target:  fleet.Target{Host: fleet.Host{Name: "node3"}, Index: 2},
			End:     fleet.End{Outcome: fleet.OutcomeSignalled, Phase: fleet.PhaseRun, Flags: fleet.FlagExitKnown, Signal: "TERM\x1b\xff"},
			Attempt: 1, Started: started,
		},
		{
			Target: fleet.Target{Host: fleet.Host{Name: "node4"}, Index: 3},
			End: fleet.End{
				Outcome: fleet.OutcomeNeverStarted, Reason: fleet.ReasonThrottled, Phase: fleet.PhaseBanner,
				Err: errors.New("the server said \"Exceeded MaxStartups\x9b\""),
			},
			Attempt: 3, Started: started,
		},
		{
			Target: fleet.Target{Host: fleet.Host{Name: "node5"}, Index: 4},
			End:    fleet.End{Outcome: fleet.OutcomeCancelled, Reason: fleet.ReasonInterrupted},
		},
	}
}

func exampleStream(t *testing.T) []byte {
	t.Helper()
	var b bytes.Buffer
	w, err := NewWriter(&b, header)
	if err != nil {
		t.Fatal(err)
	}
	var sum Summary
	for _, r := range examples() {
		sum.Add(r)
		if err := w.Result(r); err != nil {
			t.Fatal(err)
		}
	}
	stored := examples()[0]
	stored.Target.Index = 5
	sum.Add(stored)
	if err := w.Stored(stored, Files{"5_node1.out", "5_node1.err"}); err != nil {
		t.Fatal(err)
	}
	sum.Elapsed, sum.Interrupted = 1500*time.Millisecond, true
	if err := w.Close(sum); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func TestGolden(t *testing.T) { golden(t, "stream.jsonl", exampleStream(t)) }

func TestReadGivesBackWhatWasWritten(t *testing.T) {
	var got []Entry
	for e, err := range Read(bytes.NewReader(exampleStream(t))) {
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, e)
	}
	utc := header
	utc.Started = started.UTC()
	want := []Entry{{Type: "run", Header: &utc}}
	for _, r := range examples() {
		if !r.Started.IsZero() {
			r.Started = r.Started.UTC()
		}
		want = append(want, Entry{Type: "result", Result: &r})
	}
	stored := *want[1].Result
	stored.Target.Index, stored.Stdout.Bytes = 5, nil
	sum := &Summary{
		Truncated: 1, Elapsed: 1500 * time.Millisecond, Interrupted: true,
		Reasons: map[fleet.Reason]int{fleet.ReasonThrottled: 1, fleet.ReasonInterrupted: 1},
	}
	sum.Outcomes[fleet.OutcomeOK] = 2
	for _, o := range []fleet.Outcome{fleet.OutcomeFailed, fleet.OutcomeSignalled, fleet.OutcomeNeverStarted, fleet.OutcomeCancelled} {
		sum.Outcomes[o] = 1
	}
	want = append(want, Entry{Type: "result", Result: &stored, Files: Files{"5_node1.out", "5_node1.err"}},
		Entry{Type: "summary", Summary: sum})
	if diff := cmp.Diff(want, got, sameResults); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

// faults.md: I10
func TestNothingOfTheStreamIsObeyedByATerminal(t *testing.T) {
	for _, line := range strings.Split(strings.TrimSuffix(string(exampleStream(t)), "\n"), "\n") {
		for _, r := range line {
			if r < ' ' || r >= 0x7f && r < 0xa0 || r == 0x202e || r == 0x2028 || r == 0xe0041 {
				t.Errorf("%U in %q", r, line)
			}
		}
	}
}
