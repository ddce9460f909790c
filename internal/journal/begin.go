package journal

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"os"
	"time"

	"shoal/fleet"
	"shoal/internal/filelock"
	"shoal/internal/hint"
)

// chunk is the number of targets written in one transaction, so that the start of a
// large run does not block other writers for long.
const chunk = 4096

const insertTarget = `INSERT INTO targets (run, idx, host, host_user, host_port, user, port, route, command, sum)
	VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, x'')`

// Begin writes a new run and all its targets to disk and returns the Run to work on.
// Each target keeps its Index, which must be unique in the run and from 0 to 2^30.
func (j *Journal) Begin(ctx context.Context, info RunInfo, targets iter.Seq[fleet.Target]) (_ *Run, err error) {
	var l *lock
	defer func() {
		if err != nil {
			err = fmt.Errorf("writing the run into the journal: %w", errors.Join(err, l.release()))
		}
	}()
	if j.write == nil {
		return nil, errReadOnly
	}
	now := j.opts.Now()
	if info.Started.IsZero() {
		info.Started = now
	}
	info.Run, info.Sessions, info.Targets = newID(now), nil, 0
	if l, err = takeLock(j.dir, info.Run, time.Time{}); err != nil {
		return nil, err
	}
	j.opts.hook(stepLocked)
	if err := j.insertRun(ctx, &info); err != nil {
		return nil, err
	}
	w := targetWriter{j: j, info: &info}
	next, stop := iter.Pull(targets)
	defer stop()
	for more := true; more; {
		if err := j.transact(ctx, func(tx *sql.Tx) (err error) {
			more, err = w.chunk(ctx, tx, next)
			return err
		}); err != nil {
			return nil, err
		}
	}
	// The run is complete once its number of targets and its first session are written.
	if err := j.transact(ctx, func(tx *sql.Tx) error {
		if _, err := tx.ExecContext(ctx, `UPDATE runs SET targets = ? WHERE n = ?`, info.Targets, info.n); err != nil {
			return err
		}
		return j.insertSession(ctx, tx, &info, Session{n: 1})
	}); err != nil {
		return nil, err
	}
	return j.start(l, info, w.indexes), nil
}

func (j *Journal) insertRun(ctx context.Context, i *RunInfo) error {
	settings, err := i.Settings.encode()
	if err != nil {
		return err
	}
	options, err := json.Marshal(i.Options)
	if err != nil {
		return err
	}
	command := sql.NullString{String: i.Command, Valid: !i.NoCommand}
	return j.transact(ctx, func(tx *sql.Tx) error {
		return tx.QueryRowContext(ctx, `INSERT INTO runs (id, started, program, command, parent, options, fanout, salt, settings)
			VALUES (?, ?, ?, ?, ?, ?, ?, x'', ?) RETURNING n`,
			i.Run, i.Started.UnixNano(), i.Program, command, i.Parent, string(options), i.Fanout, settings).Scan(&i.n)
	})
}

// insertSession adds a session of this process.
func (j *Journal) insertSession(ctx context.Context, tx *sql.Tx, i *RunInfo, s Session) error {
	s.Started = j.opts.Now()
	i.Sessions = append(i.Sessions, s)
	_, err := tx.ExecContext(ctx, `INSERT INTO sessions (run, n, pid, boot, started, interrupted, exit, error, seq, sum)
		VALUES (?, ?, ?, '', ?, 0, 0, '', ?, x'')`, i.n, s.n, os.Getpid(), s.Started.UnixNano(), s.seq)
	return err
}

// A targetWriter writes the targets of a new run.
type targetWriter struct {
	j       *Journal
	info    *RunInfo
	indexes bitset
	last    string // the last command; the next one is often equal
	command []byte // its hash; nil if none was written yet
}

// chunk writes up to chunk targets and reports whether more may follow.
func (w *targetWriter) chunk(ctx context.Context, tx *sql.Tx, next func() (fleet.Target, bool)) (bool, error) {
	targets := tx.StmtContext(ctx, w.j.insertTarget)
	contents := tx.StmtContext(ctx, w.j.insertContent)
	for range chunk {
		t, ok := next()
		if !ok {
			return false, nil
		}
		if err := ctx.Err(); err != nil {
			return false, err
		}
		if err := w.write(ctx, targets, contents, &t); err != nil {
			return false, fmt.Errorf("target %d: %w", t.Index, err)
		}
	}
	return true, nil
}

func (w *targetWriter) write(ctx context.Context, targets, contents *sql.Stmt, t *fleet.Target) error {
	switch {
	case t.Index < 0 || t.Index > maxIndex:
		return fmt.Errorf("the index is not within 0 and %d", maxIndex)
	case w.indexes.has(t.Index):
		return errors.New("the index is another target's too")
	case w.info.NoCommand:
		w.command = []byte{}
	case w.command == nil || t.Command != w.last:
		k := w.j.compression.encode(sha256.Sum256([]byte(t.Command)), []byte(t.Command))
		if err := k.store(ctx, contents, w.info.n); err != nil {
			return err
		}
		w.last, w.command = t.Command, k.hash[:]
	}
	route, err := encodeRoute(t.Route)
	if err != nil {
		return err
	}
	if _, err := targets.ExecContext(ctx, w.info.n, t.Index, t.Host.Name, t.Host.User, t.Host.Port, t.User, t.Port,
		route, w.command); err != nil {
		return err
	}
	w.indexes.add(t.Index)
	w.info.Targets++
	return nil
}

var (
	// ErrRunning means that a process is working on the run.
	ErrRunning = errors.New("the run is still running")
	// ErrRerun means that another process is beginning a rerun of the run.
	ErrRerun = hint.New("somebody else begins a rerun of the run", "try again")
	// ErrIncomplete means that the program died before all targets were written; no
	// command was started.
	ErrIncomplete = hint.New("the run never began", "run it anew")
	// ErrWatch means that the run is a watch, whose commands are never made up for.
	ErrWatch = hint.New("the run is a watch, which goes on with its next tick only", "start the watch again: it compares with the last answers of this one")
)

// resumeWait is long enough for processes that take the lock only to ask whether the run
// is running.
const resumeWait = time.Second

// LockReruns keeps other processes from beginning a rerun of the run until release is called.
// The error is ErrRerun if another does not release it within a second.
func (j *Journal) LockReruns(run string) (release func() error, err error) {
	l, err := takeLock(j.dir, run+".rerun", time.Now().Add(resumeWait)) // the run's own is held while it goes on
	switch {
	case errors.Is(err, filelock.ErrLocked):
		return nil, fmt.Errorf("running %s again: %w", run, ErrRerun)
	case err != nil:
		return nil, fmt.Errorf("running %s again: %w", run, err)
	}
	return l.release, nil
}

// Resume continues a crashed or interrupted run in a new session. Once it has returned, no
// other process works on the run, and Select with [Resumable] returns the remaining
// targets. Targets keep their indexes, and their results until newer ones arrive. The
// errors are ErrRunning, ErrIncomplete, ErrWatch, ErrNoRun and ErrDamaged.
//
// Resume continues the same run instead of beginning a new one, so that nothing runs twice
// however often it is called: a new run would not know what other sessions have done with
// the old one.
func (j *Journal) Resume(ctx context.Context, run string) (_ *Run, err error) {
	var l *lock
	defer func() {
		if err != nil {
			err = fmt.Errorf("resuming run %s: %w", run, errors.Join(err, l.release()))
		}
	}()
	if j.write == nil {
		return nil, errReadOnly
	}
	switch info, err := j.Run(ctx, run); {
	case err != nil:
		return nil, err // before creating a lock file for a run that does not exist
	case info.Watch() != "":
		return nil, ErrWatch
	}
	l, err = takeLock(j.dir, run, time.Now().Add(resumeWait))
	if errors.Is(err, filelock.ErrLocked) {
		return nil, ErrRunning
	}
	if err != nil {
		return nil, err
	}
	s, err := j.snapshot(ctx, run)
	if err != nil {
		return nil, err
	}
	var indexes bitset
	err = s.each(func(e *Entry) error {
		indexes.add(e.Target.Index)
		return nil
	})
	s.close()
	if err != nil {
		return nil, err
	}
	info := s.info
	if len(info.Sessions) == 0 {
		return nil, ErrIncomplete
	}
	last := info.Sessions[len(info.Sessions)-1]
	if err := j.transact(ctx, func(tx *sql.Tx) error {
		return j.insertSession(ctx, tx, info, Session{n: last.n + 1, seq: last.seq})
	}); err != nil {
		return nil, err
	}
	return j.start(l, *info, indexes), nil
}
