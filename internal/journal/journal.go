package journal

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"time"

	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"
)

// Options configure a journal. The zero value is right for programs.
type Options struct {
	// Wait bounds the wait for other processes that write. 0 means 30 s. Transactions that
	// must not fail, such as those with intents, wait ten times as long.
	Wait time.Duration
	// Now returns the current time. nil means time.Now.
	Now func() time.Time

	// The following fields are for tests. 0 means the constant of this name; nil means
	// that there is no hook, and sharedFilesystem.
	compressAbove, maxOutput, maxQueue, maxQueueBytes int

	noSync     bool // let the kernel write when it likes
	maxPages   int  // bounds the size of the database in pages; 0 means no bound
	hook       func(step)
	filesystem func(dir string) (string, error)
}

const (
	defaultWait = 30 * time.Second

	// compressAbove is the size in bytes above which contents are compressed.
	compressAbove = 2 << 10
	// maxOutput is the number of bytes kept of each stream. Longer output is cut at its
	// end, and the result has fleet.FlagOutputTruncated.
	maxOutput = 64 << 20
	// maxQueue is the number of results, and maxQueueBytes the size of their output, that
	// may wait for the disk before Result waits.
	maxQueue      = 1024
	maxQueueBytes = 16 << 20
)

// A step is a point in the writing at which tests end the process.
type step uint8

const (
	stepLocked    step = iota // the run's lock is held, nothing of the run is written
	stepRow                   // a row was written inside a transaction
	stepCommit                // a transaction is about to be committed
	stepCommitted             // it was committed, and no caller knows yet
	stepBusy                  // others held the write lock for all of Options.Wait
	stepEnded                 // the run's end is committed, its lock is still held
)

func (o Options) withDefaults() Options {
	for field, standard := range map[*int]int{
		&o.compressAbove: compressAbove, &o.maxOutput: maxOutput, &o.maxQueue: maxQueue, &o.maxQueueBytes: maxQueueBytes,
	} {
		if *field == 0 {
			*field = standard
		}
	}
	if o.Wait == 0 {
		o.Wait = defaultWait
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.filesystem == nil {
		o.filesystem = sharedFilesystem
	}
	if o.hook == nil {
		o.hook = func(step) {}
	}
	return o
}

// A Journal is an open database. It is safe for concurrent use. Several Journals may be
// open on one directory, in one process or in several.
type Journal struct {
	dir  string
	opts Options
	// write has one connection, and its transactions take the database's write lock when
	// they begin. The runs of one process take turns by waiting for this connection. It is
	// nil in a read-only journal. read uses snapshots and cannot write.
	write, read *sql.DB
	// The statements of write that are run often: preparing them costs more than running
	// them.
	insertTarget, insertContent, insertIntent, insertResult *sql.Stmt

	compression *compression
	schema      int

	mu   sync.Mutex
	runs map[*Run]struct{} // begun or resumed here and not ended
}

var errReadOnly = errors.New("the journal is open for reading only")

// setupLock is held while the database is created or migrated to a newer schema.
const setupLock = "setup"

// Open opens the journal in dir. It creates the directory (mode 0700) and the database
// (mode 0600) if they are missing. It refuses a directory or file that other users can
// write to or that belongs to another user, anything but a regular file, a database that
// is not a journal or has a newer schema (ErrNewer), and a file system that is known to be
// shared between machines, such as NFS.
func Open(ctx context.Context, dir string, o Options) (*Journal, error) {
	j, err := newJournal(dir, o)
	if err == nil {
		err = j.open(ctx)
	}
	if err != nil {
		return nil, fmt.Errorf("opening the journal: %w", explain(err))
	}
	return j, nil
}

// OpenReadOnly opens an existing journal for reading when Open fails because nothing can
// be written: the file system is full or read-only. It creates nothing and does not
// migrate an older schema. Methods that write return an error.
func OpenReadOnly(ctx context.Context, dir string, o Options) (*Journal, error) {
	j, err := newJournal(dir, o)
	if err == nil {
		err = j.openReadOnly(ctx)
	}
	if err != nil {
		return nil, fmt.Errorf("opening the journal for reading: %w", explain(err))
	}
	return j, nil
}

// newJournal returns a journal whose files are not opened yet. It refuses file systems
// that machines share.
func newJournal(dir string, o Options) (*Journal, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return nil, err
	}
	o = o.withDefaults()
	if err := refuseShared(dir, o.filesystem); err != nil {
		return nil, err
	}
	return &Journal{dir: dir, opts: o, runs: make(map[*Run]struct{})}, nil
}

func (j *Journal) open(ctx context.Context) (err error) {
	if err := prepareFiles(j.dir); err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, j.closeFiles())
		}
	}()
	if j.compression, err = newCompression(j.opts.compressAbove); err != nil {
		return err
	}
	setup, err := takeLock(j.dir, setupLock, time.Now().Add(j.opts.Wait))
	if err != nil {
		return fmt.Errorf("waiting for others to set it up: %w", err)
	}
	defer func() { err = errors.Join(err, setup.drop()) }()
	synchronous := "FULL"
	if j.opts.noSync {
		synchronous = "NORMAL"
	}
	if j.write, err = j.connect(1, url.Values{
		"_auto_vacuum":  {"INCREMENTAL"}, // lets Prune return pages to the file system
		"_journal_mode": {"WAL"},
		"_synchronous":  {synchronous},
		"_txlock":       {"immediate"},
		"_pragma": {
			"wal_autocheckpoint(4000)",
			"secure_delete(1)", // overwrite what Prune removes
			"fullfsync(1)",     // macOS: fsync(2) alone leaves data in the disk's cache
			"checkpoint_fullfsync(1)",
			fmt.Sprintf("max_page_count(%d)", j.opts.maxPages),
		},
	}); err != nil {
		return err
	}
	if err := j.migrate(ctx); err != nil {
		return err
	}
	j.schema = len(migrations)
	for text, stmt := range map[string]**sql.Stmt{
		insertTarget: &j.insertTarget, insertContent: &j.insertContent, insertIntent: &j.insertIntent, insertResult: &j.insertResult,
	} {
		if *stmt, err = j.write.PrepareContext(ctx, text); err != nil {
			return err
		}
	}
	j.read, err = j.connect(readers, url.Values{"_journal_mode": {"WAL"}, "_query_only": {"1"}})
	return err
}

func (j *Journal) openReadOnly(ctx context.Context) error {
	info, err := os.Stat(j.dir)
	if err != nil {
		return err
	}
	if err := errors.Join(guard(j.dir, info), guardDatabase(j.dir)); err != nil {
		return err
	}
	if j.compression, err = newCompression(j.opts.compressAbove); err != nil {
		return err
	}
	// The usual way needs space for the index of the log, journal.db-shm. A single
	// connection with an exclusive lock keeps it in its own memory. Without a log the
	// database is complete, and no process can be writing without the index.
	other, connections := url.Values{"_query_only": {"1"}, "_pragma": {"locking_mode(EXCLUSIVE)"}}, 1
	log, err := os.Lstat(filepath.Join(j.dir, fileName+"-wal"))
	if errors.Is(err, fs.ErrNotExist) || err == nil && log.Size() == 0 {
		other, connections = url.Values{"_query_only": {"1"}, "mode": {"ro"}, "immutable": {"1"}}, readers
	}
	usual := j.readSchema(ctx, readers, url.Values{"_query_only": {"1"}})
	if usual == nil || j.readSchema(ctx, connections, other) == nil {
		return nil
	}
	return errors.Join(usual, j.closeFiles()) // the other error only matters if the usual way is impossible
}

// readSchema opens the database for reading and reads its schema version.
func (j *Journal) readSchema(ctx context.Context, connections int, parameters url.Values) (err error) {
	if j.read, err = j.connect(connections, parameters); err != nil {
		return err
	}
	tx, err := j.read.BeginTx(ctx, nil)
	if err == nil {
		j.schema, err = schemaVersion(ctx, tx)
		_ = tx.Rollback() // nothing was written
	}
	if err == nil && j.schema == 0 {
		err = errors.New("the journal is empty")
	}
	if err != nil {
		_ = j.read.Close() // nothing was written
		j.read = nil
	}
	return err
}

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
	for key, values := range parameters {
		q[key] = values
	}
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

// Close closes the journal. Runs that were begun here and have not ended become Crashed;
// what they wrote remains.
func (j *Journal) Close() error {
	j.mu.Lock()
	var open []*Run
	for r := range j.runs {
		open = append(open, r)
	}
	j.mu.Unlock()
	var errs []error
	for _, r := range open {
		errs = append(errs, r.abandon())
	}
	errs = append(errs, j.closeFiles())
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("closing the journal: %w", err)
	}
	return nil
}

func (j *Journal) closeFiles() error {
	var errs []error
	for _, db := range []*sql.DB{j.read, j.write} {
		if db != nil {
			errs = append(errs, db.Close())
		}
	}
	if j.compression != nil {
		j.compression.close()
	}
	return errors.Join(errs...)
}

// transact runs f in a transaction that holds the database's write lock from the start.
func (j *Journal) transact(ctx context.Context, f func(*sql.Tx) error) error {
	var tx *sql.Tx
	if err := j.retryBusy(ctx, func() (err error) {
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

// tries is the number of attempts to get the write lock. Each waits for Options.Wait:
// by default five minutes in total.
const tries = 10

// retryBusy repeats f while the database is busy; f has then done nothing. Another
// process that writes for a long time must not end a run.
func (j *Journal) retryBusy(ctx context.Context, f func() error) error {
	for try := 1; ; try++ {
		err := f()
		if err == nil || !busy(err) || try == tries || ctx.Err() != nil {
			return explain(err)
		}
		j.opts.hook(stepBusy)
	}
}

// queryColumn returns the only column of a query.
func queryColumn[T any](ctx context.Context, db *sql.DB, query string, args ...any) ([]T, error) {
	rows, err := db.QueryContext(ctx, query, args...)
	if err != nil {
		return nil, explain(err)
	}
	defer func() { _ = rows.Close() }() // rows.Err has its error
	var all []T
	for rows.Next() {
		var value T
		if err := rows.Scan(&value); err != nil {
			return nil, err
		}
		all = append(all, value)
	}
	return all, explain(rows.Err())
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
type explained struct{ err error }

func (e *explained) Error() string { return e.err.Error() }
func (e *explained) Unwrap() error { return e.err }

// explain adds a hint to an error of SQLite, and ErrDamaged if it reports damage.
func explain(err error) error {
	var e *sqlite.Error
	var done *explained
	if !errors.As(err, &e) || errors.As(err, &done) {
		return err
	}
	code := e.Code()
	switch code {
	case sqlite3.SQLITE_IOERR_SHMOPEN, sqlite3.SQLITE_IOERR_SHMSIZE:
		code = sqlite3.SQLITE_FULL // the first that needs room when a database is opened
	}
	hint := map[int]string{
		sqlite3.SQLITE_FULL:     "make room on the file system of the state directory, or prune the journal",
		sqlite3.SQLITE_IOERR:    "look at the file system of the state directory, or name another one",
		sqlite3.SQLITE_READONLY: "make the state directory writable, or name another one",
		sqlite3.SQLITE_BUSY:     "another process held the journal for too long",
		sqlite3.SQLITE_CORRUPT:  "move the database away; sqlite3(1) has .recover",
		sqlite3.SQLITE_NOTADB:   "move the file away, or name another state directory",
	}[code&primary]
	switch {
	case hint == "":
		return err
	case code&primary == sqlite3.SQLITE_CORRUPT:
		err = fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	return &explained{fmt.Errorf("%w\nhint: %s", err, hint)}
}
