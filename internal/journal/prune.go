package journal

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"time"
)

// A Retention says what is kept. The zero value keeps all.
type Retention struct {
	// MaxAge is how long after its begin a run is kept. 0 means for ever.
	MaxAge time.Duration
	// MaxBytes bounds the database; the runs that were begun first leave first.
	// The last one stays even when it is larger. 0 means no bound.
	MaxBytes int64
	// Interrupted also lets runs leave that were interrupted or broken off, and so
	// may be waiting to be resumed.
	Interrupted bool
	// Most lets runs leave that are too old even when that is most runs, or all.
	Most bool
}

// Pruned is what Prune removed.
type Pruned struct {
	Runs  []string // the identifiers, in the order of their beginning
	Kept  []string // the runs that would have left, had Retention.Interrupted been set
	Bytes int64    // by which the database became smaller
}

// ErrMostOld says that most runs, more than ten or all that there are, are older
// than they may be, as when a clock is wrong. Nothing was removed.
var ErrMostOld = errors.New("most runs are older than that")

// Prune removes runs that need not be kept, with all output that no other run
// has too, and gives their room back to the file system. It works in small steps,
// between which others write. A run that goes on is never removed. How old a run
// is, the runs before it say too: it began no earlier than they did. After an
// error, what Pruned tells is gone.
func (j *Journal) Prune(ctx context.Context, keep Retention) (Pruned, error) {
	var p Pruned
	if keep.MaxAge < 0 || keep.MaxBytes < 0 {
		return p, errors.New("a bound of what the journal keeps is negative; 0 means none")
	}
	if j.write == nil {
		return p, errReadOnly
	}
	before, err := j.size(ctx)
	if err == nil {
		err = j.prune(ctx, keep, &p)
	}
	if err == nil && len(p.Runs) > 0 {
		err = j.shrinkFile(ctx)
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

// fewRuns may leave without being asked about, though most do.
const fewRuns = 10

func (j *Journal) prune(ctx context.Context, keep Retention, p *Pruned) error {
	if err := j.removeOrphans(ctx); err != nil { // of a Prune that was broken off
		return err
	}
	ids, err := j.queryIDs(ctx, `SELECT id FROM runs ORDER BY n`)
	if err != nil {
		return err
	}
	if keep.MaxAge > 0 {
		now := j.opts.Now()
		old, err := j.queryIDs(ctx, `SELECT id FROM (
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
		size, err := j.size(ctx)
		if err != nil {
			return err
		}
		if size <= keep.MaxBytes {
			break
		}
		if err := j.remove(ctx, ids[:1], keep, p); err != nil {
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

// remove removes those of the runs that may leave, then what no run refers to any
// more.
func (j *Journal) remove(ctx context.Context, ids []string, keep Retention, p *Pruned) error {
	removed := false
	for _, id := range ids {
		if !keep.Interrupted {
			waits, err := j.waits(ctx, id)
			if err != nil {
				return fmt.Errorf("run %s: %w", id, err)
			}
			if waits {
				p.Kept = append(p.Kept, id)
				continue
			}
		}
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
	return j.sweep(ctx)
}

// waits reports whether a run was cut short and may be waiting to be resumed. One
// that is damaged cannot be.
func (j *Journal) waits(ctx context.Context, id string) (bool, error) {
	info, err := j.run(ctx, id)
	switch {
	case errors.Is(err, ErrNoRun), errors.Is(err, ErrDamaged):
		return false, nil
	case err != nil:
		return false, err
	case info.State == Crashed:
		return true, nil
	}
	last := len(info.Sessions) - 1
	return info.State == Ended && last >= 0 && info.Sessions[last].Interrupted, nil
}

// removeRun holds the run's lock meanwhile, so that nobody resumes it. The run is
// gone with the first step: what is left when Prune is broken off, the next one
// removes.
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
	var n int64
	err = j.transact(ctx, func(tx *sql.Tx) error {
		return tx.QueryRowContext(ctx, `DELETE FROM runs WHERE id = ? RETURNING n`, id).Scan(&n)
	})
	if errors.Is(err, sql.ErrNoRows) {
		return false, nil // somebody else has removed it
	}
	if err != nil {
		return false, err
	}
	return true, j.removeRows(ctx, n)
}

// Each step of Prune holds the write lock for some ten milliseconds.
const (
	stepRows  = 2000    // removed at once
	stepBytes = 2 << 20 // of contents, removed at once
	stepPages = 256     // given back at once

	minPause = 10 * time.Millisecond // between two steps
)

// step is one step of Prune and the pause after it, as long as the step was: who
// waits for the lock asks for it now and then only.
func (j *Journal) step(ctx context.Context, f func(*sql.Tx) error) error {
	began := time.Now()
	if err := j.transact(ctx, f); err != nil {
		return err
	}
	return pause(ctx, time.Since(began))
}

func pause(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(max(minPause, d))
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// rowTables are the tables with rows of runs, and what tells those of one run
// apart.
var rowTables = []struct{ name, key string }{
	{"results", "run, idx, seq"}, {"intents", "run, seq"}, {"targets", "run, idx"}, {"sessions", "run, n"},
}

// removeRows removes all of a run but its row in runs, in steps.
func (j *Journal) removeRows(ctx context.Context, n int64) error {
	for _, table := range rowTables {
		query := fmt.Sprintf(`DELETE FROM %[1]s WHERE (%[2]s) IN (SELECT %[2]s FROM %[1]s WHERE run = ? LIMIT %[3]d)`,
			table.name, table.key, stepRows)
		for removed := int64(stepRows); removed == stepRows; {
			if err := j.step(ctx, func(tx *sql.Tx) error {
				done, err := tx.ExecContext(ctx, query, n)
				if err == nil {
					removed, err = done.RowsAffected()
				}
				return err
			}); err != nil {
				return err
			}
		}
	}
	return nil
}

// removeOrphans removes rows of runs that are gone.
func (j *Journal) removeOrphans(ctx context.Context) error {
	found := false
	for _, table := range rowTables {
		// One look into the index for each run.
		rows, err := j.read.QueryContext(ctx, fmt.Sprintf(`WITH RECURSIVE known(run) AS (
			SELECT min(run) FROM %[1]s
			UNION ALL SELECT (SELECT min(run) FROM %[1]s WHERE run > known.run) FROM known WHERE known.run IS NOT NULL)
			SELECT run FROM known WHERE run IS NOT NULL AND run NOT IN (SELECT n FROM runs)`, table.name))
		if err != nil {
			return explain(err)
		}
		var orphans []int64
		for rows.Next() {
			var n int64
			if err := rows.Scan(&n); err != nil {
				return errors.Join(err, rows.Close())
			}
			orphans = append(orphans, n)
		}
		if err := errors.Join(rows.Err(), rows.Close()); err != nil {
			return explain(err)
		}
		for _, n := range orphans {
			if err := j.removeRows(ctx, n); err != nil {
				return err
			}
			found = true
		}
	}
	if !found {
		return nil
	}
	return j.sweep(ctx)
}

// sweep removes contents to which no row refers. To look for them takes long in a
// large journal, and is done without the write lock; each step then spares what
// rows that were written since refer to.
func (j *Journal) sweep(ctx context.Context) error {
	s := sweeping{live: make(map[[sha256.Size]byte]struct{})}
	if err := j.look(ctx, &s); err != nil {
		return err
	}
	for len(s.dead) > 0 {
		if err := j.step(ctx, func(tx *sql.Tx) error { return s.step(ctx, tx) }); err != nil {
			return err
		}
	}
	return nil
}

// A sweeping is a sweep that goes on.
type sweeping struct {
	dead []content                      // without their data
	live map[[sha256.Size]byte]struct{} // to what rows refer that came since
	seen map[int64]progress             // how far each run was when they were looked for
}

// A progress is how far a run has come.
type progress struct {
	sealed bool // all its targets are there
	seq    int64
}

// look finds what is dead, as of one moment.
func (j *Journal) look(ctx context.Context, s *sweeping) error {
	tx, err := j.read.BeginTx(ctx, nil)
	if err != nil {
		return explain(err)
	}
	defer func() { _ = tx.Rollback() }() // nothing was written
	if s.seen, err = progressOf(ctx, tx); err != nil {
		return err
	}
	rows, err := tx.QueryContext(ctx, `SELECT hash, length(data) FROM contents WHERE hash NOT IN (
		SELECT command FROM targets
		UNION SELECT stdout FROM results WHERE stdout IS NOT NULL
		UNION SELECT stderr FROM results WHERE stderr IS NOT NULL)`)
	if err != nil {
		return explain(err)
	}
	defer func() { _ = rows.Close() }() // rows.Err tells
	for rows.Next() {
		var hash []byte
		var k content
		if err := rows.Scan(&hash, &k.size); err != nil {
			return err
		}
		copy(k.hash[:], hash)
		s.dead = append(s.dead, k)
	}
	return explain(rows.Err())
}

func progressOf(ctx context.Context, tx *sql.Tx) (map[int64]progress, error) {
	rows, err := tx.QueryContext(ctx, `SELECT n, targets IS NOT NULL,
		coalesce((SELECT max(seq) FROM sessions WHERE run = runs.n), 0) FROM runs`)
	if err != nil {
		return nil, explain(err)
	}
	defer func() { _ = rows.Close() }() // rows.Err tells
	all := make(map[int64]progress)
	for rows.Next() {
		var n int64
		var p progress
		if err := rows.Scan(&n, &p.sealed, &p.seq); err != nil {
			return nil, err
		}
		all[n] = p
	}
	return all, explain(rows.Err())
}

// step removes some of what is dead.
func (s *sweeping) step(ctx context.Context, tx *sql.Tx) error {
	now, err := progressOf(ctx, tx)
	if err != nil {
		return err
	}
	for n, p := range now {
		if err := s.spare(ctx, tx, n, s.seen[n], p); err != nil {
			return err
		}
	}
	s.seen = now
	remove, err := tx.PrepareContext(ctx, `DELETE FROM contents WHERE hash = ?`)
	if err != nil {
		return err
	}
	for rows, bytes := 0, 0; rows < stepRows && bytes < stepBytes && len(s.dead) > 0; s.dead = s.dead[1:] {
		k := &s.dead[0]
		if _, live := s.live[k.hash]; live {
			continue
		}
		if _, err := remove.ExecContext(ctx, k.hash[:]); err != nil {
			return err
		}
		rows, bytes = rows+1, bytes+k.size
	}
	return nil
}

// spare adds what the rows refer to that a run has written between two moments.
func (s *sweeping) spare(ctx context.Context, tx *sql.Tx, n int64, then, now progress) error {
	if !then.sealed {
		if err := s.add(ctx, tx, `SELECT DISTINCT command, NULL FROM targets WHERE run = ?`, n); err != nil {
			return err
		}
	}
	if now.seq > then.seq {
		return s.add(ctx, tx, `SELECT stdout, stderr FROM results WHERE run = ? AND seq > ?`, n, then.seq)
	}
	return nil
}

func (s *sweeping) add(ctx context.Context, tx *sql.Tx, query string, args ...any) error {
	rows, err := tx.QueryContext(ctx, query, args...)
	if err != nil {
		return err
	}
	defer func() { _ = rows.Close() }() // rows.Err tells
	for rows.Next() {
		var hashes [2][]byte
		if err := rows.Scan(&hashes[0], &hashes[1]); err != nil {
			return err
		}
		for _, h := range hashes {
			if len(h) == sha256.Size {
				s.live[[sha256.Size]byte(h)] = struct{}{}
			}
		}
	}
	return rows.Err()
}

// shrinkFile shortens the file, and overwrites the log, which still has what was
// removed. Somebody who reads at this moment keeps the log as it is; it is
// overwritten later.
func (j *Journal) shrinkFile(ctx context.Context) error {
	for left := int64(-1); ; {
		began := time.Now()
		if err := pragma(ctx, j, j.write, fmt.Sprintf(`PRAGMA incremental_vacuum(%d)`, stepPages)); err != nil {
			return err
		}
		j.opts.hook(stepCommitted)
		var free int64
		if err := j.write.QueryRowContext(ctx, `PRAGMA freelist_count`).Scan(&free); err != nil {
			return explain(err)
		}
		if free == 0 || free == left {
			break
		}
		left = free
		if err := pause(ctx, time.Since(began)); err != nil {
			return err
		}
	}
	return j.truncateLog(ctx)
}

// truncateLog does not wait for readers: it would have the write lock meanwhile.
func (j *Journal) truncateLog(ctx context.Context) (err error) {
	c, err := j.write.Conn(ctx) // nobody else's while it does not wait
	if err != nil {
		return explain(err)
	}
	defer func() { err = errors.Join(err, c.Close()) }()
	if err := pragma(ctx, j, c, `PRAGMA wal_checkpoint(PASSIVE)`); err != nil {
		return err
	}
	if err := pragma(ctx, j, c, `PRAGMA busy_timeout(0)`); err != nil {
		return err
	}
	defer func() {
		text := fmt.Sprintf(`PRAGMA busy_timeout(%d)`, j.opts.Wait.Milliseconds())
		err = errors.Join(err, pragma(context.WithoutCancel(ctx), j, c, text))
	}()
	if err := pragma(ctx, j, c, `PRAGMA wal_checkpoint(TRUNCATE)`); err != nil && !busy(err) {
		return err
	}
	return nil
}

// pragma runs a pragma to its end: incremental_vacuum works as it is stepped.
func pragma(ctx context.Context, j *Journal, db interface {
	QueryContext(context.Context, string, ...any) (*sql.Rows, error)
}, text string,
) error {
	return j.patiently(ctx, func() error {
		rows, err := db.QueryContext(ctx, text)
		if err != nil {
			return explain(err)
		}
		for rows.Next() {
		}
		return explain(errors.Join(rows.Err(), rows.Close()))
	})
}
