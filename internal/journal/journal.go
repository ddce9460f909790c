package journal

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"path/filepath"
	"strconv"
	"sync"
	"time"

	"modernc.org/sqlite"
)

// A Journal is an open database. It is safe for concurrent use. Several Journals may be
// open on one directory, in one process or in several.
type Journal struct {
	dir  string
	opts Options
	// write has one connection, and its transactions take the database's write lock when
	// they begin. The runs of one process take turns by waiting for this connection. read
	// uses snapshots and cannot write.
	write, read *sql.DB // write is nil in a read-only journal
	stmts       statements
	codec       *codec
	schema      int

	mu   sync.Mutex
	runs map[*Run]struct{} // begun here and not ended
}

// setupLock is held while the database is created or migrated to a newer schema.
const setupLock = "setup"

// Open opens the journal in dir. It creates the directory (mode 0700) and the database
// (mode 0600) if they are missing. It refuses a directory or file that other users can
// write to or that belongs to another user, anything but a regular file, a database that
// is not a journal or has a newer schema (ErrNewer), and a file system that is known to be
// shared between machines, such as NFS.
func Open(ctx context.Context, dir string, o Options) (*Journal, error) {
	j, err := open(ctx, dir, o)
	if err != nil {
		return nil, fmt.Errorf("opening the journal: %w", explain(err))
	}
	return j, nil
}

// newJournal returns a journal whose files are not opened yet. It refuses options
// that are not valid, and file systems that machines share.
func newJournal(dir string, o Options) (*Journal, error) {
	if err := o.Validate(); err != nil {
		return nil, err
	}
	dir, err := filepath.Abs(dir)
	if err != nil {
		return nil, err
	}
	o = o.withDefaults()
	if err := refuseShared(dir, o); err != nil {
		return nil, err
	}
	return &Journal{dir: dir, opts: o, runs: make(map[*Run]struct{})}, nil
}

func open(ctx context.Context, dir string, o Options) (_ *Journal, err error) {
	j, err := newJournal(dir, o)
	if err != nil {
		return nil, err
	}
	if err := prepare(j.dir); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, j.closeFiles())
		}
	}()
	if j.codec, err = newCodec(j.opts); err != nil {
		return nil, err
	}
	setup, err := takeLock(j.dir, setupLock, time.Now().Add(j.opts.Wait))
	if err != nil {
		return nil, fmt.Errorf("waiting for others to set it up: %w", err)
	}
	defer func() { err = errors.Join(err, setup.drop()) }()
	if j.write, err = j.connect(1, "immediate"); err != nil {
		return nil, err
	}
	if err := migrate(ctx, j.write); err != nil {
		return nil, err
	}
	if err := j.stmts.prepare(ctx, j.write); err != nil {
		return nil, err
	}
	j.schema = len(migrations)
	j.read, err = j.connect(readers, "deferred")
	return j, err
}

const readers = 4 // connections

// connect returns a pool of connections. The file must exist already, because SQLite would
// create it with other permissions.
func (j *Journal) connect(connections int, begin string) (*sql.DB, error) {
	q := url.Values{
		"mode":          {"rw"},
		"_auto_vacuum":  {"INCREMENTAL"}, // lets Prune return pages to the file system
		"_journal_mode": {"WAL"},
		"_synchronous":  {"FULL"},
		"_busy_timeout": {strconv.FormatInt(j.opts.Wait.Milliseconds(), 10)},
		"_txlock":       {begin},
		"_defensive":    {"1"},
		"_dqs":          {"0"},
		"_error_rc":     {"1"},
		"_pragma": {
			"trusted_schema(0)", "wal_autocheckpoint(4000)",
			"cell_size_check(1)", // report a damaged page as an error
			"temp_store(MEMORY)", // write no temporary files in other directories
			"secure_delete(1)",   // overwrite what Prune removes
			"fullfsync(1)",       // macOS: fsync(2) alone leaves data in the disk's cache
			"checkpoint_fullfsync(1)",
		},
	}
	if j.opts.Durability == ProcessSafe {
		q.Set("_synchronous", "NORMAL")
	}
	if begin == "deferred" {
		q.Set("_query_only", "1")
	}
	if j.opts.maxPages > 0 {
		q.Add("_pragma", fmt.Sprintf("max_page_count(%d)", j.opts.maxPages))
	}
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
		errs = append(errs, r.breakOff())
	}
	errs = append(errs, j.closeFiles())
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("closing the journal: %w", err)
	}
	return nil
}

func (j *Journal) closeFiles() error {
	var errs []error
	errs = append(errs, j.stmts.close())
	for _, db := range []*sql.DB{j.read, j.write} {
		if db != nil {
			errs = append(errs, db.Close())
		}
	}
	if j.codec != nil {
		j.codec.close()
	}
	return errors.Join(errs...)
}

func (j *Journal) register(r *Run) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.runs[r] = struct{}{}
}

func (j *Journal) unregister(r *Run) {
	j.mu.Lock()
	defer j.mu.Unlock()
	delete(j.runs, r)
}
