package journal

import (
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/hex"
	"errors"
	"io"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"shoal/fleet"
)

// A released migration must not change: existing journals were made by it. Add a line here
// for a new one.
func TestMigrationsStay(t *testing.T) {
	released := []string{"d7301fa09de34e10", "1b72a0dba5e050df", "7b6b59b4961d9b1e", "d78b377ea76c2f56", "757afa9f79785699"}
	if len(released) != len(migrations) {
		t.Fatalf("%d migrations, %d known here", len(migrations), len(released))
	}
	for i, m := range migrations {
		sum := sha256.Sum256([]byte(m))
		if got := hex.EncodeToString(sum[:8]); got != released[i] {
			t.Errorf("migration %d is %s", i+1, got)
		}
	}
}

// faults.md: I13
func TestOtherDatabases(t *testing.T) {
	for name, c := range map[string]struct {
		change string
		is     error
		says   string
	}{
		"newer":           {`PRAGMA user_version = 1000`, ErrNewer, "schema 1000"},
		"another program": {`PRAGMA application_id = 7`, nil, "not a journal"},
		"no version":      {`PRAGMA user_version = 0`, nil, "not a journal"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			j, err := Open(t.Context(), dir, Options{})
			check(t, err)
			_, err = j.write.Exec(c.change)
			check(t, errors.Join(err, j.Close()))
			_, err = Open(t.Context(), dir, Options{})
			if err == nil || c.is != nil && !errors.Is(err, c.is) || !strings.Contains(err.Error(), c.says) {
				t.Error(err)
			}
		})
	}
}

// SQLite reports no error for a pragma that had no effect.
func TestPragmas(t *testing.T) {
	for noSync, synchronous := range map[bool]string{false: "2", true: "1"} {
		j := mustOpen(t, t.TempDir(), Options{noSync: noSync})
		for pragma, want := range map[string]string{
			"journal_mode": "wal", "synchronous": synchronous, "auto_vacuum": "2", "secure_delete": "1", "temp_store": "2",
			"busy_timeout": "1000", "trusted_schema": "0", "cell_size_check": "1",
		} {
			var got string
			check(t, j.write.QueryRow(`PRAGMA `+pragma).Scan(&got))
			if got != want {
				t.Errorf("%s is %s", pragma, got)
			}
		}
		if _, err := j.read.Exec(`DELETE FROM runs`); err == nil {
			t.Error("a reader can write")
		}
	}
}

// unpackJournal creates a state directory with a journal of an older program. schema1 was
// written by revision 8dce720: one run of five targets, "exit {index}", stopped by
// --fail-fast. schema2 was written by revision 5dd43df: see TestJournalsOfSchema2AreRead.
func unpackJournal(t testing.TB, name string) (dir string) {
	t.Helper()
	dir = t.TempDir()
	packed, err := os.Open("testdata/" + name + ".db.gz")
	check(t, err)
	defer func() { _ = packed.Close() }() // only read
	z, err := gzip.NewReader(packed)
	check(t, err)
	f, err := os.OpenFile(filepath.Join(dir, fileName), os.O_CREATE|os.O_WRONLY, fileMode)
	check(t, err)
	_, err = io.Copy(f, z)
	check(t, errors.Join(err, f.Close()))
	return dir
}

func TestJournalsOfSchema1AreRead(t *testing.T) {
	j := mustOpen(t, unpackJournal(t, "schema1"), Options{})
	id, err := j.Resolve(t.Context(), "last")
	check(t, err)
	info, err := j.Run(t.Context(), id)
	check(t, err)
	if info.Program != "shoal 8dce720" || info.Command != "exit {index}" || info.Settings != nil || info.State != Ended {
		t.Errorf("%+v", info)
	}
	var outcomes []string
	for _, e := range entries(t, j, id, All) {
		outcomes = append(outcomes, e.Target.Host.Name+" "+e.Outcome.String())
	}
	want := []string{"127.1.0.1 ok", "127.1.0.2 failed", "127.1.0.3 cancelled", "127.1.0.4 cancelled", "127.1.0.5 cancelled"}
	if !slices.Equal(outcomes, want) {
		t.Errorf("%q", outcomes)
	}
	if report, err := j.Verify(t.Context(), id); err != nil || !report.OK() || report.Results != 5 {
		t.Errorf("%+v %v", report, err)
	}
	r, err := j.Resume(t.Context(), id)
	check(t, err)
	check(t, errors.Join(r.Intend(4, 1, netip.AddrPort{}), r.Result(okResult(targetOf(4), ""))))
	check(t, r.End(Ending{}))
	next := mustBegin(t, j, RunInfo{Settings: &someSettings}, targetsOf(1))
	check(t, next.End(Ending{}))
	for _, run := range []string{id, next.ID()} {
		if report, err := j.Verify(t.Context(), run); err != nil || !report.OK() {
			t.Errorf("%s: %+v %v", run, report, err)
		}
	}
}

// Everything that a journal of schema 2 has is read, also without migrating it.
func TestJournalsOfSchema2AreRead(t *testing.T) {
	jump := fleet.Target{
		Host: fleet.Host{Name: "bastion", User: "jo", Port: 2222}, User: "jo", Port: 2222,
		Route: &fleet.Route{ProxyCommand: []string{"nc", "-x\xff", "a b"}},
	}
	c := fleet.Target{Host: fleet.Host{Name: "c"}, Index: 2, Route: &fleet.Route{Address: "10.0.0.3", HostKeyAlias: "cc", Via: &jump}}
	last := okResult(c, "at last")
	want := []fleet.Result{
		{
			Target: fleet.Target{Host: fleet.Host{Name: "a", User: "root", Port: 2200}, User: "root", Port: 2200, Command: "echo a"},
			End: fleet.End{
				Outcome: fleet.OutcomeFailed, Phase: fleet.PhaseDrain, Status: 0xC0000005,
				Flags: fleet.FlagExitKnown | fleet.FlagOutputTruncated,
			},
			Attempt: 3, Started: day0, Took: fleet.Durations{1: 1, 2: 2, 11: 1 << 60},
			Stdout: fleet.Output{Bytes: bytes.Repeat([]byte("all work and no play\n"), 100), Size: 1 << 40},
			Stderr: fleet.Output{Bytes: []byte{0, 0xff, '\n'}, Size: 3},
		},
		{
			Target: fleet.Target{Host: fleet.Host{Name: "fe80::1%eth0"}, Index: 1, User: "ops", Port: 22, Command: "echo \xff\x00 b"},
			End:    fleet.End{Outcome: fleet.OutcomeSignalled, Phase: fleet.PhaseRun, Signal: "K\x1b\x00\xfeLL", Flags: fleet.FlagExitKnown},
		},
		last,
		{
			Target: fleet.Target{Host: fleet.Host{Name: "d"}, Index: 7},
			End:    fleet.End{Outcome: fleet.OutcomeUnknown, Reason: fleet.ReasonTimeout, Phase: fleet.PhaseRun, Err: errors.New("")}, Attempt: 1,
			Started: day0.Add(time.Nanosecond),
		},
		{
			Target: fleet.Target{Host: fleet.Host{Name: "e"}, Index: 8}, Attempt: 1,
			End: fleet.End{Outcome: fleet.OutcomeUnknown, Reason: fleet.ReasonInterrupted, Phase: fleet.PhaseExec},
		},
		{
			Target: fleet.Target{Host: fleet.Host{Name: "f"}, Index: 9},
			End:    fleet.End{Outcome: fleet.OutcomeCancelled, Reason: fleet.ReasonInterrupted},
		},
	}
	for name, open := range map[string]func(context.Context, string, Options) (*Journal, error){"Open": Open, "OpenReadOnly": OpenReadOnly} {
		j, err := open(t.Context(), unpackJournal(t, "schema2"), Options{})
		check(t, err)
		id, err := j.Resolve(t.Context(), "last-1")
		check(t, err)
		info, err := j.Run(t.Context(), id)
		check(t, err)
		if d := cmp.Diff(&someSettings, info.Settings); d != "" || info.State != Crashed || info.Command != "echo {x}\x00\xff" {
			t.Errorf("%s: %+v\n%s", name, info, d)
		}
		if s := info.Sessions; len(s) != 2 || s[0].Ending != (Ending{true, 4, "stopped"}) || !s[1].Ended.IsZero() {
			t.Errorf("%s: %+v", name, s)
		}
		var got []fleet.Result
		all := entries(t, j, id, All)
		for _, e := range all {
			got = append(got, e.Result)
		}
		if d := cmp.Diff(want, got, sameResult); d != "" {
			t.Errorf("%s (-want +got):\n%s", name, d)
		}
		for index, want := range map[int][]int{0: {0}, 2: {1}, 4: {1}, 5: nil} {
			if got := info.SessionsOf(&all[index]); !slices.Equal(got, want) {
				t.Errorf("%s: entry %d was sent in %v, want %v", name, index, got, want)
			}
		}
		if report, err := j.Verify(t.Context(), id); err != nil || !report.OK() || report.Results != 5 || len(report.Unresolved) != 1 {
			t.Errorf("%s: %+v %v", name, report, err)
		}
		hidden, err := j.Select(t.Context(), mustResolve(t, j, "last"), All)
		if err != nil || len(hidden) != 2 || hidden[0].Command != "" {
			t.Errorf("%s: %+v %v", name, hidden, err)
		}
		if name == "Open" {
			r, err := j.Resume(t.Context(), id)
			check(t, err)
			check(t, errors.Join(r.Intend(9, 1, netip.AddrPort{}), r.Result(okResult(got[5].Target, "now")), r.End(Ending{})))
			if e := entries(t, j, id, All)[5]; string(e.Stdout.Bytes) != "now" || e.Progress != Done {
				t.Errorf("%+v", e)
			}
			now, err := j.Run(t.Context(), id)
			check(t, err)
			if got := now.SessionsOf(&all[4]); !slices.Equal(got, []int{1}) {
				t.Errorf("after another session: %v", got)
			}
		}
		check(t, j.Close())
	}
}

func mustResolve(t *testing.T, j *Journal, name string) string {
	t.Helper()
	id, err := j.Resolve(t.Context(), name)
	check(t, err)
	return id
}

// A process that is killed while it migrates a journal leaves it as it was.
func TestKilledWhileMigrating(t *testing.T) {
	for at := 1; at <= 4; at++ {
		dir := unpackJournal(t, "schema2")
		if d := runChild(t, dir, at, 0); d.run != "" || d.complete {
			t.Fatalf("step %d: %+v", at, d)
		}
		old, err := OpenReadOnly(t.Context(), dir, Options{})
		check(t, err)
		if old.schema != 2 {
			t.Errorf("step %d: schema %d", at, old.schema)
		}
		check(t, old.Close())
		j := mustOpen(t, dir, Options{})
		if got := entries(t, j, mustResolve(t, j, "last-1"), All); len(got) != 6 || j.schema != len(migrations) {
			t.Errorf("step %d: %d entries of schema %d", at, len(got), j.schema)
		}
	}
}

// A program of schema 2 that has begun a run before a newer one migrates the journal goes
// on writing with the statements that it has prepared.
func TestOlderProgramGoesOnWriting(t *testing.T) {
	dir := unpackJournal(t, "schema2")
	db, err := sql.Open("sqlite", filepath.Join(dir, fileName))
	check(t, err)
	defer func() { check(t, db.Close()) }()
	hash := sha256.Sum256([]byte("late"))
	var statements []*sql.Stmt
	for _, text := range []string{
		`INSERT OR IGNORE INTO contents (hash, size, coding, data) VALUES (?, ?, ?, ?)`,
		`INSERT INTO intents (run, seq, idx, attempt, at, sum) VALUES (?, ?, ?, ?, ?, ?)`,
		`INSERT INTO results (run, idx, seq, attempt, outcome, reason, phase, flags, status, signal,
			error, started, took, stdout, stdout_size, stderr, stderr_size, sum)
			VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
		`UPDATE sessions SET seq = ?, sum = ? WHERE run = ? AND n = ?`,
		`UPDATE sessions SET ended = ?, interrupted = ?, exit = ?, error = ?, sum = ? WHERE run = ? AND n = ?`,
	} {
		stmt, err := db.Prepare(text)
		check(t, err)
		statements = append(statements, stmt)
	}
	j := mustOpen(t, dir, Options{})
	sum := make([]byte, 16)
	for i, args := range [][]any{
		{hash[:], 4, "raw", []byte("late")},
		{1, 11, 9, 1, day0.UnixNano(), sum},
		{1, 9, 12, 1, "ok", "", "drain", "exit_known", 0, "", nil, day0.UnixNano(), `{"run":3}`, hash[:], 4, nil, 0, sum},
		{12, sum, 1, 2},
		{day0.UnixNano(), 0, 0, "", sum, 1, 2},
	} {
		_, err := statements[i].Exec(args...)
		check(t, err)
	}
	id := mustResolve(t, j, "last-1")
	if e := entries(t, j, id, All)[5]; string(e.Stdout.Bytes) != "late" || e.Took[fleet.PhaseRun] != 3 {
		t.Errorf("%+v", e)
	}
	if report, err := j.Verify(t.Context(), id); err != nil || !report.OK() {
		t.Errorf("%+v %v", report, err)
	}
}

// Queries by hand have the main facts in columns, and the rest in the record.
func TestColumnsForQueries(t *testing.T) {
	j := mustOpen(t, t.TempDir(), Options{})
	check(t, everyKind(t, j).End(Ending{}))
	var got string
	check(t, j.read.QueryRow(`SELECT group_concat(host || ' ' || outcome || ' ' || reason || ' ' || phase || ' ' || status || ' ' || signal, ', ')
		FROM results JOIN targets USING (run, idx) WHERE outcome IN ('failed', 'signalled', 'refused')`).Scan(&got))
	want := "node00001.example.org failed  drain 3 , node00002.example.org signalled  drain 0 HUP, " +
		"node00004.example.org refused exec_refused exec 0 "
	if got != want {
		t.Errorf("%q, want %q", got, want)
	}
	check(t, j.read.QueryRow(`SELECT record ->> 'outcome' FROM results WHERE idx = 1`).Scan(&got))
	if got != "failed" {
		t.Error(got)
	}
}
