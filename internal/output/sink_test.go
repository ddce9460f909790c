package output

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"shoal/fleet"
)

var update = flag.Bool("update", false, "rewrite the golden files")

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

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

func target(index int) fleet.Target {
	return fleet.Target{Host: fleet.Host{Name: fmt.Sprintf("node%d", index+1)}, Index: index}
}

func output(s string) fleet.Output { return fleet.Output{Bytes: []byte(s), Size: int64(len(s))} }

// ended returns a result with this end and these outputs.
func ended(index int, e fleet.End, stdout, stderr string) fleet.Result {
	return fleet.Result{Target: target(index), End: e, Attempt: 1, Stdout: output(stdout), Stderr: output(stderr)}
}

func ok(index int, stdout string) fleet.Result {
	return ended(index, fleet.End{Outcome: fleet.OutcomeOK, Phase: fleet.PhaseDrain, Flags: fleet.FlagExitKnown}, stdout, "")
}

func exit(status uint32) fleet.End {
	return fleet.End{Outcome: fleet.OutcomeFailed, Phase: fleet.PhaseDrain, Flags: fleet.FlagExitKnown, Status: status}
}

func neverStarted(reason fleet.Reason, phase fleet.Phase, cause string) fleet.End {
	return fleet.End{Outcome: fleet.OutcomeNeverStarted, Reason: reason, Phase: phase, Err: errors.New(cause)}
}

// everyEnd has each way in which a target can end, with hostile text wherever a peer can
// put it.
func everyEnd() []fleet.Result {
	truncated := ok(8, "head of much\n")
	truncated.Flags |= fleet.FlagOutputTruncated
	truncated.Stdout.Size = 5557452
	lost := ended(9, fleet.End{
		Outcome: fleet.OutcomeOK, Phase: fleet.PhaseDrain,
		Flags: fleet.FlagExitKnown | fleet.FlagOutputIncomplete,
	}, "all that came", "")
	wrapped := neverStarted(fleet.ReasonAuthFailed, fleet.PhaseAuth, "no key of ours is accepted")
	wrapped.Err = &fleet.Error{Host: "node11", Outcome: wrapped.Outcome, Phase: wrapped.Phase, Reason: wrapped.Reason, Err: wrapped.Err}
	return []fleet.Result{
		ok(0, "fine\n"),
		ended(1, exit(3), "so far\n", "sh: nosuch: not found\n"),
		ended(2, fleet.End{Outcome: fleet.OutcomeSignalled, Phase: fleet.PhaseRun, Flags: fleet.FlagExitKnown, Signal: "TERM"}, "", ""),
		ended(3, fleet.End{Outcome: fleet.OutcomeSignalled, Phase: fleet.PhaseRun, Flags: fleet.FlagExitKnown, Signal: "\x1b[2J\u202eKILL"}, "", ""),
		ended(4, neverStarted(fleet.ReasonDialTimeout, fleet.PhaseDial, "no answer from 192.0.2.5:22 in 10 s"), "", ""),
		ended(5, neverStarted(fleet.ReasonThrottled, fleet.PhaseBanner, "the server said \x1b]0;x\aExceeded\r\nnode1: ok"), "", ""),
		ended(6, fleet.End{Outcome: fleet.OutcomeRefused, Reason: fleet.ReasonExecRefused, Phase: fleet.PhaseExec}, "", ""),
		ended(7, fleet.End{Outcome: fleet.OutcomeUnknown, Reason: fleet.ReasonConnReset, Phase: fleet.PhaseRun, Err: errors.New("connection reset by peer")}, "half a li", ""),
		truncated,
		lost,
		ended(10, wrapped, "", ""),
		ended(11, fleet.End{Outcome: fleet.OutcomeCancelled, Reason: fleet.ReasonInterrupted, Err: errors.New("interrupted")}, "", ""),
	}
}

// hostile is fault S11 as the output of a host, and lines that imitate node1's.
const hostile = "\x1b[31mred\x1b[0m \x9b31m \u009b31m\n" +
	"\x1b]52;c;cm0gLXJm\a\x1b]0;title\x1b\\\x1bP1$q\x1b\\\n" +
	"failed\rok\n" +
	"CRLF\r\n" +
	"\u202egnp.exe\u202c \u2066x\u2069 zero\u200bwidth\ufeff\n" +
	"one line\u2028node1: another\n" +
	"node1: I am node1\n" +
	"tab\tand \a bell, NUL \x00, cut \xe6\x97\n" +
	"日本語 😀\n" +
	"no end"

// failing fails each write with err once more than after bytes would be taken.
type failing struct {
	bytes.Buffer
	after int
	err   error
}

func (f *failing) Write(p []byte) (int, error) {
	if f.Len()+len(p) > f.after {
		return 0, f.err
	}
	return f.Buffer.Write(p)
}

// took is a sink that records its calls, and fails on request.
type took struct {
	indexes []int
	fail    map[int]error
	closed  int
	atClose error
}

func (k *took) Result(r fleet.Result) error {
	k.indexes = append(k.indexes, r.Target.Index)
	return k.fail[r.Target.Index]
}

func (k *took) Close() error {
	k.closed++
	return k.atClose
}

const second = time.Second
