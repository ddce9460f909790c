package journal

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"strings"
	"testing"
)

// A released migration must not change: existing journals were made by it. Add a line here
// for a new one.
func TestMigrationsStay(t *testing.T) {
	released := []string{"d7301fa09de34e10", "1b72a0dba5e050df"}
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

func TestOptionsAreValidated(t *testing.T) {
	for _, o := range []Options{
		{Durability: ProcessSafe + 1}, {Wait: -1}, {MaxOutput: -1}, {MaxOutput: maxContent + 1}, {MaxQueue: -1}, {MaxQueueBytes: -1},
	} {
		if _, err := Open(context.Background(), t.TempDir(), o); err == nil {
			t.Errorf("%+v", o)
		}
	}
}

// SQLite reports no error for a pragma that had no effect.
func TestPragmas(t *testing.T) {
	for d, synchronous := range map[Durability]string{PowerSafe: "2", ProcessSafe: "1"} {
		j := mustOpen(t, t.TempDir(), Options{Durability: d})
		for pragma, want := range map[string]string{
			"journal_mode": "wal", "synchronous": synchronous, "auto_vacuum": "2", "secure_delete": "1", "temp_store": "2",
			"busy_timeout": "30000", "trusted_schema": "0", "cell_size_check": "1",
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
