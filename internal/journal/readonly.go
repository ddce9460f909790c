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

// OpenReadOnly opens a journal that is there to be read, where Open fails because
// nothing can be written: the file system is full or read-only. It makes nothing,
// leaves an older schema as it is, and whatever would write is an error.
func OpenReadOnly(ctx context.Context, dir string, o Options) (*Journal, error) {
	j, err := openReadOnly(ctx, dir, o)
	if err != nil {
		return nil, fmt.Errorf("opening the journal for reading: %w", explain(err))
	}
	return j, nil
}

func openReadOnly(ctx context.Context, dir string, o Options) (_ *Journal, err error) {
	if err := o.Validate(); err != nil {
		return nil, err
	}
	if dir, err = filepath.Abs(dir); err != nil {
		return nil, err
	}
	o = o.withDefaults()
	if err := refuseShared(dir, o); err != nil {
		return nil, err
	}
	info, err := os.Stat(dir)
	if err != nil {
		return nil, err
	}
	if err := errors.Join(guard(dir, info), guardFiles(dir)); err != nil {
		return nil, err
	}
	j := &Journal{dir: dir, opts: o, runs: make(map[*Run]struct{})}
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
	return nil, errs[0] // the others were for when the first cannot be
}

// waysToRead are ways to read a database of which the next is for when the one
// before needs room for the index of the log, journal.db-shm, and has none.
func (j *Journal) waysToRead() []func() (*sql.DB, error) {
	ways := []func() (*sql.DB, error){
		func() (*sql.DB, error) { return j.connectToRead(readers, "mode", "rw") },
	}
	log, err := os.Lstat(filepath.Join(j.dir, fileName+"-wal"))
	if errors.Is(err, fs.ErrNotExist) || err == nil && log.Size() == 0 {
		// All is in the database, and nobody can be writing without that index.
		return append(ways, func() (*sql.DB, error) { return j.connectToRead(readers, "immutable", "1") })
	}
	// One connection that nobody shares the database with keeps the index to itself.
	return append(ways, func() (*sql.DB, error) { return j.connectToRead(1, "_pragma", "locking_mode(EXCLUSIVE)") })
}

// connectToRead gives connections that cannot write, made by one more parameter.
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

// readSchema finds out which schema the database has, and with it whether it can
// be read.
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
