package journal

import (
	"context"
	"database/sql"
	"fmt"
	"time"
)

// gathering is the minimum time between two commits, unless a full transaction is waiting.
// A commit costs almost the same whatever its size: without this pause, many hosts with
// two events each would keep a processor busy with commits. If events are rare, the last
// commit is longer ago than this, and none of them waits.
const gathering = 3 * time.Millisecond

// write commits batches until the queue has ended. After a failure it writes nothing more:
// later events fail at once, so that no command starts whose result could not be stored.
func (r *Run) write() {
	defer close(r.stopped)
	var failure error
	var began time.Time // of the last commit
	for {
		<-r.queue.wake
		if r.queue.mayGrow() {
			time.Sleep(gathering - time.Since(began))
		}
		began = time.Now()
		b, last := r.queue.take()
		if failure == nil {
			if err := r.commit(b); err != nil {
				failure = fmt.Errorf("writing the journal: %w", err)
				close(r.failed)
				r.queue.fail(failure)
			}
		}
		if failure != nil {
			b.err = failure
			r.lost += b.results
		}
		close(b.done)
		if last {
			return
		}
	}
}

// commit writes the batch in one transaction.
func (r *Run) commit(b *batch) error {
	if len(b.events) == 0 {
		return nil
	}
	seq := r.session.seq
	ctx := context.Background() // a cancelled commit would leave an intent in doubt
	if err := r.j.transact(ctx, func(tx *sql.Tx) error { return r.insert(ctx, tx, b) }); err != nil {
		r.session.seq = seq
		return err
	}
	for _, e := range b.events {
		if e.result != nil {
			r.known.add(e.result.contents)
		}
	}
	return nil
}

func (r *Run) insert(ctx context.Context, tx *sql.Tx, b *batch) error {
	s := &r.j.stmts
	w := rowWriter{
		run: r, ctx: ctx,
		intent:  tx.StmtContext(ctx, s.intent),
		result:  tx.StmtContext(ctx, s.result),
		content: tx.StmtContext(ctx, s.content),
	}
	for i := range b.events {
		if err := w.event(&b.events[i]); err != nil {
			return err
		}
		r.j.opts.hook(stepRow)
	}
	values := r.session.values()
	_, err := tx.StmtContext(ctx, s.progress).ExecContext(ctx,
		r.session.seq, r.summer.sum(r.info.binding, "sessions", values), r.info.n, r.session.n)
	return err
}

// A rowWriter writes the rows of one transaction.
type rowWriter struct {
	run                     *Run
	ctx                     context.Context // the transaction's
	intent, result, content *sql.Stmt
	row                     []any
}

func (w *rowWriter) event(e *event) error {
	r := w.run
	r.session.seq++
	seq := r.session.seq
	if e.result == nil {
		return w.insert(w.intent, "intents", seq, int64(e.idx), int64(e.attempt), e.at)
	}
	for i := range e.result.contents {
		if err := insertInto(w.ctx, w.content, &e.result.contents[i]); err != nil {
			return err
		}
	}
	e.result.values[1] = seq
	return w.insert(w.result, "results", e.result.values...)
}

func (w *rowWriter) insert(stmt *sql.Stmt, table string, values ...any) error {
	r := w.run
	w.row = append(append(w.row[:0], r.info.n), values...)
	w.row = append(w.row, r.summer.sum(r.info.binding, table, values))
	_, err := stmt.ExecContext(w.ctx, w.row...)
	return err
}

// endSession records how a session ended.
func (j *Journal) endSession(ctx context.Context, info *RunInfo, s *Session) error {
	return j.transact(ctx, func(tx *sql.Tx) error {
		values := s.values()
		_, err := tx.ExecContext(ctx, `UPDATE sessions SET ended = ?, interrupted = ?, exit = ?, error = ?, sum = ?
			WHERE run = ? AND n = ?`,
			values[4], values[5], values[6], values[7],
			new(rowSum).sum(info.binding, "sessions", values), info.n, s.n)
		return err
	})
}
