package crashtest

import (
	"bytes"
	"fmt"
	"slices"
	"strings"

	"shoal/fleet"
	"shoal/internal/journal"
	"shoal/simfleet"
)

// A finding is what the journal and the servers recorded up to the end of a
// session.
type finding struct {
	state    journal.State
	notBegun bool // the journal has no run that could have started anything
	entries  []journal.Entry
	log      []simfleet.Exec
	fresh    []bool // by target: the session recorded an intent
	resumed  bool   // not the first session
}

// resumable returns the number of targets that certainly did not run.
func (f finding) resumable() (n int) {
	for _, e := range f.entries {
		if journal.Resumable(&e) {
			n++
		}
	}
	return n
}

// verify opens the journal after a session and compares it with what the
// servers saw.
func (x *trial) verify(s *session) finding {
	x.t.Helper()
	x.fleet.settle(x.t)
	f := x.open()
	results := s.account().results
	x.remember(results)
	if f.notBegun {
		if len(f.log) > 0 {
			x.t.Errorf("%s left no run in the journal, and %d commands ran", s.name, len(f.log))
		}
		return f
	}
	x.checkEntries(s.name, f, f.log)
	if f.state == journal.Ended {
		x.compare(s.name, f, results)
	}
	f.resumed, f.fresh = x.sessions > 1, make([]bool, x.hosts)
	for i, e := range f.entries {
		f.fresh[i] = len(e.Intents) > x.intents[i]
		x.intents[i] = len(e.Intents)
	}
	return f
}

// read reads everything that the journal has of the newest run.
func (x *trial) read(j *journal.Journal) finding {
	x.t.Helper()
	f := finding{notBegun: true, log: x.fleet.Log()}
	for info, err := range j.Runs(x.t.Context(), journal.Filter{Limit: 1}) {
		x.check(err)
		if f.state = info.State; f.state == journal.Incomplete {
			return f
		}
		f.notBegun = false
		for e, err := range j.Show(x.t.Context(), info.Run, journal.All) {
			x.check(err)
			f.entries = append(f.entries, e)
		}
		report, err := j.Verify(x.t.Context(), info.Run)
		x.check(err)
		if !report.OK() {
			x.t.Errorf("the journal is damaged: %v", report.Problems)
		}
	}
	return f
}

// checkEntries compares the journal with the servers' log and with the
// sessions' output: a result that a session printed is still the same, or
// unknown if it was not recorded.
func (x *trial) checkEntries(when string, f finding, log []simfleet.Exec) {
	x.t.Helper()
	results := make([]fleet.Result, len(f.entries))
	for i, e := range f.entries {
		results[i] = e.Result
		told, ok := x.told[i]
		if !ok || e.Outcome == fleet.OutcomeUnknown {
			continue
		}
		if e.Outcome != told.Outcome {
			x.t.Errorf("%s: target %d was told to be %v, and is %v in the journal", when, i, told.Outcome, e.Outcome)
		} else if !bytes.Equal(e.Stdout.Bytes, told.Stdout.Bytes) || !bytes.Equal(e.Stderr.Bytes, told.Stderr.Bytes) {
			x.t.Errorf("%s: the output of target %d is another one in the journal", when, i)
		}
	}
	if report := simfleet.Check(lastRefusals(log, results), slices.Values(results), x.hosts); !report.OK() {
		x.t.Errorf("%s: %s", when, report)
	}
}

// compare asserts that the journal has every result that a completed session
// printed.
func (x *trial) compare(when string, f finding, results []fleet.Result) {
	x.t.Helper()
	for _, r := range results {
		if e := f.entries[r.Target.Index]; e.Progress != journal.Done || e.Outcome != r.Outcome {
			x.t.Errorf("%s: target %d was told to be %v, and is %v, %v in the journal", when, r.Target.Index, r.Outcome, e.Progress, e.Outcome)
		}
	}
}

// remember keeps what a session printed about targets that ran, or may have.
func (x *trial) remember(results []fleet.Result) {
	x.t.Helper()
	for _, r := range results {
		if r.Outcome.DidNotRun() {
			continue
		}
		i := r.Target.Index
		if before, ok := x.told[i]; ok {
			x.t.Errorf("target %d was told to be %v, and then to be %v", i, before.Outcome, r.Outcome)
		}
		x.told[i] = r
	}
}

// lastRefusals keeps each host's refusal that its result can be about: every
// session may ask a host again that ran nothing.
func lastRefusals(log []simfleet.Exec, results []fleet.Result) []simfleet.Exec {
	refused := make(map[string]bool)
	for _, r := range results {
		refused[r.Target.Host.Name] = r.Outcome == fleet.OutcomeRefused
	}
	var kept []simfleet.Exec
	for _, e := range log {
		if e.Accepted || refused[e.Host] {
			kept = append(kept, e)
			refused[e.Host] = refused[e.Host] && e.Accepted
		}
	}
	return kept
}

// finish heals the fleet, resumes the run to its end, and checks the result:
// every command has run once and its output is in the journal, or it is unknown
// and ran at most once. It returns the number of unknown targets.
func (x *trial) finish() (unknown int) {
	x.t.Helper()
	x.healed.Store(true)
	f := x.open()
	// A run keeps its brakes, so that each failing target may stop a session.
	for before := -1; !x.whole(f) && len(f.entries)-f.resumable() != before; {
		before = len(f.entries) - f.resumable()
		args := x.resumeArgs()
		if x.lost(f) {
			args = x.runArgs()
		}
		s := x.start(trigger{}, args)
		s.wait()
		f = x.verify(s)
		results := s.account().results
		x.t.Logf("%s: %s", s.name, tally(results))
		for _, r := range results {
			// On a slow machine a server may answer late, but it closes no connection.
			if r.Outcome == fleet.OutcomeUnknown && !timedOut(r.Reason) {
				x.t.Errorf("%s: target %d is %v (%v) without a fault", s.name, r.Target.Index, r.Outcome, r.Reason)
			}
		}
		if x.t.Failed() {
			x.t.Logf("exit code %d: %s", s.code(), s.said())
		}
		if f.state != journal.Ended {
			x.t.Fatalf("exit code %d, and the run is %v: %s", s.code(), f.state, s.said())
		}
	}
	if !x.whole(f) {
		x.t.Fatalf("the last session ran nothing: the run is %v with %d targets, %d of them not run", f.state, len(f.entries), f.resumable())
	}
	for i, e := range f.entries {
		switch {
		case e.Outcome == fleet.OutcomeUnknown:
			unknown++
		case !e.Outcome.Ran():
			x.t.Errorf("target %d is lost: %v", i, e.Outcome)
		}
	}
	x.nothingLeft()
	x.check(x.fleet.Close())
	x.checkEntries("in the end", f, x.fleet.Log())
	return unknown
}

func timedOut(r fleet.Reason) bool { return strings.HasSuffix(string(r), "timeout") }

// tally counts results by outcome and reason.
func tally(results []fleet.Result) string {
	count := make(map[string]int)
	for _, r := range results {
		count[fmt.Sprintf("%v (%v)", r.Outcome, r.Reason)]++
	}
	return fmt.Sprint(count)
}

// whole reports whether every target of the run ran, or may have.
func (x *trial) whole(f finding) bool {
	return !f.notBegun && len(f.entries) == x.hosts && f.resumable() == 0
}

// open reads the journal.
func (x *trial) open() finding {
	x.t.Helper()
	j, err := journal.Open(x.t.Context(), x.in("state"), journal.Options{})
	x.check(err)
	f := x.read(j)
	x.check(j.Close())
	return f
}

// lost reports whether the journal has no run to resume, and then checks that
// the program says so.
func (x *trial) lost(f finding) bool {
	x.t.Helper()
	if !f.notBegun {
		return false
	}
	s := x.start(trigger{}, x.resumeArgs())
	s.wait()
	if said := s.said(); s.code() != 2 || !bytes.Contains(said, []byte("never began")) && !bytes.Contains(said, []byte("no such run")) {
		x.t.Errorf("resuming nothing: exit code %d: %s", s.code(), said)
	}
	return true
}

// nothingLeft resumes a completed run, and verifies it with the program.
func (x *trial) nothingLeft() {
	x.t.Helper()
	execs := len(x.fleet.Log())
	s := x.start(trigger{}, x.resumeArgs())
	s.wait()
	x.fleet.settle(x.t)
	if s.code() != 0 || !bytes.Contains(s.said(), []byte("nothing is left to run")) || len(x.fleet.Log()) != execs {
		x.t.Errorf("resuming what is ended: exit code %d, %d commands ran: %s", s.code(), len(x.fleet.Log())-execs, s.said())
	}
	s = x.start(trigger{}, []string{"verify", "--state-dir", x.in("state"), "last"})
	s.wait()
	if s.code() != 0 {
		x.t.Errorf("verify: exit code %d: %s", s.code(), s.said())
	}
}
