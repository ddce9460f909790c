package remote

import (
	"errors"
	"reflect"
	"strings"
	"testing"
	"time"

	"shoal/fleet"
)

func TestParseReport(t *testing.T) {
	const head, tail = "shoal/1 " + nonce + "\n", "end " + nonce + "\n"
	out := func(s string) []byte { return []byte(s) }
	for text, want := range map[string]Report{
		head + tail: {Up: -1},
		"noise shoal/1 other\n\x00\xff" + head + "at 1-2 pid:[3] a b\nstate never\nup 7\n" + tail + "more": {State: StateNever, Machine: "1-2 pid:[3] a b", Up: 7 * time.Second, Noise: true},
		head + "state ended killed 137\nleft\nkill ended\n" + tail:                                         {State: StateEnded, Cause: CauseKilled, Status: 137, Left: true, Kill: KillEnded, Up: -1},
		head + "out 9 2 3\nend\n" + "err 0 0 0\n\n" + tail:                                                 {Up: -1, Stdout: Chunk{Size: 9, From: 2, Bytes: out("end")}, Stderr: Chunk{Bytes: out("")}},
		head + "out 40 0 15\nend " + nonce + "\n\n" + tail:                                                 {Up: -1, Stdout: Chunk{Size: 40, Bytes: out("end " + nonce + "\n")}},
		head + "swept 3 4\naccepted\nforgotten\nkept\n" + tail:                                             {Up: -1, Removed: 3, Remaining: 4, Accepted: true, Forgotten: true, Kept: true},
	} {
		if got, err := ParseReport(nonce, []byte(text)); err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%q:\n got %+v, %v\nwant %+v", text, got, err, want)
		}
	}
	for _, text := range []string{
		"", "This account is currently not available.\n", head, head + "state never\n", head + "state never" + tail,
		head + "state\n" + tail, head + "state gone\n" + tail, head + "state ended exit\n" + tail, head + "state ended exit 256\n" + tail,
		head + "state ended exit -1\n" + tail, head + "state ended why 1\n" + tail, head + "kill\n" + tail, head + "kill all\n" + tail,
		head + "up x\n" + tail, head + "up\n" + tail, head + "out 1 2\n" + tail, head + "out 9 0 99999999\nabc\n" + tail,
		head + "out 9 0 9223372036854775807\nabc\n" + tail, head + "out 9 0 18446744073709551615\nabc\n" + tail, head + "out 9 0 -1\nabc\n" + tail,
		head + "out 3 0 2\nabc\n" + tail, head + "left 1\n" + tail, head + "?\n" + tail, head + strings.Repeat("x", 1000) + "\n" + tail, head + "end other\n",
	} {
		if got, err := ParseReport(nonce, []byte(text)); !errors.Is(err, ErrNoReport) || !reflect.DeepEqual(got, Report{}) || len(err.Error()) > 600 {
			t.Errorf("%q gives %+v, %v", text, got, err)
		}
	}
}

func TestOutcome(t *testing.T) {
	for _, c := range []struct {
		report Report
		want   fleet.Outcome
	}{
		{Report{State: StateNever}, fleet.OutcomeNeverStarted},
		{Report{State: StateAbsent}, fleet.OutcomeUnknown},
		{Report{State: StateLost}, fleet.OutcomeUnknown},
		{Report{State: StateRunning}, fleet.OutcomeUnknown},
		{Report{State: StateEnded, Cause: CauseExit}, fleet.OutcomeOK},
		{Report{State: StateEnded, Cause: CauseExit, Status: 1}, fleet.OutcomeFailed},
		{Report{State: StateEnded, Cause: CauseTimeout}, fleet.OutcomeSignalled},
		{Report{State: StateEnded, Cause: CauseKilled, Status: 137}, fleet.OutcomeSignalled},
	} {
		if got := c.report.Outcome(); got != c.want {
			t.Errorf("%+v is %v, want %v", c.report, got, c.want)
		}
	}
	hour := Report{State: StateNever, Up: time.Hour}
	unknown := Report{State: StateNever, Up: -1}
	if !hour.DidNotRun(50*time.Minute) || hour.DidNotRun(time.Hour-time.Second) || unknown.DidNotRun(0) || hour.DidNotRun(-time.Hour) || (Report{State: StateNever, Up: 1000 * time.Hour}).DidNotRun(MinSweepAge) || (Report{State: StateAbsent, Up: time.Hour}).DidNotRun(0) {
		t.Error("a reboot is not seen")
	}
}

func TestParseRefusal(t *testing.T) {
	const head = "shoal/1 " + nonce + " refused "
	for text, want := range map[string]Refusal{
		head + "again\n": RefusedAgain, "noise" + head + "home\nmore": RefusedHome, head + "again": "", head + "other\n": "",
		head: "", "": "", "shoal/1 other refused again\n": "", head + strings.Repeat("x", 1000): "",
	} {
		if got, ok := ParseRefusal(nonce, []byte(text)); got != want || ok != (want != "") {
			t.Errorf("%q gives %q, %v", text, got, ok)
		}
	}
}

func FuzzParseReport(f *testing.F) {
	f.Add([]byte("shoal/1 " + nonce + "\nstate ended exit 3\nup 5\nout 3 0 3\na\x00b\nerr 0 0 0\n\nend " + nonce + "\n"))
	f.Add([]byte("shoal/1 " + nonce + "\nkill alive\nswept 1 2\nleft\nend " + nonce + "\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		ParseRefusal(nonce, text)
		r, err := ParseReport(nonce, text)
		if err != nil {
			return
		}
		if len(r.Stdout.Bytes)+len(r.Stderr.Bytes) > len(text) || r.Stdout.From < 0 || r.Up < -1 || r.Removed < 0 {
			t.Fatalf("%+v", r)
		}
	})
}
