package journal

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"iter"
	"strconv"
	"strings"
	"time"
)

// A Filter selects runs. The zero value selects all.
type Filter struct {
	// Since and Until bound the start of a run; the zero time means no bound.
	Since, Until time.Time
	// Limit is the maximum number of runs, counted from the latest; 0 means all.
	Limit int
}

// Runs returns the runs in reverse order of their beginning, whatever their clocks said. A
// damaged run is yielded as an error that names it, and the remaining runs follow.
func (j *Journal) Runs(ctx context.Context, f Filter) iter.Seq2[RunInfo, error] {
	return func(yield func(RunInfo, error) bool) {
		ids, err := j.ids(ctx, f)
		if err != nil {
			yield(RunInfo{}, fmt.Errorf("listing runs: %w", err))
			return
		}
		for _, id := range ids {
			info, err := j.Run(ctx, id)
			if errors.Is(err, ErrNoRun) {
				continue // pruned in the meantime
			}
			if err != nil {
				info = &RunInfo{}
				info.Header.Run = id
			}
			if !yield(*info, err) {
				return
			}
		}
	}
}

func (j *Journal) ids(ctx context.Context, f Filter) ([]string, error) {
	query, args := `SELECT id FROM runs WHERE 1`, []any{}
	for _, bound := range []struct {
		text string
		at   time.Time
	}{{` AND started >= ?`, f.Since}, {` AND started <= ?`, f.Until}} {
		if !bound.at.IsZero() {
			query += bound.text
			args = append(args, bound.at.UnixNano())
		}
	}
	query += ` ORDER BY n DESC`
	if f.Limit > 0 {
		query += ` LIMIT ` + strconv.Itoa(f.Limit)
	}
	return j.queryIDs(ctx, query, args...)
}

func (j *Journal) queryIDs(ctx context.Context, query string, args ...any) ([]string, error) {
	rows, err := j.read.QueryContext(ctx, query, args...)
	if err != nil {
		return nil, explain(err)
	}
	defer func() { _ = rows.Close() }() // rows.Err tells
	var ids []string
	for rows.Next() {
		var id string
		if err := rows.Scan(&id); err != nil {
			return nil, err
		}
		ids = append(ids, id)
	}
	return ids, explain(rows.Err())
}

// ErrNoRun means that no run matches; ErrAmbiguous that several do.
var (
	ErrNoRun     = errors.New("no such run")
	ErrAmbiguous = errors.New("several runs are meant")
)

// Resolve returns the identifier of the run that name refers to. A name is a whole
// identifier, a unique prefix, a unique last part, "last" for the run begun last, whatever
// its clock said, or "last-1" for the one before it, and so on.
func (j *Journal) Resolve(ctx context.Context, name string) (string, error) {
	if name == "last" || strings.HasPrefix(name, "last-") {
		return j.resolveLast(ctx, name)
	}
	if name == "" || strings.Trim(name, idDigits+"-") != "" {
		return "", fmt.Errorf("%w: %.40q is not part of an identifier\nhint: last means the newest run", ErrNoRun, name)
	}
	for _, pattern := range []string{name + "*", "*-" + name} {
		ids, err := j.queryIDs(ctx, `SELECT id FROM runs WHERE id GLOB ? ORDER BY id LIMIT 3`, pattern)
		switch {
		case err != nil:
			return "", fmt.Errorf("looking for run %q: %w", name, err)
		case len(ids) == 1:
			return ids[0], nil
		case len(ids) > 1:
			return "", fmt.Errorf("%w by %.40q, such as %s", ErrAmbiguous, name, strings.Join(ids, " and "))
		}
	}
	return "", fmt.Errorf("%w: %.40q", ErrNoRun, name)
}

func (j *Journal) resolveLast(ctx context.Context, name string) (string, error) {
	before := 0
	if back, ok := strings.CutPrefix(name, "last-"); ok {
		n, err := strconv.ParseUint(back, 10, 31)
		if err != nil {
			return "", fmt.Errorf("%w: %.40q\nhint: last-1 is the run before the last", ErrNoRun, name)
		}
		before = int(n)
	}
	ids, err := j.queryIDs(ctx, `SELECT id FROM runs ORDER BY n DESC LIMIT 1 OFFSET ?`, before)
	if err != nil {
		return "", fmt.Errorf("looking for the last run: %w", err)
	}
	if len(ids) == 0 {
		return "", fmt.Errorf("%w: the journal has not that many", ErrNoRun)
	}
	return ids[0], nil
}

// Run returns a run by its whole identifier. The errors are ErrNoRun, ErrDamaged, or
// errors of the database.
func (j *Journal) Run(ctx context.Context, id string) (*RunInfo, error) {
	info, err := j.run(ctx, id)
	if err != nil {
		return nil, fmt.Errorf("reading run %s: %w", id, err)
	}
	return info, nil
}

func (j *Journal) run(ctx context.Context, id string) (*RunInfo, error) {
	going, err := j.isRunning(id)
	if err != nil {
		return nil, err
	}
	tx, err := j.read.BeginTx(ctx, nil)
	if err != nil {
		return nil, explain(err)
	}
	defer func() { _ = tx.Rollback() }() // nothing was written
	return j.readRun(ctx, tx, id, going)
}

// isRunning reports whether a process is working on the run. Call it before reading the
// rows: a run that ends in between then appears as ended, not as crashed.
func (j *Journal) isRunning(id string) (bool, error) {
	if !validID(id) {
		return false, ErrNoRun
	}
	return held(j.dir, id)
}

func (j *Journal) readRun(ctx context.Context, tx *sql.Tx, id string, going bool) (*RunInfo, error) {
	row, err := readRow(ctx, tx, runColumns, j.selectRun(), id)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, ErrNoRun
	}
	if err != nil {
		return nil, err
	}
	info, err := decodeRun(row)
	if err != nil {
		return nil, err
	}
	if info.Run != id {
		return nil, fmt.Errorf("%w: run %s stands under another name", ErrDamaged, id)
	}
	if err := readSessions(ctx, tx, info); err != nil {
		return nil, err
	}
	switch {
	case going && (info.State == Incomplete || info.Ended().IsZero()):
		info.State = Running
	case info.State == Incomplete:
	case info.Ended().IsZero():
		info.State = Crashed
	}
	return info, nil
}

func readRow(ctx context.Context, tx *sql.Tx, columns int, query string, args ...any) ([]any, error) {
	row, into := anyRow(columns)
	err := tx.QueryRowContext(ctx, query, args...).Scan(into...)
	return row, explain(err)
}

// anyRow returns a row of empty values, and the pointers to them for Scan.
func anyRow(columns int) (row, into []any) {
	row, into = make([]any, columns), make([]any, columns)
	for i := range row {
		into[i] = &row[i]
	}
	return row, into
}

func readSessions(ctx context.Context, tx *sql.Tx, info *RunInfo) error {
	rows, err := tx.QueryContext(ctx, selectSessions, info.n)
	if err != nil {
		return explain(err)
	}
	defer func() { _ = rows.Close() }() // rows.Err tells
	row, into := anyRow(sessionColumns)
	var sums rowSum
	for rows.Next() {
		if err := rows.Scan(into...); err != nil {
			return err
		}
		if err := sums.check(info.binding, "sessions", row[1:]); err != nil {
			return err
		}
		s, err := decodeSession(row)
		if err != nil {
			return err
		}
		if int(s.n) != len(info.Sessions)+1 {
			return fmt.Errorf("%w: session %d stands where %d should", ErrDamaged, s.n, len(info.Sessions)+1)
		}
		info.Sessions = append(info.Sessions, s)
	}
	if err := rows.Err(); err != nil {
		return explain(err)
	}
	if len(info.Sessions) == 0 && info.State != Incomplete {
		return fmt.Errorf("%w: no session", ErrDamaged)
	}
	return nil
}
