package journal

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"
)

// A Retention says what is kept. The zero value keeps all.
type Retention struct {
	// MaxAge is how long after its begin a run is kept. 0 means for ever.
	MaxAge time.Duration
	// MaxBytes bounds the database; the oldest runs leave first. The newest run
	// stays even when it is larger. 0 means no bound.
	MaxBytes int64
}

// Pruned is what Prune removed.
type Pruned struct {
	Runs  []string // the identifiers, oldest first
	Bytes int64    // by which the database became smaller
}

// Prune removes runs that need not be kept, with all output that no other run
// has too, and gives their room back to the file system. A run that goes on is
// never removed. Runs that were broken off are: resume them before they are too
// old. After an error, what Pruned tells is gone.
func (j *Journal) Prune(ctx context.Context, keep Retention) (Pruned, error) {
	var p Pruned
	if keep.MaxAge < 0 || keep.MaxBytes < 0 {
		return p, errors.New("a bound of what the journal keeps is negative; 0 means none")
	}
	before, err := j.size(ctx)
	if err == nil {
		err = j.prune(ctx, keep, &p)
	}
	if err == nil && len(p.Runs) > 0 {
		err = j.giveBack(ctx)
	}
	if err == nil {
		var after int64
		after, err = j.size(ctx)
		p.Bytes = max(0, before-after)
	}
	if err != nil {
		return p, fmt.Errorf("pruning the journal: %w", err)
	}
	return p, nil
}

func (j *Journal) prune(ctx context.Context, keep Retention, p *Pruned) error {
	ids, err := j.queryIDs(ctx, `SELECT id FROM runs ORDER BY started, id`)
	if err != nil {
		return err
	}
	if keep.MaxAge > 0 {
		oldest := j.opts.Now().Add(-keep.MaxAge).UnixNano()
		old, err := j.queryIDs(ctx, `SELECT id FROM runs WHERE started < ? ORDER BY started, id`, oldest)
		if err != nil {
			return err
		}
		if err := j.remove(ctx, old, p); err != nil {
			return err
		}
		ids = ids[min(len(old), len(ids)):]
	}
	for keep.MaxBytes > 0 && len(ids) > 1 {
		size, err := j.size(ctx)
		if err != nil {
			return err
		}
		if size <= keep.MaxBytes {
			break
		}
		if err := j.remove(ctx, ids[:1], p); err != nil {
			return err
		}
		ids = ids[1:]
	}
	return nil
}

// size is what the database holds, without pages that are free.
func (j *Journal) size(ctx context.Context) (size int64, err error) {
	err = j.read.QueryRowContext(ctx, `SELECT (page_count - freelist_count) * page_size
		FROM pragma_page_count, pragma_freelist_count, pragma_page_size`).Scan(&size)
	return size, explain(err)
}

// remove removes those of the runs that nobody works on, then what no run refers
// to any more.
func (j *Journal) remove(ctx context.Context, ids []string, p *Pruned) error {
	removed := false
	for _, id := range ids {
		gone, err := j.removeRun(ctx, id)
		if err != nil {
			return fmt.Errorf("run %s: %w", id, err)
		}
		if gone {
			p.Runs = append(p.Runs, id)
			removed = true
		}
	}
	if !removed {
		return nil
	}
	return j.transact(ctx, func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, `DELETE FROM contents WHERE hash NOT IN (
			SELECT command FROM targets
			UNION SELECT stdout FROM results WHERE stdout IS NOT NULL
			UNION SELECT stderr FROM results WHERE stderr IS NOT NULL)`)
		return err
	})
}

// removeRun holds the run's lock meanwhile, so that nobody resumes it.
func (j *Journal) removeRun(ctx context.Context, id string) (gone bool, err error) {
	if !validID(id) {
		return false, fmt.Errorf("%w: %.40q is no identifier of a run", ErrDamaged, id)
	}
	l, err := takeLock(j.dir, id, time.Time{})
	if errors.Is(err, errLocked) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	defer func() { err = errors.Join(err, l.release()) }()
	return true, j.transact(ctx, func(tx *sql.Tx) error {
		for _, table := range []string{"results", "intents", "targets", "sessions"} {
			if _, err := tx.ExecContext(ctx, `DELETE FROM `+table+` WHERE run = (SELECT n FROM runs WHERE id = ?)`, id); err != nil {
				return err
			}
		}
		_, err := tx.ExecContext(ctx, `DELETE FROM runs WHERE id = ?`, id)
		return err
	})
}

// giveBack shortens the file, and overwrites the log, which still has what was
// removed. Somebody who reads at this moment keeps the log as it is; it is
// overwritten later.
func (j *Journal) giveBack(ctx context.Context) error {
	for _, pragma := range []string{`PRAGMA incremental_vacuum`, `PRAGMA wal_checkpoint(TRUNCATE)`} {
		rows, err := j.write.QueryContext(ctx, pragma)
		if err != nil {
			return explain(err)
		}
		for rows.Next() { // incremental_vacuum works as it is stepped
		}
		if err := errors.Join(rows.Err(), rows.Close()); err != nil {
			return explain(err)
		}
	}
	return nil
}
