package crashtest

import (
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"testing"

	"shoal/internal/journal"
	"shoal/internal/sshdtest"
)

// markedHosts is the number of hosts of a run with markers.
const markedHosts = 6

// newMarkedTrial is one server with several addresses, without faults.
func newMarkedTrial(t *testing.T) *trial {
	t.Helper()
	x := prepareTrial(t, markedHosts, "")
	x.usual = []string{"-f", "3"}
	opts := append([]sshdtest.Option{sshdtest.WithSubreaper()}, openSSH.opts...)
	x.behindRelay(&realServers{Server: openSSH.start(t, opts...)}, network{})
	return x
}

// marks returns the indexes of the targets that have a marker.
func (x *trial) marks() (all []string) {
	x.t.Helper()
	entries, err := os.ReadDir(x.in("marks"))
	if err != nil && !os.IsNotExist(err) {
		x.t.Fatal(err)
	}
	for _, e := range entries {
		name, _, _ := strings.Cut(e.Name(), ".")
		all = append(all, name[strings.LastIndexByte(name, '-')+1:])
	}
	return all
}

// resolve asks the hosts what became of the commands.
func (x *trial) resolve() *session {
	x.t.Helper()
	s := x.start(trigger{}, []string{
		"resolve", "-F", "none", "--known-hosts", x.in("kh"), "--identity", x.in("key"), "--no-agent", "--state-dir", x.in("state"), "last",
	})
	s.wait()
	return s
}

// runs returns how often the command of each target has run.
func (x *trial) runs() map[int]int {
	ran := make(map[int]int)
	for _, e := range x.fleet.Log() {
		ran[e.Index]++
	}
	return ran
}

// wantTrue compares what the journal says of each target with what ran. It does not compare
// output and status: the commands of a run that was killed die of SIGPIPE.
func (x *trial) wantTrue(s *session) []journal.Entry {
	x.t.Helper()
	ran, f := x.runs(), x.open()
	for i, e := range f.entries {
		never := e.Progress == journal.Done && e.Outcome.DidNotRun()
		if ran[i] > 1 || ran[i] > 0 && never || ran[i] == 0 && e.Outcome.Ran() {
			x.t.Errorf("after %s target %d ran %d times, and is %v: %s", s.name, i, ran[i], e.Outcome, s.said())
		}
	}
	return f.entries
}

// A run that removes its markers is killed at any write of its journal. A command that ran has
// its result in the journal or its marker on the host, so that resolve never takes it for one
// that did not start; resumed, it does not run twice.
func TestKilledWhileMarkersAreRemoved(t *testing.T) {
	run := func(x *trial) []string {
		return slices.Insert(x.runArgs(), 1, "--kill-on-cancel", "--run-dir", x.in("marks"))
	}
	x := newMarkedTrial(t)
	s, whole := x.trace(write{}, run(x))
	x.verify(s)
	if a := s.account(); a.summary == nil || len(x.marks()) > 0 || len(x.fleet.Log()) != markedHosts {
		t.Fatalf("exit code %d, %d commands ran, the markers of %v are left: %s", s.code(), len(x.fleet.Log()), x.marks(), s.said())
	}

	n := int(knob(t, "CRASHTEST_MARKERS", 8))
	counts := make(chan [3]int, n)
	trials(t, n, func(t *testing.T, i int, random *rand.Rand) {
		x := newMarkedTrial(t)
		// Most of what comes before the first result is tested elsewhere.
		first := whole.seen / 4
		kill := write{nth: first + i*(whole.seen-first)/n + random.IntN(1+(whole.seen-first)/n), after: random.IntN(2) == 0}
		s, tr := x.trace(kill, run(x))
		f := x.verify(s)
		if f.notBegun {
			return
		}
		ran, marked, stored := x.runs(), x.marks(), 0
		for i, e := range f.entries {
			if e.Progress == journal.Done {
				stored++
			} else if ran[i] > 0 && !slices.Contains(marked, fmt.Sprint(i)) {
				t.Errorf("target %d ran, and neither its result nor its marker is there", i)
			}
		}
		counts <- [3]int{len(ran), stored, len(marked)}
		s = x.resolve()
		x.wantTrue(s)
		s = x.start(trigger{}, x.resumeArgs())
		s.wait()
		x.fleet.settle(t)
		for i, e := range x.wantTrue(s) {
			if !e.Outcome.Ran() {
				t.Errorf("target %d is %v in the end: %s", i, e.Outcome, s.said())
			}
		}
		if t.Failed() {
			t.Logf("killed at %+v of %d: %s", kill, whole.seen, tr.dying)
		}
	})
	close(counts)
	between := 0
	for c := range counts {
		t.Logf("%d ran, %d results were stored, %d markers were there", c[0], c[1], c[2])
		if c[2] < c[0] {
			between++
		}
	}
	if between == 0 {
		t.Error("no run died when some of its markers were removed")
	}
}
