package markers

import (
	"bytes"
	"errors"
	"strings"
	"testing"
	"time"

	"shoal/fleet"
	"shoal/internal/cli/display"
	clirun "shoal/internal/cli/run"
	"shoal/internal/remote"
	"shoal/internal/run"
)

// A server that sends tiny chunks, or not what was requested, is not asked for
// ever.
func TestCollectingIsBounded(t *testing.T) {
	chunk := bytes.Repeat([]byte{'x'}, collectChunk)
	ended := func(out remote.Chunk) remote.Report {
		return remote.Report{State: remote.StateEnded, Cause: remote.CauseExit, Stdout: out}
	}
	for name, c := range map[string]struct {
		report     remote.Report
		more, kept bool // asked again; the bytes were kept
	}{
		"a whole chunk":   {ended(remote.Chunk{Bytes: chunk, Size: 3 * collectChunk}), true, true},
		"a crumb of much": {ended(remote.Chunk{Bytes: []byte("x"), Size: 3 * collectChunk}), false, true},
		"from elsewhere":  {ended(remote.Chunk{Bytes: chunk, From: 7, Size: 3 * collectChunk}), false, false},
		"still running":   {remote.Report{State: remote.StateRunning}, false, false},
	} {
		out := &display.Results{Display: none{}, Stderr: &strings.Builder{}}
		asked := &collecting{remoteQuery: &remoteQuery{}, out: out, limit: -1}
		p := &fetched{inquiry: &query{sessions: []int{0}}}
		// Complete results go to the display and the journal, which are missing
		// here.
		more := asked.wants(int64(len(c.report.Stdout.Bytes)), c.report.Stdout)
		if c.report.Stdout.From == 0 && more != c.more {
			t.Errorf("%s: asked again %v, want %v", name, more, c.more)
		}
		if c.more || !c.kept {
			again, err := asked.take(p, run.Reply{Report: c.report})
			if again != c.more || err != nil || p.whole || (len(p.result.Stdout.Bytes) > 0) != c.kept {
				t.Errorf("%s: again %v, error %v, %d bytes kept", name, again, err, len(p.result.Stdout.Bytes))
			}
		}
	}
}

type none struct{}

func (none) Result(fleet.Result) error { return nil }
func (none) Close() error              { return nil }

// --wait waits for results that may still come, and gives up on all others.
func TestCollectWaitsFor(t *testing.T) {
	fails := func(p fleet.Phase, r fleet.Reason) error {
		return &fleet.Error{Phase: p, Reason: r, Err: errors.New("no")}
	}
	for name, c := range map[string]struct {
		state  remote.State
		err    error
		rounds int // until it is given up, 30 s apart; 0: never
	}{
		"running":             {state: remote.StateRunning},
		"claimed":             {state: remote.StateClaimed, rounds: waitRounds},
		"absent":              {state: remote.StateAbsent, rounds: 1},
		"never":               {state: remote.StateNever, rounds: 1},
		"lost":                {state: remote.StateLost, rounds: 1},
		"orphaned":            {state: remote.StateOrphaned, rounds: 1},
		"unclear":             {state: remote.StateUnclear, rounds: 1},
		"refused":             {err: fails(fleet.PhaseDial, fleet.ReasonConnRefused), rounds: 21},
		"slow key exchange":   {err: fails(fleet.PhaseKex, fleet.ReasonKexTimeout), rounds: 21},
		"no such name":        {err: fails(fleet.PhaseResolve, fleet.ReasonNameNotFound), rounds: waitRounds},
		"another host key":    {err: fails(fleet.PhaseHostkey, fleet.ReasonHostkeyChanged), rounds: waitRounds},
		"not let in any more": {err: fails(fleet.PhaseAuth, fleet.ReasonAuthFailed), rounds: waitRounds},
		"no report":           {err: remote.ErrNoReport, rounds: waitRounds},
	} {
		p := &fetched{state: c.state, err: c.err}
		now, rounds := time.Now(), 1
		for ; p.mayCome(now) && rounds < 100; rounds++ {
			now = now.Add(30 * time.Second)
		}
		if c.rounds == 0 {
			c.rounds = 100
		}
		if rounds != c.rounds {
			t.Errorf("%s: given up in round %d, want %d", name, rounds, c.rounds)
		}
	}
}

func TestWaitingNote(t *testing.T) {
	parcelOf := func(name string, s remote.State) *fetched {
		p := &fetched{state: s}
		p.result.Target.Host.Name = name
		return p
	}
	all := []*fetched{parcelOf("web1", remote.StateRunning), parcelOf("web2", remote.StateRunning), parcelOf("db", remote.StateClaimed)}
	now := time.Now()
	n := newWaitingNote(now)
	for _, step := range []struct {
		after time.Duration
		list  []*fetched
		want  string
	}{
		{0, all, ""},
		{2 * time.Second, all, "waiting for web[1-2]: it still runs; db: " + run.StateWords(remote.StateClaimed)},
		{time.Minute, all, ""},
		{time.Minute, all[:1], "waiting for web1: it still runs"},
		{time.Minute + time.Second, all[:2], ""}, // too soon
		{2 * time.Minute, all[:2], "waiting for web[1-2]: it still runs"},
	} {
		if got := n.text(step.list, now.Add(step.after), 0); got != step.want {
			t.Errorf("after %v: %q, want %q", step.after, got, step.want)
		}
	}
}

// Runs of older programs have no key; their markers keep their old names.
func TestNameWithoutKey(t *testing.T) {
	old := clirun.RemoteFlags{Once: true}
	if name := old.Wrap("r", 0).Run; name != "r" {
		t.Errorf("%q", name)
	}
	old.Key = "K"
	if name := old.Wrap("r", 0).Run; name != "r-K" || old.Remembered()[clirun.OptionKey] != "K" {
		t.Errorf("%q", name)
	}
}
