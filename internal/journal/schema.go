package journal

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"shoal/internal/hint"
)

// applicationID marks the database file as a journal (PRAGMA application_id): "shol".
const applicationID = 0x73686f6c

// migrations are the statements that lead from each schema version to the next. PRAGMA
// user_version is the number of migrations done. Never change a released migration.
//
// A migration only adds columns and tables: that is quick however large the journal is, and a process
// of an older program that is working on a run can go on writing. Columns that are no
// longer used stay, and are empty in new rows. A program that opens the journal after a
// newer one has migrated it refuses it (ErrNewer).
var migrations = []string{
	// 1. The other tables refer to a run by its number n. seq numbers the intents and
	// results of a run from 1 without gaps, in the order of writing; sessions.seq is the
	// last one, and rows that are missing are detected by it. sum and input are checksums, and salt belongs to hashes of commands, all of
	// which schema 3 no longer uses.
	`
CREATE TABLE runs (
	n        INTEGER PRIMARY KEY AUTOINCREMENT,
	id       TEXT NOT NULL UNIQUE,
	started  INTEGER NOT NULL,
	program  TEXT NOT NULL,
	command  TEXT,             -- NULL: not kept
	parent   TEXT NOT NULL,    -- the run whose targets were taken, or ''
	options  TEXT NOT NULL,    -- JSON
	fanout   INTEGER NOT NULL,
	salt     BLOB NOT NULL,
	targets  INTEGER,          -- NULL: not all are written yet
	input    BLOB,             -- hash of all targets
	sum      BLOB
) STRICT;

CREATE TABLE sessions (
	run         INTEGER NOT NULL,
	n           INTEGER NOT NULL, -- 1, and more for each time it was resumed
	pid         INTEGER NOT NULL,
	boot        TEXT NOT NULL,
	started     INTEGER NOT NULL,
	ended       INTEGER,          -- NULL: it goes on, or was broken off
	interrupted INTEGER NOT NULL,
	exit        INTEGER NOT NULL,
	error       TEXT NOT NULL,
	seq         INTEGER NOT NULL,
	sum         BLOB NOT NULL,
	PRIMARY KEY (run, n)
) STRICT, WITHOUT ROWID;

CREATE TABLE targets (
	run       INTEGER NOT NULL,
	idx       INTEGER NOT NULL,
	host      TEXT NOT NULL,
	host_user TEXT NOT NULL,
	host_port INTEGER NOT NULL,
	user      TEXT NOT NULL,
	port      INTEGER NOT NULL,
	route     TEXT,               -- JSON
	command   BLOB NOT NULL,      -- in contents, or a salted hash when it is not kept
	sum       BLOB NOT NULL,
	PRIMARY KEY (run, idx)
) STRICT, WITHOUT ROWID;

CREATE TABLE intents (
	run     INTEGER NOT NULL,
	seq     INTEGER NOT NULL,
	idx     INTEGER NOT NULL,
	attempt INTEGER NOT NULL,
	at      INTEGER NOT NULL,
	sum     BLOB NOT NULL,
	PRIMARY KEY (run, seq)
) STRICT, WITHOUT ROWID;

CREATE TABLE results (
	run         INTEGER NOT NULL,
	idx         INTEGER NOT NULL,
	seq         INTEGER NOT NULL,
	attempt     INTEGER NOT NULL,
	outcome     TEXT NOT NULL,
	reason      TEXT NOT NULL,
	phase       TEXT NOT NULL,
	flags       TEXT NOT NULL,    -- separated by commas
	status      INTEGER NOT NULL,
	signal      TEXT NOT NULL,    -- as the peer sent it
	error       TEXT,
	started     INTEGER,
	took        TEXT NOT NULL,    -- JSON: nanoseconds by phase
	stdout      BLOB,             -- in contents
	stdout_size INTEGER NOT NULL,
	stderr      BLOB,
	stderr_size INTEGER NOT NULL,
	sum         BLOB NOT NULL,
	PRIMARY KEY (run, idx, seq)
) STRICT, WITHOUT ROWID;

CREATE TABLE contents (
	hash   BLOB PRIMARY KEY,      -- SHA-256 of the bytes
	size   INTEGER NOT NULL,
	coding TEXT NOT NULL,         -- raw or zstd
	data   BLOB NOT NULL
) STRICT;
`,
	// 2. The settings of a run, so that it can be resumed with the same ones. In runs of
	// older programs they are NULL and not part of the checksum.
	`
ALTER TABLE runs ADD COLUMN settings TEXT; -- JSON
`,
	// 3. How a target ended in the form of record.AppendEnd, for record.Version 1; rows of
	// older programs have NULL there and columns instead. Of these columns, flags, error,
	// started and took are no longer written. used is the last run that wrote the bytes,
	// for Prune.
	`
ALTER TABLE results ADD COLUMN record TEXT; -- JSON
ALTER TABLE contents ADD COLUMN used INTEGER;
`,
	// 4. The address that was dialled for a target that has a name, if it was reached
	// directly; otherwise NULL.
	`
ALTER TABLE intents ADD COLUMN address TEXT;
`,
	// 5. The ticks of a watch. Each is the intent of all its commands, so that a watch has no rows
	// in intents, and results only where they changed; tick is that of the result, NULL in other
	// runs. ticks.seq is of the last writing of the row. Old rows of a watch are removed while it
	// runs, so that its seqs have gaps.
	`
CREATE TABLE ticks (
	run      INTEGER NOT NULL,
	n        INTEGER NOT NULL, -- from 1
	seq      INTEGER NOT NULL,
	started  INTEGER NOT NULL,
	ended    INTEGER,          -- NULL: it goes on, or was broken off
	late     INTEGER NOT NULL, -- nanoseconds after it was due
	missed   INTEGER NOT NULL, -- ticks left out before it
	without  TEXT NOT NULL,    -- JSON: indexes of the targets left out
	outcomes TEXT,             -- JSON: targets by outcome
	PRIMARY KEY (run, n)
) STRICT, WITHOUT ROWID;

ALTER TABLE results ADD COLUMN tick INTEGER;
`,
}

// ErrNewer means that a newer version of the program wrote the journal.
var ErrNewer = errors.New("written by a newer version of the program")

// migrate brings the schema to the newest version in one transaction.
func (j *Journal) migrate(ctx context.Context) error {
	var tx *sql.Tx
	if err := j.retryBusy(ctx, j.opts.Wait, func() (err error) {
		tx, err = j.write.BeginTx(ctx, nil)
		return err
	}); err != nil {
		return err
	}
	defer func() { _ = tx.Rollback() }() // no effect after Commit
	version, err := schemaVersion(ctx, tx)
	if err != nil || version == len(migrations) {
		return err
	}
	for _, m := range migrations[version:] {
		if _, err := tx.ExecContext(ctx, m); err != nil {
			return fmt.Errorf("bringing the schema from version %d to %d: %w", version, version+1, err)
		}
		version++
		j.opts.hook(stepRow)
	}
	// A pragma cannot have bound parameters.
	mark := fmt.Sprintf("PRAGMA application_id=%d; PRAGMA user_version=%d", applicationID, version)
	if _, err := tx.ExecContext(ctx, mark); err != nil {
		return err
	}
	j.opts.hook(stepCommit)
	return tx.Commit()
}

// schemaVersion returns the schema version: 0 for an empty database, and an error for one
// that is not a journal or too new.
func schemaVersion(ctx context.Context, tx *sql.Tx) (int, error) {
	var application, version, tables int
	if err := tx.QueryRowContext(ctx, `SELECT application_id, user_version, (SELECT count(*) FROM sqlite_schema)
		FROM pragma_application_id, pragma_user_version`).Scan(&application, &version, &tables); err != nil {
		return 0, err
	}
	switch {
	case tables == 0 && application == 0 && version == 0:
		return 0, nil
	case application != applicationID || version < 1:
		return 0, hint.New("the database is not a journal", "move it away, or name another state directory")
	case version > len(migrations):
		return 0, fmt.Errorf("%w: schema %d, and %d is the newest known here", ErrNewer, version, len(migrations))
	}
	return version, nil
}
