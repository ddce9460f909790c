package journal

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/quick"

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
		check(t, r.Intend(i, 1))
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

// Every column of every row is changed, one at a time, and every row is removed. Verify
// finds each change, and so do the functions that base decisions on the run.
func TestChangedRowsAreFound(t *testing.T) {
	t.Parallel()
	j := mustOpen(t, t.TempDir(), Options{Durability: ProcessSafe})
	run := sampleRun(t, j)
	n := 0
	for _, table := range []string{"runs", "sessions", "targets", "intents", "results", "contents"} {
		for _, column := range columnsOf(t, j, table) {
			for _, row := range keysOf(t, j, table) {
				if table == "runs" && column == "n" || table != "runs" && column == "run" {
					continue // the row is then another run's; see TestRowsOfAnotherRun
				}
				n++
				change := fmt.Sprintf(`UPDATE %s SET %s = %s WHERE %s`, table, column, changed(column), row)
				expectFound(t, j, run, change)
			}
		}
		for _, row := range keysOf(t, j, table) {
			n++
			expectFound(t, j, run, `DELETE FROM `+table+` WHERE `+row)
		}
	}
	if n < 200 {
		t.Errorf("only %d changes", n)
	}
	if report, err := j.Verify(t.Context(), run); err != nil || !report.OK() {
		t.Errorf("after all was put back: %+v %v", report, err)
	}
}

// changed returns an SQL expression for a different value of the column.
func changed(column string) string {
	null := `'{}'`
	switch column {
	case "ended", "started":
		null = `1`
	case "stdout", "stderr":
		null = `x'00'`
	}
	return fmt.Sprintf(`CASE typeof(%[1]s) WHEN 'integer' THEN %[1]s + 100 WHEN 'text' THEN %[1]s || 'x'
		WHEN 'blob' THEN CAST(substr(%[1]s, 1, length(%[1]s) - 1) ||
			CASE hex(substr(%[1]s, -1)) WHEN '00' THEN x'01' ELSE x'00' END AS BLOB)
		ELSE %[2]s END`, column, null)
}

func columnsOf(t *testing.T, j *Journal, table string) []string {
	t.Helper()
	return texts(t, j, `SELECT name FROM pragma_table_info('`+table+`')`)
}

// keysOf returns an SQL condition for each row.
func keysOf(t *testing.T, j *Journal, table string) []string {
	t.Helper()
	return texts(t, j, `SELECT `+map[string]string{
		"runs":     `'n=' || n`,
		"sessions": `'n=' || n`,
		"targets":  `'idx=' || idx`,
		"intents":  `'seq=' || seq`,
		"results":  `'seq=' || seq`,
		"contents": `'rowid=' || rowid`,
	}[table]+` FROM `+table)
}

func texts(t *testing.T, j *Journal, query string) (all []string) {
	t.Helper()
	all, err := j.queryIDs(t.Context(), query)
	check(t, err)
	return all
}

// expectFound makes the change, checks that it is found, and undoes it.
func expectFound(t *testing.T, j *Journal, run, change string) {
	t.Helper()
	saved := dump(t, j)
	done, err := j.write.Exec(change)
	if err != nil {
		t.Fatalf("%s: %v", change, err)
	}
	if n, _ := done.RowsAffected(); n != 1 {
		t.Fatalf("%s: %d rows", change, n)
	}
	report, err := j.Verify(t.Context(), run)
	gone := strings.HasPrefix(change, "DELETE FROM runs") || strings.Contains(change, "runs SET id")
	if gone && !errors.Is(err, ErrNoRun) || !gone && (err != nil || report.OK()) {
		t.Errorf("%s: not found: %v", change, err)
	}
	inContents := strings.Contains(change, "contents")
	if _, err := j.Select(t.Context(), run, Resumable); err == nil && !inContents {
		t.Errorf("%s: targets were selected all the same", change)
	}
	saved.restore(t, j)
}

// saved is a saved database, by table.
type saved map[string][][]any

func dump(t *testing.T, j *Journal) saved {
	t.Helper()
	s := saved{}
	for _, table := range []string{"runs", "sessions", "targets", "intents", "results", "contents"} {
		rows, err := j.write.Query(`SELECT * FROM ` + table)
		check(t, err)
		names, err := rows.Columns()
		check(t, err)
		s[table] = nil
		for rows.Next() {
			row, into := anyRow(len(names))
			check(t, rows.Scan(into...))
			s[table] = append(s[table], row)
		}
		check(t, errors.Join(rows.Err(), rows.Close()))
	}
	return s
}

func (s saved) restore(t *testing.T, j *Journal) {
	t.Helper()
	tx, err := j.write.Begin()
	check(t, err)
	for table, rows := range s {
		_, err := tx.Exec(`DELETE FROM ` + table)
		check(t, err)
		for _, row := range rows {
			_, err := tx.Exec(`INSERT INTO `+table+` VALUES (?`+strings.Repeat(`,?`, len(row)-1)+`)`, row...)
			check(t, err)
		}
	}
	check(t, tx.Commit())
}

// Rows that are valid in one run are not in another, even if it has the same targets.
func TestRowsOfAnotherRun(t *testing.T) {
	j := mustOpen(t, t.TempDir(), Options{})
	run := sampleRun(t, j)
	sampleRun(t, j)
	for _, table := range []string{"sessions", "targets", "intents", "results"} {
		before := dump(t, j)
		_, err := j.write.Exec(`DELETE FROM ` + table + ` WHERE run = 1; UPDATE ` + table + ` SET run = 1 WHERE run = 2`)
		check(t, err)
		if report, err := j.Verify(t.Context(), run); err != nil || report.OK() {
			t.Errorf("%s: %v", table, err)
		}
		if _, err := j.Resume(t.Context(), run); !errors.Is(err, ErrDamaged) {
			t.Errorf("%s: resumed: %v", table, err)
		}
		before.restore(t, j)
	}
}

func TestSumsTellListsApart(t *testing.T) {
	var s rowSum
	same := func(a, b, c, d string, n int64) bool {
		left, right := []any{a, b, n}, []any{c, d, n}
		return (a == c && b == d) == (string(s.sum(runSum{}, "t", left)) == string(s.sum(runSum{}, "t", right)))
	}
	if err := quick.Check(same, nil); err != nil {
		t.Error(err)
	}
	for _, pair := range [][2][]any{
		{{"ab", "c"}, {"a", "bc"}}, {{"1"}, {int64(1)}}, {{nil}, {""}}, {{nil}, {}}, {{"a"}, {[]byte("a")}},
	} {
		if string(s.sum(runSum{}, "t", pair[0])) == string(s.sum(runSum{}, "t", pair[1])) {
			t.Errorf("%#v and %#v", pair[0], pair[1])
		}
	}
}

// A damaged run does not hide others.
func TestDamagedRunIsNamed(t *testing.T) {
	j := mustOpen(t, t.TempDir(), Options{})
	first := sampleRun(t, j)
	second := sampleRun(t, j)
	_, err := j.write.Exec(`UPDATE runs SET program = 'q' WHERE id = ?`, second)
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
