package run_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"shoal/fleet"
	"shoal/internal/engine"
	"shoal/internal/journal"
	"shoal/internal/run"
	"shoal/internal/sshdtest"
)

// names returns what is in a directory; none if it does not exist.
func names(t *testing.T, dir string) (all []string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil && !os.IsNotExist(err) {
		t.Fatal(err)
	}
	for _, e := range entries {
		all = append(all, e.Name())
	}
	return all
}

// A run removes the markers of commands whose end it has recorded, unless they serve
// something else. The output is that of the command alone.
func TestMarkersOfEndedCommands(t *testing.T) {
	dir := t.TempDir()
	s := real(t, 3, "echo out; printf err >&2; exit 3")
	for name, c := range map[string]struct {
		remote    run.Remote
		noJournal bool
		left      int
	}{
		"kill":             {run.Remote{KillOnCancel: true}, false, 0},
		"kill and timeout": {run.Remote{KillOnCancel: true, Timeout: time.Minute}, false, 0},
		"timeout":          {run.Remote{Timeout: time.Minute}, false, 0}, // there never was one
		"no journal":       {run.Remote{KillOnCancel: true}, true, 3},
		"once":             {run.Remote{Once: true}, false, 3},
		"once and kill":    {run.Remote{Once: true, KillOnCancel: true}, false, 3},
		"detached":         {run.Remote{Detach: true}, false, 3},
	} {
		t.Run(name, func(t *testing.T) {
			c.remote.Dir = filepath.Join(dir, strings.ReplaceAll(name, " ", "-"))
			j := s.journal
			if c.noJournal {
				j = nil
			}
			r, err := run.Begin(t.Context(), j, journal.RunInfo{}, c.remote, s.targets)
			if err != nil {
				t.Fatal(err)
			}
			for _, res := range take(t, r.Results(t.Context(), run.Options{Engine: s.engine})) {
				switch {
				case c.remote.Detach && res.Outcome == fleet.OutcomeDetached:
				case res.Outcome != fleet.OutcomeFailed || res.Status != 3 || string(res.Stdout.Bytes) != "out\n" || string(res.Stderr.Bytes) != "err":
					t.Errorf("ended %v, status %d, %q, %q: %v", res.Outcome, res.Status, res.Stdout.Bytes, res.Stderr.Bytes, res.Err)
				}
			}
			if left := names(t, c.remote.Dir); len(left) != c.left {
				t.Errorf("%v are left, want %d", left, c.left)
			}
			if n, why := r.MarkersLeft(); n != 0 {
				t.Errorf("%d could not be removed: %v", n, why)
			}
			if !c.noJournal {
				end(t, r, journal.Ending{})
			}
		})
	}
}

// A marker that cannot be removed is counted, and changes no result.
func TestMarkersThatStay(t *testing.T) {
	marks := filepath.Join(t.TempDir(), "marks")
	s := real(t, 3, "chmod 755 "+marks) // as if somebody else could write there
	e := s.engine
	e.Fanout = 1
	for i := range 2 {
		r := s.begin(t, run.Remote{KillOnCancel: true, Dir: marks})
		got := outcomes(take(t, r.Results(t.Context(), run.Options{Engine: e})))
		end(t, r, journal.Ending{})
		n, why := r.MarkersLeft()
		if got[fleet.OutcomeOK] != 1 || got[fleet.OutcomeRefused] != 2 || n != 1 || why == nil || len(names(t, marks)) != i+1 {
			t.Errorf("%v: %d markers stay (%v), of %v", got, n, why, names(t, marks))
		}
		if err := os.Chmod(marks, 0o700); err != nil {
			t.Fatal(err)
		}
	}
}

// Where a forced command takes the place of ours there is no marker, and it must not run
// once more.
// faults.md: S05
func TestForcedCommandsRunOnce(t *testing.T) {
	witness := filepath.Join(t.TempDir(), "witness")
	s := real(t, 2, "true", sshdtest.WithConfig("ForceCommand echo ran >>"+witness))
	r := s.begin(t, run.Remote{KillOnCancel: true})
	if got := outcomes(take(t, r.Results(t.Context(), run.Options{Engine: s.engine}))); got[fleet.OutcomeOK] != 2 {
		t.Errorf("ended %v", got)
	}
	end(t, r, journal.Ending{})
	text, err := os.ReadFile(witness)
	if n, why := r.MarkersLeft(); err != nil || string(text) != "ran\nran\n" || n != 0 {
		t.Errorf("%q, %d markers stay (%v): %v", text, n, why, err)
	}
}

// crash closes the journal as the death of the process would, and opens it anew.
func (s *site) crash(t *testing.T) {
	t.Helper()
	if err := s.journal.Close(); err != nil {
		t.Log(err) // results may be missing
	}
	j, err := journal.Open(t.Context(), s.dir, journal.Options{})
	if err != nil {
		t.Fatal(err)
	}
	s.journal = j
}

// resolved asks the hosts of the last run what became of it, and returns how many it asked
// and what the journal has then.
func (s *site) resolved(t *testing.T) (asked int, result fleet.Result) {
	t.Helper()
	q := s.inquire(t, run.Unresolved)
	for a, err := range q.Resolve(t.Context()) {
		if err != nil || !a.Known {
			t.Errorf("resolving: %+v, %v", a, err)
		}
		asked++
	}
	if err := q.End(0); err != nil {
		t.Fatal(err)
	}
	return asked, s.shown(t, q.Info.Run)[0]
}

// The process dies between each two of these steps: the command ends, its result is in the
// journal, the removal of the marker begins, the marker is gone, the run has ended. What is
// known afterwards is true each time: the command ran.
func TestDeathAroundRemoval(t *testing.T) {
	dir := t.TempDir()
	gate, begun := filepath.Join(dir, "gate"), filepath.Join(dir, "begun")
	// The server stops at the gate before the removal, which is the only command without the
	// word "worked".
	s := real(t, 1, "echo worked; exit 7", sshdtest.WithConfig(fmt.Sprintf(
		`ForceCommand case "$SSH_ORIGINAL_COMMAND" in *worked*) ;; *over?\&\&?rm*) : >%s; while [ ! -e %s ]; do sleep 0.05; done;; esac; eval "$SSH_ORIGINAL_COMMAND"`, begun, gate)))
	for _, death := range []string{"ended", "recorded", "removing", "removed"} {
		t.Run(death, func(t *testing.T) {
			marks := filepath.Join(dir, death)
			for _, name := range []string{gate, begun} {
				if err := os.RemoveAll(name); err != nil {
					t.Fatal(err)
				}
			}
			open := func() {
				if err := os.WriteFile(gate, nil, 0o600); err != nil {
					t.Error(err)
				}
			}
			if death == "removed" {
				open()
			}
			r := s.begin(t, run.Remote{KillOnCancel: true, Dir: marks})
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			e := s.engine
			e.Watch = func(_ *engine.View, step engine.Step) {
				if death == "ended" && step == engine.Ended {
					s.crash(t)
				}
			}
			removing := make(chan struct{}) // closed when the removal has begun and the process is dead
			var began atomic.Bool
			go func() {
				defer close(removing)
				for death == "removing" && t.Context().Err() == nil {
					if _, err := os.Stat(begun); err == nil {
						began.Store(true)
						s.crash(t)
						cancel()
						return
					}
					time.Sleep(time.Millisecond)
				}
			}()
			for _, err := range r.Results(ctx, run.Options{Engine: e}) {
				if err != nil {
					t.Error(err)
				}
				if death == "recorded" {
					s.crash(t)
					break // nothing of the run goes on
				}
			}
			<-removing
			if death == "removed" {
				s.crash(t)
			}
			wantAsked, wantMarks := 0, 1
			switch death {
			case "ended":
				wantAsked = 1
			case "removed":
				wantMarks = 0
			}
			if left := names(t, marks); len(left) != wantMarks || began.Load() != (death == "removing") {
				t.Errorf("%d markers are left, want %d: %v", len(left), wantMarks, left)
			}
			for range 2 {
				asked, res := s.resolved(t)
				if res.Outcome != fleet.OutcomeFailed || res.Status != 7 || asked != wantAsked {
					t.Errorf("%v, status %d, %d hosts were asked; want failed, 7, %d", res.Outcome, res.Status, asked, wantAsked)
				}
				open()        // a removal on its way may arrive after all
				wantAsked = 0 // what was resolved is recorded
			}
		})
	}
}
