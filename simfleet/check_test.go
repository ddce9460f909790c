package simfleet

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"shoal/fleet"
)

// ran returns an exec on 127.1.0.1 of `echo`, and the result that tells of it.
func ran(id uint64, index int, status uint32, stdout string) (Exec, fleet.Result) {
	e := Exec{
		ID: id, Host: "127.1.0.1", Command: "echo", Accepted: true, Received: time.Unix(1, 0), Ended: time.Unix(2, 0),
		HasStatus: true, Status: status,
	}
	e.wrote(stdout, "")
	r := resultOf(index, fleet.OutcomeOK)
	if status != 0 {
		r.Outcome = fleet.OutcomeFailed
	}
	r.Status, r.Flags = status, fleet.FlagExitKnown
	r.Stdout = fleet.Output{Bytes: []byte(stdout), Size: int64(len(stdout))}
	return e, r
}

// wrote has an exec have written these.
func (e *Exec) wrote(stdout, stderr string) {
	e.Stdout, e.Stderr = WrittenOf([]byte(stdout)), WrittenOf([]byte(stderr))
	e.Prefixes = [fleet.NumStreams]Prefix{fleet.Stdout: PrefixOf([]byte(stdout)), fleet.Stderr: PrefixOf([]byte(stderr))}
}

func resultOf(index int, o fleet.Outcome) fleet.Result {
	return fleet.Result{
		Target: fleet.Target{Host: fleet.Host{Name: "127.1.0.1", Port: 22}, Index: index, Command: "echo"},
		End:    fleet.End{Outcome: o},
	}
}

func TestCheck(t *testing.T) {
	e1, r1 := ran(1, 0, 0, "one\n")
	e2, r2 := ran(2, 1, 3, "two\n")
	edit := func(r fleet.Result, change func(*fleet.Result)) fleet.Result { change(&r); return r }
	editExec := func(e Exec, change func(*Exec)) Exec { change(&e); return e }
	turnedDown := Exec{ID: 3, Host: "127.1.0.1", Command: "echo", Ended: time.Unix(2, 0)}
	lost := editExec(e1, func(e *Exec) { e.HasStatus = false })
	killed := editExec(e1, func(e *Exec) { e.HasStatus, e.Signal = false, "TERM" })
	signalled := edit(r1, func(r *fleet.Result) { r.Outcome, r.Signal = fleet.OutcomeSignalled, "TERM" })
	truncated := edit(r1, func(r *fleet.Result) { r.Stdout.Bytes = []byte("on") })
	incomplete := edit(r1, func(r *fleet.Result) {
		r.Stdout = fleet.Output{Bytes: []byte("on"), Size: 2}
		r.Flags |= fleet.FlagOutputIncomplete
	})
	said := func(r fleet.Result, stdout string, size int64) fleet.Result {
		r.Stdout = fleet.Output{Bytes: []byte(stdout), Size: size}
		return r
	}
	at := func(r fleet.Result, index int) fleet.Result { r.Target.Index = index; return r }
	unknown := resultOf(0, fleet.OutcomeUnknown)
	on := func(e Exec, conn uint64) Exec { e.Conn = conn; return e }
	for _, test := range []struct {
		name    string
		log     []Exec
		results []fleet.Result
		want    []string // a part of each violation
	}{
		{"all right", []Exec{e1, e2}, []fleet.Result{r2, r1}, nil},
		{"nothing at all", nil, nil, nil},
		{"signalled", []Exec{killed}, []fleet.Result{signalled}, nil},
		{"none of these ran", nil, []fleet.Result{
			resultOf(0, fleet.OutcomeNeverStarted), resultOf(1, fleet.OutcomeCancelled), resultOf(2, fleet.OutcomeUnknown),
		}, nil},
		{"refused", []Exec{turnedDown}, []fleet.Result{resultOf(0, fleet.OutcomeRefused)}, nil},
		{"unknown ran", []Exec{e1}, []fleet.Result{resultOf(0, fleet.OutcomeUnknown)}, nil},
		{"unknown ran and was cut off", []Exec{lost}, []fleet.Result{resultOf(0, fleet.OutcomeUnknown)}, nil},
		{"unknown was refused", []Exec{turnedDown}, []fleet.Result{resultOf(0, fleet.OutcomeUnknown)}, nil},
		{"truncated", []Exec{e1}, []fleet.Result{truncated}, nil},
		{"incomplete", []Exec{e1}, []fleet.Result{incomplete}, nil},
		{"a truncated one leaves the whole one its exec", []Exec{e1, editExec(e1, func(e *Exec) {
			e.ID = 9
			e.wrote("on!\n", "")
		})}, []fleet.Result{truncated, edit(r1, func(r *fleet.Result) { r.Target.Index = 1 })}, nil},
		{"a loose claim moves for a strict one", []Exec{e1, editExec(e1, func(e *Exec) {
			e.ID = 9
			e.wrote("only\n\n", "")
		})}, []fleet.Result{incomplete, edit(truncated, func(r *fleet.Result) { r.Target.Index = 1 })}, nil},

		{"unknown has some output", []Exec{e1}, []fleet.Result{said(unknown, "one", 3)}, nil},
		{"unknown has some output that was truncated", []Exec{e1}, []fleet.Result{said(unknown, "o", 3)}, nil},
		{"unknown has some output of what was cut off", []Exec{lost}, []fleet.Result{said(unknown, "one\n", 4)}, nil},
		{"unknown is told by its output", []Exec{e1, e2}, []fleet.Result{said(unknown, "tw", 2), at(r1, 1)}, nil},
		{"unknown with output, and one without", []Exec{e2}, []fleet.Result{unknown, at(said(unknown, "tw", 2), 1)}, nil},
		{"two on two connections", []Exec{on(e1, 1), on(e1, 2)}, []fleet.Result{r1, at(r1, 1)}, nil},

		{"truncated and other bytes", []Exec{e1}, []fleet.Result{said(r1, "0n", 4)}, []string{"stdout of 4 bytes"}},
		{"truncated and not the beginning", []Exec{e1}, []fleet.Result{said(r1, "ne", 4)}, []string{"stdout of 4 bytes"}},
		{"incomplete and other bytes", []Exec{e1}, []fleet.Result{edit(incomplete, func(r *fleet.Result) { r.Stdout.Bytes = []byte("0n") })}, []string{"stdout of 2 bytes"}},
		{"unknown has bytes that nobody wrote", []Exec{e1}, []fleet.Result{said(unknown, "0n", 2)}, []string{"unknown with stdout of 2 bytes"}},
		{"unknown has more than was written", []Exec{e1}, []fleet.Result{said(unknown, "one\n!", 5)}, []string{"unknown with stdout of 5 bytes"}},
		{"unknown has output and did not run", nil, []fleet.Result{said(unknown, "on", 2)}, []string{"but it did not run"}},
		{"unknown has output and was refused", []Exec{turnedDown}, []fleet.Result{said(unknown, "on", 2)}, []string{"but it did not run", "refused 1 times more"}},
		{"unknown has the other's output", []Exec{e1, e2}, []fleet.Result{said(unknown, "on", 2), at(r1, 1)}, []string{`but it was status 3`}},
		{"never started and has output", nil, []fleet.Result{said(resultOf(0, fleet.OutcomeNeverStarted), "one\n", 4)}, []string{"target 0, \"127.1.0.1\": \"echo\": never_started, and yet it has output: status 0, stdout of 4 bytes"}},
		{"cancelled and has output", nil, []fleet.Result{edit(resultOf(0, fleet.OutcomeCancelled), func(r *fleet.Result) { r.Stderr = fleet.Output{Size: 1} })}, []string{"cancelled, and yet it has output"}},
		{"refused and has output", []Exec{turnedDown}, []fleet.Result{said(resultOf(0, fleet.OutcomeRefused), "x", 1)}, []string{"refused, and yet it has output"}},
		{"ran twice on one connection, beside an unknown", []Exec{on(e1, 1), on(e1, 1)}, []fleet.Result{r1, at(unknown, 1)}, []string{"ran twice on connection 1"}},
		{"ok and did not run", nil, []fleet.Result{r1}, []string{
			`target 0, "127.1.0.1": "echo": status 0, stdout of 4 bytes (2c8b08da), stderr of 0 bytes (e3b0c442), but it did not run`,
		}},
		{"ok and was refused", []Exec{turnedDown}, []fleet.Result{r1}, []string{"but it did not run", "was refused 1 times more"}},
		{"ran twice", []Exec{e1, e1}, []fleet.Result{r1}, []string{`"127.1.0.1": "echo" ran 1 times more`}},
		{"never started and ran", []Exec{e1}, []fleet.Result{resultOf(0, fleet.OutcomeNeverStarted)}, []string{"ran 1 times more"}},
		{"cancelled and ran", []Exec{e1}, []fleet.Result{resultOf(0, fleet.OutcomeCancelled)}, []string{"ran 1 times more"}},
		{"refused and ran", []Exec{e1}, []fleet.Result{resultOf(0, fleet.OutcomeRefused)}, []string{"ran 1 times more", "refused 1 times less"}},
		{"never started and was refused", []Exec{turnedDown}, []fleet.Result{resultOf(0, fleet.OutcomeNeverStarted)}, []string{"was refused 1 times more"}},
		{"unknown ran twice", []Exec{e1, e1}, []fleet.Result{resultOf(0, fleet.OutcomeUnknown)}, []string{"ran 1 times more"}},
		{"unknown ran and was refused", []Exec{e1, turnedDown}, []fleet.Result{resultOf(0, fleet.OutcomeUnknown)}, []string{"was refused 1 times more"}},
		{"unknown ran twice and was refused", []Exec{e1, e1, turnedDown}, []fleet.Result{resultOf(0, fleet.OutcomeUnknown)}, []string{"ran 1 times more", "refused 1 times more"}},
		{"other bytes", []Exec{e1}, []fleet.Result{edit(r1, func(r *fleet.Result) { r.Stdout.Bytes = []byte("0ne\n") })}, []string{"but it was status 0, stdout of 4 bytes (2c8b08da)"}},
		{"lost bytes", []Exec{e1}, []fleet.Result{edit(r1, func(r *fleet.Result) { r.Stdout = fleet.Output{Bytes: []byte("one"), Size: 3} })}, []string{"stdout of 3 bytes"}},
		{"truncated and lost bytes", []Exec{e1}, []fleet.Result{edit(truncated, func(r *fleet.Result) { r.Stdout.Size = 3 })}, []string{"stdout of 3 bytes"}},
		{"incomplete and too many bytes", []Exec{e1}, []fleet.Result{edit(incomplete, func(r *fleet.Result) { r.Stdout.Size = 5 })}, []string{"stdout of 5 bytes"}},
		{"streams changed over", []Exec{e1}, []fleet.Result{edit(r1, func(r *fleet.Result) { r.Stdout, r.Stderr = r.Stderr, r.Stdout })}, []string{"stderr of 4 bytes"}},
		{"other status", []Exec{e2}, []fleet.Result{edit(r2, func(r *fleet.Result) { r.Status, r.Target.Index = 4, 0 })}, []string{"status 4, stdout of 4 bytes (27dd8ed4), stderr of 0 bytes (e3b0c442), but it was status 3"}},
		{"other signal", []Exec{killed}, []fleet.Result{edit(signalled, func(r *fleet.Result) { r.Signal = "KILL" })}, []string{`signal "KILL"`}},
		{"ok and no status was sent", []Exec{lost}, []fleet.Result{r1}, []string{"but it was"}},
		{"other host", []Exec{e1}, []fleet.Result{edit(r1, func(r *fleet.Result) { r.Target.Host.Name = "127.1.0.2" })}, []string{`"127.1.0.2": "echo"`, `"127.1.0.1": "echo" ran 1 times more`}},
		{"other command", []Exec{e1}, []fleet.Result{edit(r1, func(r *fleet.Result) { r.Target.Command = "x" })}, []string{`"127.1.0.1": "x"`, "ran 1 times more"}},
		{"the same index twice", []Exec{e1, e1}, []fleet.Result{r1, r1}, []string{"more than one result", "target 1 has no result"}},
		{"an index too high", []Exec{e1}, []fleet.Result{edit(r1, func(r *fleet.Result) { r.Target.Index = 1 })}, []string{"is not one of the 1", "target 0 has no result"}},
		{"no outcome", nil, []fleet.Result{resultOf(0, fleet.OutcomeNone)}, []string{"has the outcome none"}},
		{"ok with a status", []Exec{editExec(e1, func(e *Exec) { e.Status = 3 })}, []fleet.Result{edit(r1, func(r *fleet.Result) { r.Status = 3 })}, []string{"is ok with status 3"}},
		{"failed without a status", []Exec{e1}, []fleet.Result{edit(r1, func(r *fleet.Result) { r.Outcome = fleet.OutcomeFailed })}, []string{"is failed with status 0"}},
		{"ok and its exit is not known", []Exec{e1}, []fleet.Result{edit(r1, func(r *fleet.Result) { r.Flags = 0 })}, []string{"is ok with status 0"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			report := Check(test.log, slices.Values(test.results), len(test.results))
			report.Ambiguous = nil // TestCheckSaysWhatIsAmbiguous
			if report.OK() != (len(test.want) == 0) || report.Found != len(test.want) {
				t.Fatalf("%v, want %q", report, test.want)
			}
			for i, part := range test.want {
				if !strings.Contains(strings.Join(report.Violations, "\n"), part) {
					t.Errorf("violation %d is missing: %q in\n%v", i, part, report)
				}
			}
		})
	}
}

// TestCheckSaysWhatIsAmbiguous has two targets of one host and command, of which
// one ran twice or another one, which is unknown, once: nobody can tell.
func TestCheckSaysWhatIsAmbiguous(t *testing.T) {
	e, r := ran(1, 0, 0, "one\n")
	again, unknown := e, resultOf(1, fleet.OutcomeUnknown)
	again.ID, e.Conn, again.Conn = 2, 1, 2
	other, _ := ran(3, 1, 0, "other\n")
	told := unknown
	told.Stdout = fleet.Output{Bytes: []byte("oth"), Size: 3}
	first := resultOf(0, fleet.OutcomeUnknown)
	for _, test := range []struct {
		name      string
		log       []Exec
		results   []fleet.Result
		ambiguous bool
	}{
		{"one ran twice, or the unknown once", []Exec{e, again}, []fleet.Result{r, unknown}, true},
		{"one that never started ran, or the unknown", []Exec{e}, []fleet.Result{resultOf(0, fleet.OutcomeNeverStarted), unknown}, true},
		{"one unknown ran twice, or two once", []Exec{e, again}, []fleet.Result{first, unknown}, true},
		{"one of two unknown ran", []Exec{e}, []fleet.Result{first, unknown}, false},
		{"the unknown did not run", []Exec{e}, []fleet.Result{r, unknown}, false},
		{"the unknown's output tells", []Exec{e, other}, []fleet.Result{r, told}, false},
	} {
		report := Check(test.log, slices.Values(test.results), 2)
		if report.Found != 0 || len(report.Ambiguous) == 1 != test.ambiguous || report.OK() == test.ambiguous {
			t.Errorf("%s: %v", test.name, report)
		}
	}
	want := "2 targets, 0 violations, 1 times targets that cannot be told apart\n" +
		`"127.1.0.1": "echo" ran 1 times more than the results tell of for certain, and which of its 2 targets did is not to be seen` + "\n" +
		"hint: have {index} in the command, so that each target has one of its own\n"
	if got := Check([]Exec{e, again}, slices.Values([]fleet.Result{r, unknown}), 2).String(); got != want {
		t.Errorf("it prints %q, want %q", got, want)
	}
}

func TestCheckSaysWhatItDidNotCompare(t *testing.T) {
	text := strings.Repeat("x", PrefixSize+2)
	e, r := ran(1, 0, 0, text)
	r.Stdout.Bytes = r.Stdout.Bytes[:PrefixSize+1]
	report := Check([]Exec{e}, slices.Values([]fleet.Result{r}), 1)
	if got, want := report.String(), "1 targets, all as the servers saw them (of 1 the last bytes of cut output were not compared)"; got != want || !report.OK() {
		t.Errorf("it prints %q, want %q", got, want)
	}
}

func TestCheckCountsTargetsAndOutcomes(t *testing.T) {
	e1, r1 := ran(1, 0, 0, "")
	report := Check([]Exec{e1}, slices.Values([]fleet.Result{r1, resultOf(2, fleet.OutcomeUnknown)}), 3)
	if want := []string{"target 1 has no result"}; !slices.Equal(report.Violations, want) {
		t.Errorf("got %q, want %q", report.Violations, want)
	}
	if report.Outcomes[fleet.OutcomeOK] != 1 || report.Outcomes[fleet.OutcomeUnknown] != 1 {
		t.Errorf("the outcomes are %v", report.Outcomes)
	}
	if got, want := report.String(), "3 targets, 1 violations\ntarget 1 has no result\n"; got != want {
		t.Errorf("it prints %q, want %q", got, want)
	}
	if got, want := Check(nil, slices.Values([]fleet.Result{}), 0).String(), "0 targets, all as the servers saw them"; got != want {
		t.Errorf("it prints %q, want %q", got, want)
	}
}

func TestCheckBoundsItsReport(t *testing.T) {
	report := Check(nil, slices.Values([]fleet.Result{}), 250)
	if report.Found != 250 || len(report.Violations) != 100 || !strings.HasSuffix(report.String(), "and 150 more\n") {
		t.Errorf("found %d, listed %d", report.Found, len(report.Violations))
	}
}

// TestCheckFindsEveryLie makes an honest run with many targets per host and
// command, and then changes one thing.
func TestCheckFindsEveryLie(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var log []Exec
		var results []fleet.Result
		n := rapid.IntRange(1, 20).Draw(t, "targets")
		for i := range n {
			e, r := ran(uint64(i+1), i, uint32(rapid.IntRange(0, 1).Draw(t, "status")), fmt.Sprint(rapid.IntRange(0, 2).Draw(t, "output")))
			e.Host = fmt.Sprintf("127.1.0.%d", rapid.IntRange(1, 2).Draw(t, "host"))
			r.Target.Host.Name = e.Host
			log, results = append(log, e), append(results, r)
		}
		shuffled := rapid.Permutation(log).Draw(t, "log")
		if report := Check(shuffled, slices.Values(results), n); !report.OK() {
			t.Fatalf("an honest run: %v", report)
		}
		i := rapid.IntRange(0, n-1).Draw(t, "lie about")
		r := &results[i]
		switch rapid.IntRange(0, 7).Draw(t, "lie") {
		case 0:
			r.Stdout = fleet.Output{Bytes: []byte("3"), Size: 1}
		case 1:
			r.Outcome, r.Status = fleet.OutcomeFailed, 2
		case 2:
			r.End = fleet.End{Outcome: fleet.OutcomeNeverStarted}
		case 3:
			shuffled = shuffled[1:]
		case 4:
			shuffled = append(shuffled, shuffled[0])
		case 5:
			results = results[1:]
		case 6:
			r.Stdout.Bytes, r.Stdout.Size, r.Flags = []byte("3"), 1, r.Flags|fleet.FlagOutputIncomplete
		case 7:
			r.Stdout.Bytes, r.Stdout.Size, r.End = []byte("3"), 1, fleet.End{Outcome: fleet.OutcomeUnknown}
		}
		if report := Check(shuffled, slices.Values(results), n); report.OK() {
			t.Fatalf("nothing was found")
		}
	})
}
