package journal

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"maps"
	"net/url"
	"path/filepath"
	"strconv"
	"time"

	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"

	"shoal/internal/hint"
)

const readers = 4 // connections

// connect returns a pool of connections with additional parameters. The file must exist
// already, because SQLite would create it with other permissions.
func (j *Journal) connect(connections int, parameters url.Values) (*sql.DB, error) {
	q := url.Values{
		"mode":          {"rw"},
		"_busy_timeout": {strconv.FormatInt(j.opts.Wait.Milliseconds(), 10)},
		"_txlock":       {"deferred"},
		"_defensive":    {"1"},
		"_dqs":          {"0"},
		"_error_rc":     {"1"},
	}
	maps.Copy(q, parameters)
	q["_pragma"] = append(q["_pragma"], "trusted_schema(0)",
		"cell_size_check(1)", // report a damaged page as an error
		"temp_store(MEMORY)") // write no temporary files in other directories
	dsn := url.URL{Scheme: "file", Path: filepath.Join(j.dir, fileName), RawQuery: q.Encode()}
	connector, err := sqlite.NewConnector(dsn.String())
	if err != nil {
		return nil, err
	}
	db := sql.OpenDB(connector)
	db.SetMaxOpenConns(connections)
	db.SetMaxIdleConns(connections)
	return db, nil
}

// transact runs f in a transaction that holds the database's write lock from the start.
func (j *Journal) transact(ctx context.Context, f func(*sql.Tx) error) error {
	var tx *sql.Tx
	if err := j.retryBusy(ctx, tries*j.opts.Wait, func() (err error) {
		tx, err = j.write.BeginTx(ctx, nil)
		return err
	}); err != nil {
		return err
	}
	err := f(tx)
	if err == nil {
		j.opts.hook(stepCommit)
		err = tx.Commit()
	}
	if err != nil {
		// SQLite keeps the transaction open when the disk was too full to commit.
		if undo := tx.Rollback(); undo != nil && !errors.Is(undo, sql.ErrTxDone) {
			err = errors.Join(err, undo)
		}
		return explain(err)
	}
	j.opts.hook(stepCommitted)
	return nil
}

// tries is how many times Options.Wait to wait for the write lock: by default five
// minutes in total.
const tries = 10

// retryBusy repeats f while the database is busy, for wait at most; f has then done
// nothing. Another process that writes for a long time must not end a run, unless
// HurryWith says so.
func (j *Journal) retryBusy(ctx context.Context, wait time.Duration, f func() error) error {
	for waited := j.opts.busyWait(); ; waited += j.opts.busyWait() {
		err := f()
		if err == nil || !busy(err) || waited >= wait || ctx.Err() != nil || j.hurried.Load() {
			return explain(err)
		}
		j.opts.hook(stepBusy)
	}
}

// busyWait is how long SQLite waits for the write lock at a time: at most 1 s, because
// retryBusy can only give up between two tries.
func (o *Options) busyWait() time.Duration { return min(o.Wait, time.Second) }

// HurryWith makes every write try only once more to get the write lock, at most 1 s, when
// hurried is closed: then whoever waits for the end of a run gives up what cannot be
// written. undo ends that.
func (j *Journal) HurryWith(hurried <-chan struct{}) (undo func()) {
	over, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		select {
		case <-hurried:
			j.hurried.Store(true)
		case <-over:
		}
	}()
	return func() { close(over); <-ended }
}

// A querier is a database, a connection or a transaction.
type querier interface {
	QueryContext(ctx context.Context, text string, args ...any) (*sql.Rows, error)
}

// query calls f for each row and ends at its first error.
func query(ctx context.Context, db querier, f func(*sql.Rows) error, text string, args ...any) error {
	rows, err := db.QueryContext(ctx, text, args...)
	if err != nil {
		return explain(err)
	}
	defer func() { _ = rows.Close() }() // rows.Err has its error
	for rows.Next() {
		if err := f(rows); err != nil {
			return err
		}
	}
	return explain(rows.Err())
}

// queryColumn returns the only column of a query.
func queryColumn[T any](ctx context.Context, db querier, text string, args ...any) (all []T, err error) {
	err = query(ctx, db, func(rows *sql.Rows) error {
		var value T
		err := rows.Scan(&value)
		all = append(all, value)
		return err
	}, text, args...)
	return all, err
}

const primary = 0xff // mask for the primary error code; the other bits are details

// busy reports whether err means that another process holds the database's lock.
func busy(err error) bool {
	var e *sqlite.Error
	return errors.As(err, &e) && e.Code()&primary == sqlite3.SQLITE_BUSY
}

// ErrDamaged means that the database file is damaged, or that rows are missing or
// contradict each other. No decision is based on such a run.
var ErrDamaged = errors.New("the journal is damaged")

// explained is an error of SQLite with a hint.
type explained struct{ error }

func (e explained) Unwrap() error { return e.error }

// explain adds a hint to an error of SQLite, and ErrDamaged if it reports damage.
func explain(err error) error {
	var e *sqlite.Error
	var done explained
	if !errors.As(err, &e) || errors.As(err, &done) {
		return err
	}
	code := e.Code()
	if code == sqlite3.SQLITE_IOERR_SHMOPEN || code == sqlite3.SQLITE_IOERR_SHMSIZE {
		code = sqlite3.SQLITE_FULL // the first that needs room when a database is opened
	}
	advice := map[int]string{
		sqlite3.SQLITE_FULL:     "make room on the file system of the state directory, or prune the journal",
		sqlite3.SQLITE_IOERR:    "look at the file system of the state directory, or name another one",
		sqlite3.SQLITE_READONLY: "make the state directory writable, or name another one",
		sqlite3.SQLITE_BUSY:     "another process held the journal for too long",
		sqlite3.SQLITE_CORRUPT:  "move the database away; sqlite3(1) has .recover",
		sqlite3.SQLITE_NOTADB:   "move the file away, or name another state directory",
	}[code&primary]
	switch {
	case advice == "":
		return err
	case code&primary == sqlite3.SQLITE_CORRUPT:
		err = fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	return explained{hint.Wrap(err, advice)}
}
