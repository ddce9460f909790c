package journal

import (
	"cmp"
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
	"sync/atomic"
	"time"

	"shoal/internal/plainfile"
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
	maxQueue, maxQueueBytes int

	noSync     bool // let the kernel write when it likes
	maxPages   int  // bounds the size of the database in pages; 0 means no bound
	hook       func(step)
	filesystem func(dir string) (string, error)
}

const (
	defaultWait = 30 * time.Second

	// MaxOutput is the number of bytes kept of each stream. Longer output is cut at its
	// end, and the result has fleet.FlagOutputTruncated.
	MaxOutput = 64 << 20
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
	stepBusy                  // others held the write lock during one try
	stepEnded                 // the run's end is committed, its lock is still held
)

func (o Options) withDefaults() Options {
	o.Wait = cmp.Or(o.Wait, defaultWait)
	o.maxQueue = cmp.Or(o.maxQueue, maxQueue)
	o.maxQueueBytes = cmp.Or(o.maxQueueBytes, maxQueueBytes)
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
	insertTarget, insertContent, insertIntent, insertResult, updateSeq *sql.Stmt

	compression *compression
	schema      int

	hurried atomic.Bool // set by HurryWith

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
	return newJournal(ctx, dir, o, "opening the journal", (*Journal).open)
}

// OpenReadOnly opens an existing journal for reading when Open fails because nothing can
// be written: the file system is full or read-only. It creates nothing and does not
// migrate an older schema. Methods that write return an error.
func OpenReadOnly(ctx context.Context, dir string, o Options) (*Journal, error) {
	return newJournal(ctx, dir, o, "opening the journal for reading", (*Journal).openReadOnly)
}

func newJournal(ctx context.Context, dir string, o Options, doing string, open func(*Journal, context.Context) error) (*Journal, error) {
	o = o.withDefaults()
	j := &Journal{opts: o, compression: newCompression(), runs: make(map[*Run]struct{})}
	var err error
	if j.dir, err = filepath.Abs(dir); err == nil {
		err = refuseShared(j.dir, o.filesystem)
	}
	if err == nil {
		err = open(j, ctx)
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", doing, explain(errors.Join(err, j.closeFiles())))
	}
	return j, nil
}

func (j *Journal) open(ctx context.Context) (err error) {
	if err := makeDirs(j.dir); err != nil {
		return err
	}
	setup, err := takeLock(j.dir, setupLock, time.Now().Add(j.opts.Wait))
	if err != nil {
		return fmt.Errorf("waiting for others to set it up: %w", err)
	}
	defer func() { err = errors.Join(err, setup.drop()) }()
	if err := errors.Join(makeFile(j.dir), guardDatabase(j.dir)); err != nil {
		return err
	}
	synchronous := "FULL"
	if j.opts.noSync {
		synchronous = "NORMAL"
	}
	if j.write, err = j.connect(1, url.Values{
		"_busy_timeout": {strconv.FormatInt(j.opts.busyWait().Milliseconds(), 10)},
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
		updateSeq: &j.updateSeq,
	} {
		if *stmt, err = j.write.PrepareContext(ctx, text); err != nil {
			return err
		}
	}
	j.read, err = j.connect(readers, url.Values{"_journal_mode": {"WAL"}, "_query_only": {"1"}})
	return err
}

func (j *Journal) openReadOnly(ctx context.Context) error {
	if err := errors.Join(plainfile.GuardDir(j.dir), guardDatabase(j.dir)); err != nil {
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
	return usual // the other error only matters if the usual way is impossible
}

// readSchema opens the database for reading and reads its schema version.
func (j *Journal) readSchema(ctx context.Context, connections int, parameters url.Values) (err error) {
	read, err := j.connect(connections, parameters)
	if err != nil {
		return err
	}
	tx, err := read.BeginTx(ctx, nil)
	if err == nil {
		j.schema, err = schemaVersion(ctx, tx)
		_ = tx.Rollback() // nothing was written
	}
	if err == nil && j.schema == 0 {
		err = errors.New("the journal is empty")
	}
	if err != nil {
		return errors.Join(err, read.Close())
	}
	j.read = read
	return nil
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
	j.compression.close()
	return errors.Join(errs...)
}
