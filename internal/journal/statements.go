package journal

import (
	"context"
	"database/sql"
	"errors"
)

// statements are prepared once, because preparing most of them costs more than running
// them.
type statements struct {
	target, content, intent, result, progress *sql.Stmt
}

const (
	insertTarget = `INSERT INTO targets (run, idx, host, host_user, host_port, user, port, route, command, sum)
		VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`
	insertContent = `INSERT OR IGNORE INTO contents (hash, size, coding, data) VALUES (?, ?, ?, ?)`
	insertIntent  = `INSERT INTO intents (run, seq, idx, attempt, at, sum) VALUES (?, ?, ?, ?, ?, ?)`
	insertResult  = `INSERT INTO results (run, idx, seq, attempt, outcome, reason, phase, flags, status, signal,
		error, started, took, stdout, stdout_size, stderr, stderr_size, sum)
		VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`
	updateProgress = `UPDATE sessions SET seq = ?, sum = ? WHERE run = ? AND n = ?`
)

func (s *statements) prepare(ctx context.Context, db *sql.DB) error {
	for _, p := range []struct {
		stmt **sql.Stmt
		text string
	}{
		{&s.target, insertTarget},
		{&s.content, insertContent},
		{&s.intent, insertIntent},
		{&s.result, insertResult},
		{&s.progress, updateProgress},
	} {
		var err error
		if *p.stmt, err = db.PrepareContext(ctx, p.text); err != nil {
			return err
		}
	}
	return nil
}

func (s *statements) close() error {
	var errs []error
	for _, stmt := range []*sql.Stmt{s.target, s.content, s.intent, s.result, s.progress} {
		if stmt != nil {
			errs = append(errs, stmt.Close())
		}
	}
	return errors.Join(errs...)
}
