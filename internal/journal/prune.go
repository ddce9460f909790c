package journal

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"time"

	"shoal/internal/filelock"
)

// Retention says which runs Prune keeps. The zero value keeps all.
type Retention struct {
	// MaxAge is how long after its start a run is kept. 0 means for ever.
	MaxAge time.Duration
	// MaxBytes bounds the size of the database; the oldest runs are removed first. The
	// last run is kept even if it is larger. 0 means no bound.
	MaxBytes int64
	// Interrupted also removes runs that were interrupted or crashed, which a user may
	// still want to resume.
	Interrupted bool
	// Most allows removing runs by age even if that removes most or all runs.
	Most bool
}

// Pruned is what Prune removed.
type Pruned struct {
	Runs  []string // the identifiers, in the order in which the runs began
	Kept  []string // runs that only Retention.Interrupted would have removed
	Bytes int64    // by which the database shrank
}

// ErrMostOld means that more than ten and most of the runs, or all of them, exceed the
// maximum age, which suggests a wrong clock. Nothing was removed.
var ErrMostOld = errors.New("most runs are older than that")

// Prune removes the runs that keep does not cover, together with output that no other run
// has, and returns the space to the file system. It works in small steps so that other
// processes can write in between. It never removes a running run. A run counts as no older
// than the runs begun before it, even if its recorded start time is earlier. If Prune
// fails, the runs listed in Pruned have been removed.
func (j *Journal) Prune(ctx context.Context, keep Retention) (Pruned, error) {
	var p Pruned
	err := j.prune(ctx, keep, &p)
	if err != nil {
		err = fmt.Errorf("pruning the journal: %w", err)
	}
	return p, err
}

// pruneLock is held while Prune works.
const pruneLock = "prune"

func (j *Journal) prune(ctx context.Context, keep Retention, p *Pruned) (err error) {
	if keep.MaxAge < 0 || keep.MaxBytes < 0 {
		return errors.New("a bound of what the journal keeps is negative; 0 means none")
	}
	if j.write == nil {
		return errReadOnly
	}
	l, err := takeLock(j.dir, pruneLock, time.Time{})
	if errors.Is(err, filelock.ErrLocked) {
		return errors.New("another process is pruning it")
	}
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, l.release()) }()
	before, err := j.size(ctx)
	if err != nil {
		return err
	}
	if err := j.removeOrphans(ctx); err != nil { // left by a Prune that was interrupted
		return err
	}
	if err := j.removeRuns(ctx, keep, p); err != nil || len(p.Runs) == 0 {
		return err
	}
	if err := j.shrinkFile(ctx); err != nil {
		return err
	}
	after, err := j.size(ctx)
	p.Bytes = max(0, before-after)
	return err
}

// size returns the size of the database in bytes without free pages.
func (j *Journal) size(ctx context.Context) (size int64, err error) {
	err = j.read.QueryRowContext(ctx, `SELECT (page_count - freelist_count) * page_size
		FROM pragma_page_count, pragma_freelist_count, pragma_page_size`).Scan(&size)
	return size, explain(err)
}

// fewRuns is the number of runs that may be removed by age even if they are most of the
// runs.
const fewRuns = 10

// removeRuns removes the runs that keep does not cover.
func (j *Journal) removeRuns(ctx context.Context, keep Retention, p *Pruned) error {
	ids, err := queryColumn[string](ctx, j.read, `SELECT id FROM runs ORDER BY n`)
	if err != nil {
		return err
	}
	if keep.MaxAge > 0 {
		now := j.opts.Now()
		old, err := queryColumn[string](ctx, j.read, `SELECT id FROM (
			SELECT id, n, max(CASE WHEN started <= ?1 THEN started END) OVER (ORDER BY n) AS begun FROM runs)
			WHERE begun < ?2 ORDER BY n`, now.UnixNano(), now.Add(-keep.MaxAge).UnixNano())
		if err != nil {
			return err
		}
		if n := len(old); !keep.Most && n > 0 && (n == len(ids) || n > fewRuns && 2*n > len(ids)) {
			return fmt.Errorf("%w: %d of %d, and the clock says %s", ErrMostOld, n, len(ids), now.Format(time.RFC1123))
		}
		if err := j.remove(ctx, old, keep, p); err != nil {
			return err
		}
		ids = slices.DeleteFunc(ids, func(id string) bool { return slices.Contains(old, id) })
	}
	for keep.MaxBytes > 0 && len(ids) > 1 {
		if size, err := j.size(ctx); err != nil || size <= keep.MaxBytes {
			return err
		}
		if err := j.remove(ctx, ids[:1], keep, p); err != nil {
			return err
		}
		ids = ids[1:]
	}
	return nil
}

// remove removes the given runs as far as keep allows. The first step of each removes the
// run's own row; if Prune is interrupted later, the next Prune removes the rest.
func (j *Journal) remove(ctx context.Context, ids []string, keep Retention, p *Pruned) error {
	before := len(p.Runs)
	for _, id := range ids {
		if !keep.Interrupted {
			resumable, err := j.resumable(ctx, id)
			if err != nil {
				return err
			}
			if resumable {
				p.Kept = append(p.Kept, id)
				continue
			}
		}
		if err := j.removeRun(ctx, id); err == nil {
			p.Runs = append(p.Runs, id)
		} else if !errors.Is(err, filelock.ErrLocked) {
			return fmt.Errorf("run %s: %w", id, err)
		}
	}
	if len(p.Runs) == before {
		return nil
	}
	return j.removeOrphans(ctx)
}

// resumable reports whether a run was cut short and could still be resumed, or is a rerun
// of such a run, which must not run its targets again. A damaged run cannot be.
func (j *Journal) resumable(ctx context.Context, id string) (bool, error) {
	for seen := make(map[string]bool); !seen[id]; { // a damaged journal may have a circle
		seen[id] = true
		info, err := j.Run(ctx, id)
		switch {
		case errors.Is(err, ErrNoRun), errors.Is(err, ErrDamaged):
			return false, nil
		case err != nil:
			return false, err
		case info.Watch() != "":
			return false, nil
		case info.State == Crashed, info.State == Ended && info.Sessions[len(info.Sessions)-1].Interrupted:
			return true, nil
		case info.Parent == "":
			return false, nil
		}
		id = info.Parent
	}
	return false, nil
}

// removeRun removes the row of a run. It returns filelock.ErrLocked if a process works on it.
func (j *Journal) removeRun(ctx context.Context, id string) (err error) {
	if !validID(id) {
		return fmt.Errorf("%w: %.40q is no identifier of a run", ErrDamaged, id)
	}
	l, err := takeLock(j.dir, id, time.Time{})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, l.release()) }()
	return j.transact(ctx, func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, `DELETE FROM runs WHERE id = ?`, id)
		return err
	})
}

// Each step of Prune holds the write lock for about ten milliseconds.
const (
	stepRows  = 2000    // rows removed per step
	stepBytes = 2 << 20 // bytes of contents removed per step
	stepPages = 256     // pages returned to the file system per step

	stepPause = 10 * time.Millisecond // between two steps
)

// step runs f in a transaction and then pauses for as long as f took, because a process
// that waits for the write lock only polls for it.
func (j *Journal) step(ctx context.Context, f func(*sql.Tx) error) error {
	began := time.Now()
	if err := j.transact(ctx, f); err != nil {
		return err
	}
	select {
	case <-time.After(max(stepPause, time.Since(began))):
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// rowTables are the tables with rows of runs, and the columns that identify a row.
var rowTables = []struct{ name, key string }{
	{"results", "run, idx, seq"}, {"intents", "run, seq"}, {"targets", "run, idx"}, {"sessions", "run, n"}, {"ticks", "run, n"},
}

// removeOrphans removes rows whose run no longer exists, and contents that only they used.
func (j *Journal) removeOrphans(ctx context.Context) error {
	found := false
	for _, table := range rowTables {
		// One index lookup per run.
		orphans, err := queryColumn[int64](ctx, j.read, fmt.Sprintf(`WITH RECURSIVE present(run) AS (
			SELECT min(run) FROM %[1]s
			UNION ALL SELECT (SELECT min(run) FROM %[1]s WHERE run > present.run) FROM present WHERE present.run IS NOT NULL)
			SELECT run FROM present WHERE run IS NOT NULL AND run NOT IN (SELECT n FROM runs)`, table.name))
		if err != nil {
			return err
		}
		text := fmt.Sprintf(`DELETE FROM %[1]s WHERE (%[2]s) IN (SELECT %[2]s FROM %[1]s WHERE run = ? LIMIT %[3]d)`,
			table.name, table.key, stepRows)
		for _, n := range orphans {
			found = true
			if err := j.deleteSteps(ctx, text, n); err != nil {
				return err
			}
		}
	}
	if !found {
		return nil
	}
	return j.removeContents(ctx, `coalesce(used, 0) NOT IN (SELECT n FROM runs)`)
}

// removeContents removes contents that meet the condition and that no row refers to. The search takes long in a large
// journal, so it runs without the write lock. Meanwhile a row may be written that refers
// to contents that were found: its run is then their last user.
func (j *Journal) removeContents(ctx context.Context, unused string) error {
	hashes, err := queryColumn[[]byte](ctx, j.read, `SELECT hash FROM contents WHERE `+unused+` AND hash NOT IN (
		SELECT command FROM targets
		UNION SELECT stdout FROM results WHERE stdout IS NOT NULL
		UNION SELECT stderr FROM results WHERE stderr IS NOT NULL)`)
	if err != nil {
		return err
	}
	for len(hashes) > 0 {
		if err := j.step(ctx, func(tx *sql.Tx) error {
			remove, err := tx.PrepareContext(ctx, `DELETE FROM contents WHERE hash = ? AND `+unused+` RETURNING length(data)`)
			if err != nil {
				return err
			}
			for rows, bytes := 0, 0; rows < stepRows && bytes < stepBytes && len(hashes) > 0; rows++ {
				size := 0
				if err := remove.QueryRowContext(ctx, hashes[0]).Scan(&size); err != nil && !errors.Is(err, sql.ErrNoRows) {
					return err
				}
				hashes, bytes = hashes[1:], bytes+size
			}
			return nil
		}); err != nil {
			return err
		}
	}
	return nil
}

// shrinkFile shortens the database file and overwrites the write-ahead log, which still
// contains the removed data. A reader that is active now keeps the log unchanged; it is
// overwritten later.
func (j *Journal) shrinkFile(ctx context.Context) error {
	for left, free := int64(-1), int64(-2); free != 0 && free != left; {
		left = free
		if err := j.step(ctx, func(tx *sql.Tx) error {
			if err := query(ctx, tx, ignoreRow, fmt.Sprintf(`PRAGMA incremental_vacuum(%d)`, stepPages)); err != nil {
				return err
			}
			return tx.QueryRowContext(ctx, `PRAGMA freelist_count`).Scan(&free)
		}); err != nil {
			return err
		}
	}
	// Truncating the log must not wait for readers, because it would hold the write lock
	// meanwhile.
	db, err := j.connect(1, url.Values{"_busy_timeout": {"0"}})
	if err != nil {
		return err
	}
	if err = query(ctx, db, ignoreRow, `PRAGMA wal_checkpoint(TRUNCATE)`); busy(err) {
		err = nil
	}
	return errors.Join(err, db.Close())
}

// ignoreRow is for pragmas that work row by row.
func ignoreRow(*sql.Rows) error { return nil }
