package journal

import (
	"database/sql"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"shoal/fleet"
)

// Once whoever waits is in a hurry, a write that meets another process is given up after
// one more try, and what is lost is told.
func TestBusyInAHurry(t *testing.T) {
	dir := t.TempDir()
	other := mustOpen(t, dir, Options{})
	hurried, met := make(chan struct{}), 0
	var j *Journal
	j = mustOpen(t, dir, Options{Wait: time.Millisecond, hook: func(s step) {
		if s != stepBusy {
			return
		}
		if met++; met == 2 {
			close(hurried)
			for !j.hurried.Load() {
				time.Sleep(time.Millisecond)
			}
		}
	}})
	defer j.HurryWith(hurried)()
	r := mustBegin(t, j, RunInfo{}, targetsOf(1))
	check(t, r.Intend(0, 1, netip.AddrPort{}))
	held, err := other.write.BeginTx(t.Context(), nil)
	check(t, err)
	defer func() { check(t, held.Rollback()) }()
	check(t, r.Result(okResult(targetOf(0), "")))
	if err := r.End(Ending{}); err == nil || met != 2 || !strings.Contains(err.Error(), "1 results are not in the journal") {
		t.Errorf("met %d times: %v", met, err)
	}
}

// Opening waits for all of Options.Wait, not just for one try.
func TestOpenWhileBusy(t *testing.T) {
	dir := t.TempDir()
	held, err := mustOpen(t, dir, Options{}).write.BeginTx(t.Context(), nil)
	check(t, err)
	met := 0
	mustOpen(t, dir, Options{Wait: time.Minute, hook: func(s step) {
		if s == stepBusy {
			met++
			check(t, held.Rollback())
		}
	}})
	if met != 1 {
		t.Errorf("met %d times", met)
	}
}

// A process that holds the write lock for longer than Options.Wait does not end a run
// (audit P14), but one that never releases it does.
func TestBusyIsTriedAgain(t *testing.T) {
	dir := t.TempDir()
	other := mustOpen(t, dir, Options{})
	var held *sql.Tx
	hold := func() {
		var err error
		held, err = other.write.BeginTx(t.Context(), nil)
		check(t, err)
	}
	release := func() { check(t, held.Rollback()) }
	met, until := 0, 3
	j := mustOpen(t, dir, Options{Wait: time.Millisecond, hook: func(s step) {
		if s != stepBusy {
			return
		}
		if met++; met == until {
			release()
		}
	}})
	hold()
	r := mustBegin(t, j, RunInfo{}, targetsOf(3))
	if met != 3 {
		t.Errorf("met %d times", met)
	}
	for i, write := range []func() error{
		func() error { return r.Intend(0, 1, netip.AddrPort{}) },
		func() error { return errors.Join(r.Result(okResult(targetOf(0), "")), r.Flush()) },
	} {
		met = 0
		hold()
		if err := write(); err != nil || met != 3 {
			t.Errorf("%d: met %d times: %v", i, met, err)
		}
	}
	met, until = 0, tries+1
	hold()
	if err := r.Intend(1, 1, netip.AddrPort{}); err == nil || met != tries-1 || !strings.Contains(err.Error(), "hint: another process") {
		t.Errorf("met %d times: %v", met, err)
	}
	release()
	if err := r.End(Ending{}); err == nil {
		t.Error("End does not report the intent that failed")
	}
}

// Others write between any two steps of Prune, and contents that they write stay even if
// they were about to be removed (audit P14).
func TestOthersWriteWhilePruning(t *testing.T) {
	const targets = 5000
	dir, now := t.TempDir(), day0
	tick := func() time.Time { return now }
	writer := mustOpen(t, dir, Options{Wait: time.Millisecond, noSync: true, Now: tick})
	output := func(i int) string { return fmt.Sprintf("output %d ", i) + strings.Repeat("x", 1000) }
	old := mustBegin(t, writer, RunInfo{}, targetsOf(targets))
	for i := range targets {
		check(t, old.Result(okResult(targetOf(i), output(i))))
	}
	check(t, old.End(Ending{}))
	now = now.Add(time.Hour)
	running := mustBegin(t, writer, RunInfo{}, targetsOf(1000))
	next, began := 0, []string{}
	pruning := false
	pruner := mustOpen(t, dir, Options{noSync: true, Now: tick, hook: func(s step) {
		if s != stepCommitted || !pruning {
			return
		}
		// Contents that are swept last, and contents in the middle of the sweep.
		res := okResult(targetOf(next), output(targets-1-next))
		check(t, errors.Join(running.Intend(next, 1, netip.AddrPort{}), running.Result(res), running.Flush()))
		target := targetOf(0)
		target.Command = output(targets/2 + next)
		r := mustBegin(t, writer, RunInfo{}, slices.Values([]fleet.Target{target}))
		check(t, r.End(Ending{}))
		began = append(began, r.ID())
		next++
	}})
	pruning = true
	p, err := pruner.Prune(t.Context(), Retention{MaxAge: time.Minute})
	pruning = false
	check(t, err)
	if !slices.Equal(p.Runs, []string{old.ID()}) || next < 3*targets/stepRows {
		t.Errorf("%+v in %d steps", p, next)
	}
	check(t, running.End(Ending{}))
	for _, run := range append(began, running.ID()) {
		if report, err := pruner.Verify(t.Context(), run); err != nil || !report.OK() {
			t.Errorf("%s: %+v %v", run, report, err)
		}
	}
	if got := entries(t, pruner, running.ID(), All)[2]; string(got.Stdout.Bytes) != output(targets-3) {
		t.Errorf("output %.20q", got.Stdout.Bytes)
	}
	var left int
	check(t, pruner.read.QueryRow(`SELECT count(*) FROM contents`).Scan(&left))
	if want := 2*next + 1; left != want {
		t.Errorf("%d contents are left, want %d", left, want)
	}
}

// A Prune removes what an interrupted Prune has left.
func TestPruneContinues(t *testing.T) {
	dir, now := t.TempDir(), day0
	steps := 0
	j := mustOpen(t, dir, Options{Now: func() time.Time { return now }, hook: func(s step) {
		if s == stepCommitted && steps > 0 {
			if steps--; steps == 0 {
				panic("interrupted")
			}
		}
	}})
	old := mustBegin(t, j, RunInfo{}, targetsOf(20))
	check(t, errors.Join(old.Intend(3, 1, netip.AddrPort{}), old.Result(okResult(targetOf(3), "something")), old.End(Ending{})))
	now = now.Add(time.Hour)
	last := mustBegin(t, j, RunInfo{}, targetsOf(1))
	check(t, last.End(Ending{}))
	func() {
		defer func() { _ = recover() }()
		steps = 2
		_, _ = j.Prune(t.Context(), Retention{MaxAge: time.Minute})
		t.Error("Prune was not interrupted")
	}()
	if _, err := j.Run(t.Context(), old.ID()); !errors.Is(err, ErrNoRun) {
		t.Error(err)
	}
	_, err := j.Prune(t.Context(), Retention{})
	check(t, err)
	for _, table := range rowTables {
		var n int
		check(t, j.read.QueryRow(`SELECT count(*) FROM `+table.name+` WHERE run NOT IN (SELECT n FROM runs)`).Scan(&n))
		if n != 0 {
			t.Errorf("%d rows of table %s are left", n, table.name)
		}
	}
	var contents int
	check(t, j.read.QueryRow(`SELECT count(*) FROM contents`).Scan(&contents))
	if contents != 1 { // the command
		t.Errorf("%d contents are left", contents)
	}
}

// Runs that may be waiting to be resumed are kept unless Retention.Interrupted is set.
func TestPruneKeepsWhatCanBeResumed(t *testing.T) {
	now := day0
	j := mustOpen(t, t.TempDir(), Options{Now: func() time.Time { return now }})
	var ids []string
	for i := range 4 {
		r := mustBegin(t, j, RunInfo{}, targetsOf(2))
		switch i {
		case 0:
			check(t, r.End(Ending{Interrupted: true}))
		case 1:
			check(t, r.abandon())
		default:
			check(t, r.End(Ending{}))
		}
		ids = append(ids, r.ID())
		now = now.Add(time.Hour)
	}
	for _, keep := range []Retention{{MaxAge: 2*time.Hour - time.Minute}, {MaxBytes: 1}} {
		p, err := j.Prune(t.Context(), keep)
		check(t, err)
		want := ids[2:3]
		if keep.MaxAge == 0 {
			want = nil
		}
		if !slices.Equal(p.Kept, ids[:2]) || !slices.Equal(p.Runs, want) {
			t.Errorf("%+v: %+v", keep, p)
		}
	}
	p, err := j.Prune(t.Context(), Retention{MaxAge: time.Hour + time.Minute, Interrupted: true})
	check(t, err)
	if !slices.Equal(p.Runs, ids[:2]) || p.Kept != nil {
		t.Errorf("%+v", p)
	}
}

// A rerun is kept while the run whose targets it has taken can be resumed.
func TestPruneKeepsReruns(t *testing.T) {
	now := day0
	j := mustOpen(t, t.TempDir(), Options{Now: func() time.Time { return now }})
	var ids []string
	for _, parent := range []int{-1, 0, 1, -1, 3, -1} {
		info := RunInfo{}
		if parent >= 0 {
			info.Parent = ids[parent]
		}
		r := mustBegin(t, j, info, targetsOf(2))
		check(t, r.End(Ending{Interrupted: len(ids) == 0}))
		ids = append(ids, r.ID())
		now = now.Add(time.Hour)
	}
	p, err := j.Prune(t.Context(), Retention{MaxAge: time.Hour + time.Minute})
	check(t, err)
	if !slices.Equal(p.Kept, ids[:3]) || !slices.Equal(p.Runs, ids[3:5]) {
		t.Errorf("%+v of %v", p, ids)
	}
}

// Runs that are reruns of each other, which only a damaged journal has, are pruned as others.
func TestPruneACircle(t *testing.T) {
	j := mustOpen(t, t.TempDir(), Options{})
	var ids []string
	for range 2 {
		r := mustBegin(t, j, RunInfo{}, targetsOf(1))
		ids = append(ids, r.ID())
		check(t, r.End(Ending{}))
	}
	for i, id := range ids { // as a damaged journal may have it
		_, err := j.write.ExecContext(t.Context(), `UPDATE runs SET parent = ? WHERE id = ?`, ids[1-i], id)
		check(t, err)
	}
	if p, err := j.Prune(t.Context(), Retention{MaxBytes: 1}); err != nil || len(p.Runs) != 1 {
		t.Errorf("%+v, %v", p, err)
	}
}

// A clock that is wrong when a run begins, or when Prune runs, does not make runs old
// (audit P5).
// faults.md: R15
func TestPruneAfterAClockStep(t *testing.T) {
	now := day0
	j := mustOpen(t, t.TempDir(), Options{Now: func() time.Time { return now }})
	const day = 24 * time.Hour
	var ids []string
	for _, at := range []time.Duration{0, 100 * day, 5000 * day, -10000 * day, 101 * day} {
		now = day0.Add(at)
		r := mustBegin(t, j, RunInfo{}, targetsOf(1))
		check(t, r.End(Ending{}))
		ids = append(ids, r.ID())
	}
	now = day0.Add(102 * day)
	p, err := j.Prune(t.Context(), Retention{MaxAge: 90 * day})
	check(t, err)
	if !slices.Equal(p.Runs, ids[:1]) {
		t.Errorf("%+v, of %q", p, ids)
	}
	for range fewRuns { // together with the earlier runs, most runs
		check(t, mustBegin(t, j, RunInfo{}, targetsOf(0)).End(Ending{}))
	}
	now = day0.Add(6000 * day)
	check(t, mustBegin(t, j, RunInfo{}, targetsOf(0)).End(Ending{}))
	if p, err := j.Prune(t.Context(), Retention{MaxAge: 90 * day}); !errors.Is(err, ErrMostOld) || p.Runs != nil {
		t.Errorf("%+v %v", p, err)
	}
	now = day0.Add(20000 * day)
	if p, err := j.Prune(t.Context(), Retention{MaxAge: 90 * day}); !errors.Is(err, ErrMostOld) || p.Runs != nil {
		t.Errorf("%+v %v", p, err)
	}
	if p, err := j.Prune(t.Context(), Retention{MaxAge: 90 * day, Most: true}); err != nil || len(p.Runs) != len(ids)+fewRuns {
		t.Errorf("%+v %v", p, err)
	}
}

// Only one process prunes at a time.
func TestOnePruneAtATime(t *testing.T) {
	dir := t.TempDir()
	j := mustOpen(t, dir, Options{})
	check(t, mustBegin(t, j, RunInfo{}, targetsOf(1)).End(Ending{}))
	l, err := takeLock(dir, pruneLock, time.Time{})
	check(t, err)
	keep := Retention{MaxAge: 1, Most: true}
	if p, err := j.Prune(t.Context(), keep); err == nil || !strings.Contains(err.Error(), "another process is pruning") || p.Runs != nil {
		t.Errorf("%+v %v", p, err)
	}
	check(t, l.release())
	if p, err := j.Prune(t.Context(), keep); err != nil || len(p.Runs) != 1 {
		t.Errorf("%+v %v", p, err)
	}
}

// Contents of older programs, of which no last user is known, stay as long as a row refers
// to them.
func TestPruneAfterMigration(t *testing.T) {
	j := mustOpen(t, unpackJournal(t, "schema2"), Options{})
	kept, removed := mustResolve(t, j, "last-1"), mustResolve(t, j, "last")
	r := mustBegin(t, j, RunInfo{}, targetsOf(1))
	check(t, errors.Join(r.Intend(0, 1, netip.AddrPort{}), r.Result(okResult(targetOf(0), "at last")), r.End(Ending{}))) // an output that the kept run has too
	p, err := j.Prune(t.Context(), Retention{MaxAge: 1, Most: true})
	check(t, err)
	if !slices.Equal(p.Runs, []string{removed, r.ID()}) || !slices.Equal(p.Kept, []string{kept}) {
		t.Errorf("%+v", p)
	}
	if report, err := j.Verify(t.Context(), kept); err != nil || !report.OK() || report.Contents != 6 {
		t.Errorf("%+v %v", report, err)
	}
	var contents int
	check(t, j.read.QueryRow(`SELECT count(*) FROM contents`).Scan(&contents))
	if contents != 6 {
		t.Errorf("%d contents", contents)
	}
}
