package journal

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"database/sql"
	"errors"
	"fmt"
	"hash"
	"iter"
	"os"
	"time"

	"shoal/fleet"
)

// chunk is the number of targets written in one transaction, so that the start of a
// large run does not block other writers for long.
const chunk = 4096

// Begin writes a new run and all its targets to disk and returns the Run to work on.
// Each target keeps its Index, which must be unique in the run and from 0 to 2^30.
func (j *Journal) Begin(ctx context.Context, info RunInfo, targets iter.Seq[fleet.Target]) (*Run, error) {
	r, err := j.begin(ctx, info, targets)
	if err != nil {
		return nil, fmt.Errorf("writing the run into the journal: %w", err)
	}
	return r, nil
}

func (j *Journal) begin(ctx context.Context, info RunInfo, targets iter.Seq[fleet.Target]) (_ *Run, err error) {
	if j.write == nil {
		return nil, errReadOnly
	}
	now := j.opts.Now()
	if info.Started.IsZero() {
		info.Started = now
	}
	info.Run, info.Sessions, info.Targets = newID(now), nil, 0
	info.salt = make([]byte, sha256.Size)
	_, _ = rand.Read(info.salt) // crypto/rand never fails
	l, err := takeLock(j.dir, info.Run, time.Time{})
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, l.release())
		}
	}()
	j.opts.hook(stepLocked)
	b := &beginning{j: j, info: &info, input: sha256.New()}
	if err := b.run(ctx, targets); err != nil {
		return nil, err
	}
	return j.start(l, info, b.indexes), nil
}

// A beginning writes the rows of a new run and its targets.
type beginning struct {
	j        *Journal
	info     *RunInfo
	options  string
	settings any
	command  any

	input   hash.Hash // over the targets, independent of the run
	summer  rowSum
	indexes bitset
	next    int     // the index of the next target if they arrive in order
	mixed   bool    // they did not arrive in order
	last    content // the last command; the next one is often equal
}

func (b *beginning) run(ctx context.Context, targets iter.Seq[fleet.Target]) (err error) {
	if b.options, err = b.info.encodeOptions(); err != nil {
		return err
	}
	if b.settings, err = b.info.Settings.encode(); err != nil {
		return err
	}
	if !b.info.NoCommand {
		b.command = b.info.Command
	}
	if err := b.insert(ctx); err != nil {
		return err
	}
	b.j.opts.hook(stepRun)
	next, stop := iter.Pull(targets)
	defer stop()
	for more := true; more; {
		if err := b.j.transact(ctx, func(tx *sql.Tx) (err error) {
			more, err = b.chunk(ctx, tx, next)
			return err
		}); err != nil {
			return err
		}
		b.j.opts.hook(stepTargets)
	}
	if err := b.j.transact(ctx, func(tx *sql.Tx) error { return b.seal(ctx, tx) }); err != nil {
		return err
	}
	b.j.opts.hook(stepSealed)
	return nil
}

func (b *beginning) insert(ctx context.Context) error {
	return b.j.transact(ctx, func(tx *sql.Tx) error {
		i := b.info
		done, err := tx.ExecContext(ctx, `INSERT INTO runs (id, started, program, command, parent, options, fanout, salt, settings)
			VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)`,
			i.Run, i.Started.UnixNano(), i.Program, b.command, i.Parent, b.options, int64(i.Fanout), i.salt, b.settings)
		if err != nil {
			return err
		}
		i.n, err = done.LastInsertId()
		return err
	})
}

// chunk writes up to chunk targets and reports whether more may follow.
func (b *beginning) chunk(ctx context.Context, tx *sql.Tx, next func() (fleet.Target, bool)) (bool, error) {
	insert := tx.StmtContext(ctx, b.j.stmts.target)
	contents := tx.StmtContext(ctx, b.j.stmts.content)
	for range chunk {
		t, ok := next()
		if !ok {
			return false, nil
		}
		if err := ctx.Err(); err != nil {
			return false, err
		}
		if err := b.target(ctx, insert, contents, &t); err != nil {
			return false, fmt.Errorf("target %d: %w", t.Index, err)
		}
	}
	return true, nil
}

func (b *beginning) target(ctx context.Context, insert, contents *sql.Stmt, t *fleet.Target) error {
	if t.Index < 0 || t.Index > maxIndex {
		return fmt.Errorf("the index is not within 0 and %d", maxIndex)
	}
	if b.indexes.has(t.Index) {
		return errors.New("the index is another target's too")
	}
	command, err := b.keepCommand(ctx, contents, t.Command)
	if err != nil {
		return err
	}
	values, err := targetValues(t, command)
	if err != nil {
		return err
	}
	addInput(b.input, &b.summer, values)
	row := append([]any{b.info.n}, values...)
	row = append(row, b.summer.sum(sumRun(b.info.Run, nil), "targets", values))
	if _, err := insert.ExecContext(ctx, row...); err != nil {
		return err
	}
	b.indexes.add(t.Index)
	b.mixed = b.mixed || t.Index < b.next
	b.next = t.Index + 1
	b.info.Targets++
	return nil
}

// keepCommand stores the command and returns its hash. With NoCommand it stores
// nothing and returns a salted hash.
func (b *beginning) keepCommand(ctx context.Context, contents *sql.Stmt, command string) ([]byte, error) {
	if b.info.NoCommand {
		hash := saltedHash(b.info.salt, command)
		return hash[:], nil
	}
	k := content{hash: sha256.Sum256([]byte(command)), size: len(command)}
	if k.hash != b.last.hash || b.info.Targets%chunk == 0 {
		b.j.codec.encode(&k, []byte(command))
		if err := insertInto(ctx, contents, &k); err != nil {
			return nil, err
		}
		b.last = k
	}
	return k.hash[:], nil
}

// seal marks the run as complete and adds this process as its first session.
func (b *beginning) seal(ctx context.Context, tx *sql.Tx) error {
	i := b.info
	if b.mixed {
		if err := b.sumInOrder(ctx, tx); err != nil {
			return err
		}
	}
	copy(i.Input[:], b.input.Sum(nil))
	i.binding = sumRun(i.Run, i.Input[:])
	sum := b.summer.sum(i.binding, "runs", i.values(b.options, b.command, b.settings))
	if _, err := tx.ExecContext(ctx, `UPDATE runs SET targets = ?, input = ?, sum = ? WHERE n = ?`,
		int64(i.Targets), i.Input[:], sum, i.n); err != nil {
		return err
	}
	s := Session{PID: os.Getpid(), Boot: bootID(), Started: b.j.opts.Now(), n: 1}
	i.Sessions = []Session{s}
	return insertSession(ctx, tx, i.n, i.binding, &s)
}

// sumInOrder computes the hash of the input again in the order of the indexes,
// because the targets arrived in another order and verification reads them by index.
func (b *beginning) sumInOrder(ctx context.Context, tx *sql.Tx) error {
	rows, err := tx.QueryContext(ctx, selectTarget, b.info.n)
	if err != nil {
		return err
	}
	defer func() { _ = rows.Close() }() // rows.Err reports it
	b.input.Reset()
	row, into := anyRow(targetColumns)
	for rows.Next() {
		if err := rows.Scan(into...); err != nil {
			return err
		}
		addInput(b.input, &b.summer, row[1:len(row)-1])
	}
	return rows.Err()
}

// addInput adds a target to the hash of the input.
func addInput(input hash.Hash, s *rowSum, values []any) {
	input.Write(s.sum(runSum{}, "input", values))
}

func insertSession(ctx context.Context, tx *sql.Tx, run int64, b runSum, s *Session) error {
	values := s.values()
	row := append([]any{run}, values...)
	row = append(row, new(rowSum).sum(b, "sessions", values))
	_, err := tx.ExecContext(ctx, `INSERT INTO sessions (run, n, pid, boot, started, ended, interrupted, exit, error, seq, sum)
		VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`, row...)
	return err
}

func insertInto(ctx context.Context, stmt *sql.Stmt, k *content) error {
	if k.size > maxContent {
		return fmt.Errorf("%d bytes are more than the %d that the journal can keep", k.size, maxContent)
	}
	_, err := stmt.ExecContext(ctx, k.hash[:], int64(k.size), k.coding, k.data)
	return err
}

// transact runs f in a transaction that holds the database's write lock from the
// start.
func (j *Journal) transact(ctx context.Context, f func(*sql.Tx) error) error {
	var tx *sql.Tx
	if err := j.patiently(ctx, func() (err error) {
		tx, err = j.write.BeginTx(ctx, nil)
		return explain(err)
	}); err != nil {
		return err
	}
	if err := f(tx); err != nil {
		return errors.Join(explain(err), rollback(tx))
	}
	j.opts.hook(stepCommit)
	if err := tx.Commit(); err != nil {
		// SQLite keeps the transaction open when the disk was too full to commit.
		return errors.Join(explain(err), rollback(tx))
	}
	j.opts.hook(stepCommitted)
	return nil
}

// tries is the number of attempts to get the write lock. Each waits for Options.Wait:
// by default five minutes in total.
const tries = 10

// patiently repeats f while the database is busy; f has then done nothing. Another
// process that writes for a long time must not end a run.
func (j *Journal) patiently(ctx context.Context, f func() error) error {
	for try := 1; ; try++ {
		err := f()
		if err == nil || !busy(err) || try == tries || ctx.Err() != nil {
			return err
		}
		j.opts.hook(stepBusy)
	}
}

func rollback(tx *sql.Tx) error {
	if err := tx.Rollback(); err != nil && !errors.Is(err, sql.ErrTxDone) {
		return err
	}
	return nil
}
