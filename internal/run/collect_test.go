package run

import (
	"bytes"
	"errors"
	"maps"
	"reflect"
	"slices"
	"testing"
	"time"

	"shoal/fleet"
	"shoal/internal/journal"
	"shoal/internal/remote"
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
		asked := &Collection{Inquiry: &Inquiry{Info: &journal.RunInfo{}}, opts: CollectOptions{MaxOutput: -1}, most: -1}
		p := &fetched{query: &query{sessions: []int{0}}}
		more := asked.wants(p, int64(len(c.report.Stdout.Bytes)), c.report.Stdout)
		if c.report.Stdout.From == 0 && more != c.more {
			t.Errorf("%s: asked again %v, want %v", name, more, c.more)
		}
		if c.more || !c.kept {
			again := asked.take(p, Reply{Report: c.report})
			if again != c.more || p.whole || (len(p.result.Stdout.Bytes) > 0) != c.kept {
				t.Errorf("%s: again %v, %d bytes kept", name, again, len(p.result.Stdout.Bytes))
			}
		}
	}
}

// What a slow link does not bring in time is asked for in smaller parts, not for ever.
func TestCollectingOverASlowLink(t *testing.T) {
	c := &Collection{Inquiry: &Inquiry{Info: &journal.RunInfo{}}, opts: CollectOptions{MaxOutput: -1}, most: -1}
	p := &fetched{query: &query{sessions: []int{0}}}
	late := Reply{Err: errors.New("too late"), Late: true}
	var chunks []int64
	for again := true; again; again = c.take(p, late) {
		chunks = append(chunks, p.chunk())
	}
	if want := []int64{1 << 20, 128 << 10, 16 << 10}; !slices.Equal(chunks, want) || p.err == nil {
		t.Errorf("asked for %d, want %d; %v", chunks, want, p.err)
	}
	part := remote.Chunk{Bytes: bytes.Repeat([]byte{'x'}, 16<<10), Size: 32 << 10}
	if !c.take(p, Reply{Report: remote.Report{State: remote.StateEnded, Cause: remote.CauseExit, Stdout: part}}) || p.next.Stdout != 16<<10 || p.err != nil {
		t.Errorf("after a part of the output: %+v, %v", p.next, p.err)
	}
	if c.take(p, Reply{Err: errors.New("refused")}) {
		t.Error("asked again after another error")
	}
}

// A later session may have been refused because the command had started before: then the
// older marker has its output.
func TestOlderMarker(t *testing.T) {
	reply := func(s remote.State) Reply { return Reply{Report: remote.Report{State: s}} }
	asked := &Collection{Inquiry: &Inquiry{Info: &journal.RunInfo{}, remote: Remote{Detach: true}}}
	q := &query{sessions: []int{2, 0}}
	q.entry.Outcome = fleet.OutcomeUnknown // the receipt was lost
	q.entry.Intents = []journal.Intent{{At: time.Now()}}
	for _, newest := range []remote.State{remote.StateAbsent, remote.StateNever} {
		p := &fetched{query: q}
		if more := asked.take(p, reply(newest)); !more || p.session() != 0 {
			t.Errorf("%s: again %v of session %d, want session 0", newest, more, p.session())
		}
		if asked.take(p, reply(newest)) {
			t.Errorf("%s: again after the oldest", newest)
		}
		for _, older := range []remote.State{remote.StateRunning, remote.StateEnded} {
			if r := asked.resolved(q, []Reply{reply(newest), reply(older)}); r.Known || r.Detached != older {
				t.Errorf("%s, then %s: resolved %+v", newest, older, r)
			}
		}
	}
	if r := asked.resolved(q, []Reply{reply(remote.StateNever), reply(remote.StateLost)}); r.Known || r.Detached != "" {
		t.Errorf("what cannot be fetched: resolved %+v", r)
	}
	asked.remote.Detach = false
	if r := asked.resolved(q, []Reply{reply(remote.StateEnded)}); !r.Known || r.Detached != "" {
		t.Errorf("not detached: resolved %+v", r)
	}
}

// Output counts as stored, so that the host may remove it, if all of it is in
// files, or is no longer than the journal keeps.
func TestStored(t *testing.T) {
	most := make([]byte, journal.MaxOutput+1)
	cut := fleet.Result{}
	cut.Flags |= fleet.FlagOutputTruncated
	for name, c := range map[string]struct {
		files  bool
		result fleet.Result
		want   bool
	}{
		"all that the journal keeps":    {false, fleet.Result{Stdout: fleet.Output{Bytes: most[1:]}, Stderr: fleet.Output{Bytes: most[1:]}}, true},
		"more, on standard output":      {false, fleet.Result{Stdout: fleet.Output{Bytes: most}}, false},
		"more, on standard error":       {false, fleet.Result{Stderr: fleet.Output{Bytes: most}}, false},
		"more, but in files":            {true, fleet.Result{Stdout: fleet.Output{Bytes: most}}, true},
		"cut by --max-output, in files": {true, cut, false},
	} {
		if got := (&Collection{opts: CollectOptions{Files: c.files}}).stored(&c.result); got != c.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}

// Output is not kept once it was passed on, and never more than memory has room for.
func TestCollectedOutputLeavesMemory(t *testing.T) {
	const room = 3 * collectChunk / 2
	chunk := bytes.Repeat([]byte{'x'}, collectChunk)
	ended := func(size int64) Reply {
		return Reply{Report: remote.Report{State: remote.StateEnded, Cause: remote.CauseExit, Stdout: remote.Chunk{Bytes: chunk, Size: size}}}
	}
	var seen int
	c := &Collection{Inquiry: &Inquiry{Info: &journal.RunInfo{}}, opts: CollectOptions{MaxOutput: -1}, most: room, yield: func(r fleet.Result, _ error) bool {
		seen += len(r.Stdout.Bytes)
		return true
	}}
	shorter := query{sessions: []int{0}, stored: [fleet.NumStreams]int{1 << 30}} // the journal has more and is left alone
	shorter.entry.Intents = []journal.Intent{{At: time.Now()}}
	for n := 1; n <= 3; n++ {
		p := &fetched{query: &shorter}
		if c.take(p, ended(collectChunk)); !p.whole || p.err != nil {
			t.Fatalf("target %d: %+v", n, p)
		}
		if err := c.finish(p); err != nil || seen != n*collectChunk || !p.stored || p.result.Stdout.Bytes != nil || c.held != 0 {
			t.Errorf("target %d: %d bytes passed on, %d kept, %v", n, seen, c.held, err)
		}
	}
	big, other := &fetched{query: &shorter}, &fetched{query: &shorter}
	if !c.take(big, ended(1<<40)) || c.held != collectChunk {
		t.Fatalf("%d bytes kept of the first chunk: %v", c.held, big.err)
	}
	if c.take(other, ended(1<<40)) || other.err == nil || other.next != (remote.Offsets{}) || c.held != collectChunk {
		t.Errorf("%d bytes kept, of %d at the most: %v", c.held, room, other.err)
	}
}

// Output that nobody asked for does not wait in memory for other answers.
func TestUnaskedOutput(t *testing.T) {
	r, err := remote.ParseReport("N0nceN0nce", []byte("shoal/1 N0nceN0nce\nstate never\nup 9\nout 3 0 3\nabc\nerr 1 0 1\nx\nend N0nceN0nce\n"))
	if err != nil || len(r.Stdout.Bytes) != 3 {
		t.Fatal(r, err)
	}
	want := Reply{Report: remote.Report{State: remote.StateNever, Up: 9 * time.Second}}
	if got := brief(Reply{Report: r}); !reflect.DeepEqual(got, want) {
		t.Errorf("%+v", got)
	}
}

// Output that was removed on the host is not taken for all that there was.
func TestMissingOutput(t *testing.T) {
	c := &Collection{Inquiry: &Inquiry{Info: &journal.RunInfo{}}, most: -1}
	p := &fetched{query: &query{sessions: []int{0}}}
	p.query.entry.Intents = []journal.Intent{{At: time.Now()}}
	c.take(p, Reply{Report: remote.Report{State: remote.StateEnded, Cause: remote.CauseExit, Missing: true}})
	if !p.whole || !p.result.Flags.Has(fleet.FlagOutputIncomplete) || p.writing {
		t.Errorf("%+v", p)
	}
}

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

// Runs of older programs have no key; their markers keep their old names.
func TestNameWithoutKey(t *testing.T) {
	info := &journal.RunInfo{Options: map[string]string{"once": "true", "remote-timeout": "1m0s"}}
	for _, key := range []string{"", "K"} {
		want := "r"
		if key != "" {
			info.Options["marker-key"], want = key, "r-K"
		}
		r, err := RemoteOf(info)
		if name := r.wrap("r", 0).Run; err != nil || name != want || !maps.Equal(r.options(), info.Options) {
			t.Errorf("name %q, want %q; options %v, want %v; %v", name, want, r.options(), info.Options, err)
		}
	}
}
