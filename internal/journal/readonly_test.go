package journal

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
)

// A read-only journal can be read whatever its schema, also next to a writer, and changes
// nothing.
func TestReadOnlyJournal(t *testing.T) {
	dir := unpackJournal(t, "schema1")
	before, err := os.ReadFile(filepath.Join(dir, fileName))
	check(t, err)
	j, err := OpenReadOnly(t.Context(), dir, Options{})
	check(t, err)
	id, err := j.Resolve(t.Context(), "last")
	check(t, err)
	if report, err := j.Verify(t.Context(), id); err != nil || !report.OK() || report.Results != 5 {
		t.Errorf("%+v %v", report, err)
	}
	if got := entries(t, j, id, All); len(got) != 5 {
		t.Errorf("%d entries", len(got))
	}
	if _, err := j.Begin(t.Context(), RunInfo{}, targetsOf(1)); !errors.Is(err, errReadOnly) {
		t.Error(err)
	}
	if _, err := j.Resume(t.Context(), id); !errors.Is(err, errReadOnly) {
		t.Error(err)
	}
	if _, err := j.Prune(t.Context(), Retention{MaxAge: 1, Most: true}); !errors.Is(err, errReadOnly) {
		t.Error(err)
	}
	check(t, j.Close())
	after, err := os.ReadFile(filepath.Join(dir, fileName))
	check(t, err)
	if string(after) != string(before) {
		t.Error("reading has changed the database")
	}

	writer := mustOpen(t, dir, Options{})
	r := mustBegin(t, writer, RunInfo{Settings: &someSettings}, targetsOf(1))
	reader, err := OpenReadOnly(t.Context(), dir, Options{})
	check(t, err)
	if info, err := reader.Run(t.Context(), r.ID()); err != nil || info.State != Running || info.Settings == nil {
		t.Errorf("%+v %v", info, err)
	}
	check(t, errors.Join(reader.Close(), r.End(Ending{})))

	for name, dir := range map[string]string{"no directory": filepath.Join(dir, "none"), "no database": t.TempDir()} {
		if _, err := OpenReadOnly(t.Context(), dir, Options{}); err == nil {
			t.Error(name)
		}
		if _, err := os.Stat(filepath.Join(dir, fileName)); err == nil {
			t.Errorf("%s: a database was made", name)
		}
	}
}
