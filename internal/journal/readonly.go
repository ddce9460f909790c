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

	"modernc.org/sqlite"
)

var errReadOnly = errors.New("the journal is open for reading only")

// OpenReadOnly opens an existing journal for reading when Open fails because nothing can
// be written: the file system is full or read-only. It creates nothing and does not
// migrate an older schema. Methods that write return an error.
func OpenReadOnly(ctx context.Context, dir string, o Options) (*Journal, error) {
	j, err := openReadOnly(ctx, dir, o)
	if err != nil {
		return nil, fmt.Errorf("opening the journal for reading: %w", explain(err))
	}
	return j, nil
}

func openReadOnly(ctx context.Context, dir string, o Options) (_ *Journal, err error) {
	j, err := newJournal(dir, o)
	if err != nil {
		return nil, err
	}
	info, err := os.Stat(j.dir)
	if err != nil {
		return nil, err
	}
	if err := errors.Join(guard(j.dir, info), guardFiles(j.dir)); err != nil {
		return nil, err
	}
	if j.codec, err = newCodec(j.opts); err != nil {
		return nil, err
	}
	var errs []error
	for _, way := range j.waysToRead() {
		if j.read, err = way(); err == nil {
			if err = j.readSchema(ctx); err == nil {
				return j, nil
			}
			_ = j.read.Close() // nothing was written
			j.read = nil
		}
		errs = append(errs, err)
	}
	j.codec.close()
	return nil, errs[0] // the other errors only matter if the first way is impossible
}

// waysToRead returns ways to open the database, to be tried in order. The first needs
// space for the index of the log, journal.db-shm; the others do without.
func (j *Journal) waysToRead() []func() (*sql.DB, error) {
	ways := []func() (*sql.DB, error){
		func() (*sql.DB, error) { return j.connectToRead(readers, "mode", "rw") },
	}
	log, err := os.Lstat(filepath.Join(j.dir, fileName+"-wal"))
	if errors.Is(err, fs.ErrNotExist) || err == nil && log.Size() == 0 {
		// There is no log: the database is complete, and no process can be writing without
		// the index.
		return append(ways, func() (*sql.DB, error) { return j.connectToRead(readers, "immutable", "1") })
	}
	// A single connection with an exclusive lock keeps the index in its own memory.
	return append(ways, func() (*sql.DB, error) { return j.connectToRead(1, "_pragma", "locking_mode(EXCLUSIVE)") })
}

// connectToRead returns connections that cannot write, with one additional parameter.
func (j *Journal) connectToRead(connections int, key, value string) (*sql.DB, error) {
	q := url.Values{
		"_busy_timeout": {strconv.FormatInt(j.opts.Wait.Milliseconds(), 10)},
		"_txlock":       {"deferred"},
		"_query_only":   {"1"},
		"_defensive":    {"1"},
		"_dqs":          {"0"},
		"_error_rc":     {"1"},
		"_pragma":       {"trusted_schema(0)", "cell_size_check(1)", "temp_store(MEMORY)"},
	}
	q.Add(key, value)
	if !q.Has("mode") {
		q.Set("mode", "rw")
	}
	if key == "immutable" {
		q.Set("mode", "ro")
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

// readSchema reads the schema version and refuses a database that cannot be read.
func (j *Journal) readSchema(ctx context.Context) error {
	tx, err := j.read.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer func() { _ = tx.Rollback() }() // nothing was written
	if j.schema, err = schemaVersion(ctx, tx); err == nil && j.schema == 0 {
		err = errors.New("the journal is empty")
	}
	return err
}
