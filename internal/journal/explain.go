package journal

import (
	"errors"
	"fmt"
	"strings"

	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"
)

// busy reports whether err means that another process holds the database's lock.
func busy(err error) bool {
	var e *sqlite.Error
	return errors.As(err, &e) && e.Code()&primary == sqlite3.SQLITE_BUSY
}

const primary = 0xff // mask for the primary error code; the other bits are details

// explain adds a hint to an error of SQLite.
func explain(err error) error {
	var e *sqlite.Error
	if !errors.As(err, &e) || strings.Contains(err.Error(), "\nhint: ") {
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
	if hint == "" {
		return err
	}
	return fmt.Errorf("%w\nhint: %s", err, hint)
}
