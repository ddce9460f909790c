package journal

import (
	"bytes"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"shoal/fleet"
	"shoal/record"
)

// sampleRun has every kind of row.
func sampleRun(t testing.TB, j *Journal) string {
	t.Helper()
	r := mustBegin(t, j, RunInfo{
		Header: record.Header{Program: "p", Command: "c", Fanout: 3}, Options: map[string]string{"a": "b"},
	}, targetsOf(6))
	for i := range 5 {
		check(t, r.Intend(i, 1, netip.AddrPort{}))
		res := okResult(targetOf(i), strings.Repeat(fmt.Sprint("line of ", i%2), 400))
		res.Stderr = fleet.Output{Bytes: []byte("oops"), Size: 4}
		if i == 3 {
			res.End = fleet.End{Outcome: fleet.OutcomeSignalled, Signal: "KILL", Flags: fleet.FlagExitKnown, Err: errors.New("e")}
		}
		if i < 4 {
			check(t, r.Result(res))
		}
	}
	check(t, r.End(Ending{}))
	return r.ID()
}

// Verify finds rows that are missing, contradict each other or cannot be read. A run that
// has lost what a decision needs is neither resumed nor selected from.
// faults.md: I13
func TestDamageIsFound(t *testing.T) {
	for name, c := range map[string]struct {
		change   string
		finding  string
		readable bool // Select and Resume do not depend on it
	}{
		"a target is missing":            {`DELETE FROM targets WHERE idx = 5`, "5 targets of 6", false},
		"a target with an intent":        {`DELETE FROM targets WHERE idx = 4`, "no target 4 for an intent", false},
		"a target with a result":         {`DELETE FROM targets WHERE idx = 2; DELETE FROM intents WHERE idx = 2`, "no target for 1 results", false},
		"the sessions are missing":       {`DELETE FROM sessions`, "0 sessions", false},
		"a session is missing":           {`UPDATE sessions SET n = 2`, "session 1 is missing", false},
		"the end of Begin is missing":    {`UPDATE runs SET targets = NULL`, "1 sessions", false},
		"a command is missing":           {`DELETE FROM contents WHERE data = CAST('uptime' AS BLOB)`, "is missing", false},
		"a record is cut":                {`UPDATE results SET record = substr(record, 1, 30) WHERE idx = 1`, "the result of target 1", false},
		"an outcome is unknown":          {`UPDATE results SET record = replace(record, 'ok', 'perhaps') WHERE idx = 1`, "unknown outcome", false},
		"the settings are cut":           {`UPDATE runs SET settings = '{'`, "settings", false},
		"the options are cut":            {`UPDATE runs SET options = '{'`, "options", false},
		"an intent is missing":           {`DELETE FROM intents WHERE idx = 0`, "target 0 ran without an intent", false},
		"an output is missing":           {`DELETE FROM contents WHERE data = CAST('oops' AS BLOB)`, "is missing", true},
		"an output is changed":           {`UPDATE contents SET data = CAST('oopt' AS BLOB) WHERE size = 4`, "not what its hash says", true},
		"an output has another size":     {`UPDATE contents SET size = 1 << 40 WHERE size = 4`, "content of 1099511627776 bytes", true},
		"an output has another encoding": {`UPDATE contents SET coding = 'lz' WHERE size = 4`, "unknown coding", true},
	} {
		t.Run(name, func(t *testing.T) {
			j := mustOpen(t, t.TempDir(), Options{noSync: true})
			run := sampleRun(t, j)
			_, err := j.write.Exec(c.change)
			check(t, err)
			report, err := j.Verify(t.Context(), run)
			check(t, err)
			if text := fmt.Sprint(report.Problems); !strings.Contains(text, c.finding) {
				t.Errorf("found %s, want %q", text, c.finding)
			}
			targets, err := j.Select(t.Context(), run, Resumable)
			if c.readable != (err == nil && len(targets) == 1) || !c.readable && !errors.Is(err, ErrDamaged) {
				t.Errorf("selected %v: %v", targets, err)
			}
			r, err := j.Resume(t.Context(), run)
			if c.readable != (err == nil) || err != nil && !errors.Is(err, ErrDamaged) {
				t.Errorf("resumed: %v", err)
			}
			if r != nil {
				check(t, r.End(Ending{}))
			}
		})
	}
}

// Intents and results that are missing are found wherever they were, in a run that ended,
// crashed or was resumed, and in one of an older program. Its commands are not run again.
func TestMissingRowsAreFound(t *testing.T) {
	deletions := map[string]string{
		"nothing":             ``,
		"an intent":           `DELETE FROM intents WHERE seq = (SELECT seq FROM intents LIMIT 1 OFFSET 1)`,
		"a result":            `DELETE FROM results WHERE idx = 1`,
		"all of a target":     `DELETE FROM intents WHERE idx = 1; DELETE FROM results WHERE idx = 1`,
		"the first row":       `DELETE FROM intents WHERE seq = 1`,
		"the last row":        `DELETE FROM intents WHERE seq = (SELECT max(seq) FROM sessions); DELETE FROM results WHERE seq = (SELECT max(seq) FROM sessions)`,
		"the last rows":       `DELETE FROM intents WHERE seq > 4; DELETE FROM results WHERE seq > 4`,
		"all intents":         `DELETE FROM intents`,
		"all results":         `DELETE FROM results`,
		"all of both":         `DELETE FROM intents; DELETE FROM results`,
		"the last session":    `DELETE FROM sessions WHERE n > 1 AND n = (SELECT max(n) FROM sessions)`,
		"one replaced result": `DELETE FROM results WHERE seq IN (SELECT min(seq) FROM results GROUP BY idx HAVING count(*) > 1)`,
	}
	for kind, c := range map[string]struct {
		write  func(t *testing.T) (dir, run string)
		intact []string // deletions that find no row
	}{
		"ended": {func(t *testing.T) (string, string) {
			dir := t.TempDir()
			return dir, sampleRun(t, mustOpen(t, dir, Options{noSync: true}))
		}, []string{"the last session", "one replaced result"}},
		"crashed": {func(t *testing.T) (string, string) {
			dir := t.TempDir()
			j, err := Open(t.Context(), dir, Options{noSync: true})
			check(t, err)
			r := mustBegin(t, j, RunInfo{}, targetsOf(4))
			for i := range 3 {
				check(t, errors.Join(r.Intend(i, 1, netip.AddrPort{}), r.Result(okResult(targetOf(i), "")), r.Flush()))
			}
			check(t, j.Close())
			return dir, r.ID()
		}, []string{"the last session", "one replaced result"}},
		"resumed": {func(t *testing.T) (string, string) {
			dir := t.TempDir()
			j := mustOpen(t, dir, Options{noSync: true})
			run := sampleRun(t, j)
			for range 2 { // each answers for target 4 anew, as resolve does
				other := mustOpen(t, dir, Options{noSync: true})
				r, err := other.Resume(t.Context(), run)
				check(t, err)
				check(t, errors.Join(r.Result(okResult(targetOf(4), "")), r.End(Ending{})))
			}
			return dir, run
		}, nil},
		"schema 2": {func(t *testing.T) (string, string) {
			dir := unpackJournal(t, "schema2")
			return dir, mustResolve(t, mustOpen(t, dir, Options{noSync: true}), "last-1")
		}, nil},
	} {
		for name, change := range deletions {
			t.Run(kind+"/"+name, func(t *testing.T) {
				dir, run := c.write(t)
				j := mustOpen(t, dir, Options{noSync: true})
				_, err := j.write.Exec(change)
				check(t, err)
				intact := name == "nothing" || slices.Contains(c.intact, name)
				report, err := j.Verify(t.Context(), run)
				check(t, err)
				if report.OK() != intact {
					t.Errorf("found %q", report.Problems)
				}
				_, failure := j.Select(t.Context(), run, Resumable)
				r, err := j.Resume(t.Context(), run)
				for what, err := range map[string]error{"Select": failure, "Resume": err} {
					if intact != (err == nil) || !intact && (!errors.Is(err, ErrDamaged) || !strings.Contains(err.Error(), "\nhint: ")) {
						t.Errorf("%s: %v", what, err)
					}
				}
				if r != nil {
					check(t, r.End(Ending{}))
				}
				old, err := OpenReadOnly(t.Context(), dir, Options{})
				check(t, err)
				defer func() { check(t, old.Close()) }()
				if _, err := old.Select(t.Context(), run, All); intact != (err == nil) {
					t.Errorf("for reading only: %v", err)
				}
			})
		}
	}
}

// Pages that a disk has overwritten are reported as damage.
// faults.md: I13
func TestDamagedPagesAreFound(t *testing.T) {
	dir := t.TempDir()
	j, err := Open(t.Context(), dir, Options{})
	check(t, err)
	run := sampleRun(t, j)
	check(t, j.Close())
	path := filepath.Join(dir, fileName)
	intact, err := os.ReadFile(path)
	check(t, err)
	const page = 4096
	found := 0
	for at := page; at < len(intact); at += page {
		damaged := bytes.Clone(intact)
		copy(damaged[at:at+page], bytes.Repeat([]byte{0xa5}, page))
		check(t, os.WriteFile(path, damaged, fileMode))
		j, err := Open(t.Context(), dir, Options{})
		if err != nil {
			if !errors.Is(err, ErrDamaged) {
				t.Errorf("page %d: %v", at/page, err)
			}
			found++
			continue
		}
		report, err := j.Verify(t.Context(), run)
		if err != nil || report.OK() {
			t.Errorf("page %d: %+v %v", at/page, report, err)
		} else {
			found++
		}
		check(t, j.Close())
	}
	if found < 8 { // the tables and their indexes
		t.Errorf("only %d pages", found)
	}
}

// Patterns of hosts have no sets.
func TestPatternsOfHosts(t *testing.T) {
	j := mustOpen(t, t.TempDir(), Options{})
	id := sampleRun(t, j)
	o, err := j.Outline(t.Context(), id)
	check(t, err)
	host := strings.SplitN(o.Hosts[0], ":", 2)[0]
	for pattern, want := range map[string]int{host: 1, host[:1] + "*": 1, "?" + host[1:]: 1, "[" + host[:1] + "]" + host[1:]: 0, "[!_]*": 0} {
		n := 0
		for _, err := range j.Runs(t.Context(), Filter{Hosts: []string{pattern}}) {
			check(t, err)
			n++
		}
		if n != want {
			t.Errorf("%q: %d runs, want %d", pattern, n, want)
		}
	}
}

// A damaged run does not hide others.
func TestDamagedRunIsNamed(t *testing.T) {
	j := mustOpen(t, t.TempDir(), Options{})
	first := sampleRun(t, j)
	second := sampleRun(t, j)
	_, err := j.write.Exec(`UPDATE runs SET options = '{' WHERE id = ?`, second)
	check(t, err)
	got := map[string]bool{}
	for info, err := range j.Runs(t.Context(), Filter{}) {
		got[info.Run] = errors.Is(err, ErrDamaged)
	}
	if len(got) != 2 || got[first] || !got[second] {
		t.Error(got)
	}
	if report, err := j.Verify(t.Context(), second); err != nil || report.OK() {
		t.Error(report, err)
	}
}
