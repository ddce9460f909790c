package journal

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"errors"
	"fmt"
	"math"
	"time"
)

// A snapshot reads one run in one consistent state. It is not safe for concurrent use.
type snapshot struct {
	ctx  context.Context // of the whole read operation, which is a single call
	tx   *sql.Tx
	j    *Journal
	info *RunInfo

	intents, results *cursor
	sums             rowSum
	contents         *sql.Stmt
	cache            [3]cached // the last command and the last output of each stream
}

type cached struct {
	hash  [sha256.Size]byte
	plain []byte
}

func (j *Journal) snapshot(ctx context.Context, run string) (_ *snapshot, err error) {
	going, err := j.isRunning(run)
	if err != nil {
		return nil, err
	}
	s := &snapshot{ctx: ctx, j: j}
	if s.tx, err = j.read.BeginTx(ctx, nil); err != nil {
		return nil, explain(err)
	}
	defer func() {
		if err != nil {
			s.close()
		}
	}()
	if s.info, err = j.readRun(ctx, s.tx, run, going); err != nil {
		return nil, err
	}
	s.contents, err = s.tx.PrepareContext(ctx, `SELECT size, coding, data FROM contents WHERE hash = ?`)
	return s, err
}

func (s *snapshot) close() {
	for _, c := range []*cursor{s.intents, s.results} {
		if c != nil {
			c.close()
		}
	}
	_ = s.tx.Rollback() // nothing was written
}

// A cursor iterates over the rows of a query and verifies each.
type cursor struct {
	rows      *sql.Rows
	row, into []any
	check     func(row []any) error
	more      bool // row holds a row that was not used yet
}

func (s *snapshot) open(table, query string, columns int, b runSum) (*cursor, error) {
	rows, err := s.tx.QueryContext(s.ctx, query, s.info.n)
	if err != nil {
		return nil, explain(err)
	}
	c := &cursor{rows: rows, check: func(row []any) error { return s.sums.check(b, table, row[1:]) }}
	c.row, c.into = anyRow(columns)
	return c, nil
}

// next moves to the next row and reports whether there is one.
func (c *cursor) next() (bool, error) {
	if c.more = c.rows.Next(); !c.more {
		return false, explain(c.rows.Err())
	}
	if err := c.rows.Scan(c.into...); err != nil {
		return false, err
	}
	return true, c.check(c.row)
}

func (c *cursor) close() { _ = c.rows.Close() } // rows.Err reported it

const (
	selectIntent = `SELECT run, seq, idx, attempt, at, sum FROM intents WHERE run = ? ORDER BY idx, seq`

	intentColumns = 6
)

func decodeIntent(row []any) (idx int, i Intent, err error) {
	c := columns{row: row}
	_ = c.number(math.MaxInt64) // the run
	i.seq = c.number(math.MaxInt64)
	idx = int(c.number(maxIndex))
	i.Attempt = int(c.number(math.MaxInt32))
	i.At = c.time()
	if i.At.Equal(time.Time{}) {
		c.fail("an intent has no time")
	}
	return idx, i, c.err
}

// each calls yield for the entries in the order of their indexes, with commands but
// without output. It returns an error unless the whole run is intact.
func (s *snapshot) each(yield func(*Entry) (bool, error)) (err error) {
	targets, err := s.open("targets", selectTarget, targetColumns, sumRun(s.info.Run, nil))
	if err != nil {
		return err
	}
	defer targets.close()
	if s.intents, err = s.open("intents", selectIntent, intentColumns, s.info.binding); err != nil {
		return err
	}
	if s.results, err = s.open("results", selectResult, resultColumns, s.info.binding); err != nil {
		return err
	}
	if err := s.begin(); err != nil {
		return err
	}
	whole := newIntegrity(s.info)
	for {
		ok, err := targets.next()
		if err != nil {
			return err
		}
		if !ok {
			return s.finish(whole)
		}
		e, err := s.entry(targets.row, whole)
		if err != nil {
			return err
		}
		if more, err := yield(e); err != nil || !more {
			return err
		}
	}
}

// begin moves the merged cursors to their first rows.
func (s *snapshot) begin() error {
	for _, c := range []*cursor{s.intents, s.results} {
		if _, err := c.next(); err != nil {
			return err
		}
	}
	return nil
}

// entry builds the entry of a target from its intents and its result.
func (s *snapshot) entry(row []any, w *integrity) (*Entry, error) {
	target, command, err := decodeTarget(row)
	if err != nil {
		return nil, err
	}
	w.target(row)
	e := &Entry{command: command}
	if err := s.takeResults(e, target.Index, w); err != nil {
		return nil, err
	}
	if err := s.takeIntents(e, target.Index, w); err != nil {
		return nil, err
	}
	e.Target = target
	e.conclude(s.info.State == Running)
	if !s.info.NoCommand {
		text, err := s.content(0, command)
		if err != nil {
			return nil, fmt.Errorf("the command of target %d: %w", target.Index, err)
		}
		e.Target.Command = string(text)
	}
	return e, nil
}

func (s *snapshot) takeResults(e *Entry, index int, w *integrity) error {
	for s.results.more {
		r, seq, out, err := decodeResult(s.results.row)
		if err != nil {
			return err
		}
		if r.Target.Index != index {
			return stray("result", r.Target.Index, index)
		}
		w.seq(seq)
		e.Result, e.seq, e.out = r, seq, out
		if _, err := s.results.next(); err != nil {
			return err
		}
	}
	return nil
}

func (s *snapshot) takeIntents(e *Entry, index int, w *integrity) error {
	for s.intents.more {
		idx, i, err := decodeIntent(s.intents.row)
		if err != nil {
			return err
		}
		if idx != index {
			return stray("intent", idx, index)
		}
		w.seq(i.seq)
		e.Intents = append(e.Intents, i)
		if _, err := s.intents.next(); err != nil {
			return err
		}
	}
	return nil
}

// stray returns an error for a row whose target does not exist, and nil for a row of a
// later target.
func stray(what string, idx, current int) error {
	if idx > current {
		return nil
	}
	return fmt.Errorf("%w: there is no target %d for a %s", ErrDamaged, idx, what)
}

// finish checks for missing rows after everything was read.
func (s *snapshot) finish(w *integrity) error {
	for what, c := range map[string]*cursor{"result": s.results, "intent": s.intents} {
		if c.more {
			return fmt.Errorf("%w: a %s without a target", ErrDamaged, what)
		}
	}
	return w.check()
}

// content returns the bytes with this hash. slot selects the cache entry to compare with:
// consecutive targets often have equal bytes.
func (s *snapshot) content(slot int, hash []byte) ([]byte, error) {
	last := &s.cache[slot]
	if last.plain != nil && string(last.hash[:]) == string(hash) {
		return last.plain, nil
	}
	k := content{hash: [sha256.Size]byte(hash)}
	var size int64
	err := s.contents.QueryRowContext(s.ctx, hash).Scan(&size, &k.coding, &k.data)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, fmt.Errorf("%w: content %x is missing", ErrDamaged, k.hash[:4])
	}
	if err != nil {
		return nil, explain(err)
	}
	k.size = int(size)
	plain, err := s.j.codec.decode(k)
	if err != nil {
		return nil, err
	}
	*last = cached{k.hash, plain}
	return plain, nil
}
