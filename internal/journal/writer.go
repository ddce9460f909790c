package journal

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"runtime"
	"sync"
	"time"
)

// An event is an intent, or a result or the beginning or end of a tick if one of the fields is set.
type event struct {
	index, attempt, at int64
	address            any // of an intent: a string, or nil
	result             *resultRow
	tick               func(ctx context.Context, tx *sql.Tx, seq int64) error // writes it
}

// A batch is the set of events that one transaction commits.
type batch struct {
	events  []event
	results int
	bytes   int // of the results, in memory
	// done is closed by the writer when the batch is on disk, or when it failed; then
	// err is set.
	done chan struct{}
	err  error
}

func newBatch() *batch { return &batch{done: make(chan struct{})} }

// maxBatch is the maximum number of events in one transaction. With several smaller
// transactions, the hosts of the first batch start working while the next batch is
// written; with one large transaction all hosts would wait, and the processors would
// be idle.
const maxBatch = 128

// A queue collects events while the writer is busy with the previous batch. It is
// safe for concurrent use.
type queue struct {
	maxResults, maxBytes int

	mu      sync.Mutex
	batches []*batch // never empty; the first is written next, new events go into the last
	results int      // in all batches
	bytes   int
	err     error // why the queue ended; nil while it is open
	room    sync.Cond
	// wake tells the writer, its only receiver, that there are events or that the
	// queue has ended. Capacity one keeps a signal that is sent while the writer is
	// busy; a second signal would carry no information. The channel is never closed.
	wake chan struct{}
	// ended is closed by end when err is first set.
	ended chan struct{}
}

func newQueue(o Options) *queue {
	q := &queue{maxResults: o.maxQueue, maxBytes: o.maxQueueBytes, batches: []*batch{newBatch()}, wake: make(chan struct{}, 1), ended: make(chan struct{})}
	q.room.L = &q.mu
	return q
}

// put adds the event and returns its batch. A result waits until the queue has room.
// An intent does not, because its caller waits for the batch anyway.
func (q *queue) put(e event) (*batch, error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for e.result != nil && q.err == nil && q.fullLocked() {
		q.room.Wait()
	}
	if q.err != nil {
		return nil, q.err
	}
	b := q.batches[len(q.batches)-1]
	if len(b.events) == maxBatch {
		b = newBatch()
		q.batches = append(q.batches, b)
	}
	b.events = append(b.events, e)
	if e.result != nil {
		b.results++
		b.bytes += e.result.bytes
		q.results++
		q.bytes += e.result.bytes
	}
	q.signal()
	return b, nil
}

// fullLocked reports whether a result has to wait. An empty queue accepts one result of
// any size.
func (q *queue) fullLocked() bool {
	return q.results > 0 && (q.results >= q.maxResults || q.bytes >= q.maxBytes)
}

// newest returns the batch that completes everything put so far.
func (q *queue) newest() (*batch, error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.signal()
	return q.batches[len(q.batches)-1], q.err
}

func (q *queue) signal() {
	select {
	case q.wake <- struct{}{}:
	default: // a signal is pending already
	}
}

// mayGrow reports whether the next batch can still take events.
func (q *queue) mayGrow() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return len(q.batches) == 1 && len(q.batches[0].events) < maxBatch && q.err == nil
}

// take returns the next batch; last reports that no other batch will follow.
func (q *queue) take() (b *batch, last bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	b = q.batches[0]
	q.results -= b.results
	q.bytes -= b.bytes
	q.room.Broadcast()
	if q.batches = q.batches[1:]; len(q.batches) > 0 {
		q.signal()
		return b, false
	}
	q.batches = []*batch{newBatch()}
	return b, q.err != nil
}

// end makes every later put fail with err. A failure of the writer replaces ErrEnded, and
// nothing replaces a failure.
func (q *queue) end(err error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.err == nil {
		close(q.ended)
	}
	if q.err == nil || errors.Is(q.err, ErrEnded) {
		q.err = err
	}
	q.room.Broadcast()
	q.signal()
}

// failure returns the error that ended the queue, or nil while it is open.
func (q *queue) failure() error {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.err
}

// minPause is the minimum time between the beginnings of two commits, unless a full
// transaction is waiting. A commit costs almost the same whatever its size: without this
// pause, many hosts with two events each would keep a processor busy with commits. If
// events are rare, the last commit is longer ago than this, and none of them waits.
const minPause = 3 * time.Millisecond

// yields is how many times after the pause the writer lets those run first who are ready to:
// what they write joins the batch. On an idle machine nobody is ready, and the commit begins at
// once; on a busy one, whose processors the commits take time of, there are half as many of them.
const yields = 4

// write commits batches until the queue has ended. After a failure it writes nothing more:
// later events fail at once, so that no command starts whose result could not be stored.
func (r *Run) write() {
	defer close(r.stopped)
	var failure error
	var began time.Time // of the last commit
	for {
		<-r.queue.wake
		if r.queue.mayGrow() {
			time.Sleep(minPause - time.Since(began))
		}
		for i := 0; i < yields && r.queue.mayGrow(); i++ {
			runtime.Gosched()
		}
		began = time.Now()
		b, last := r.queue.take()
		if failure == nil {
			if err := r.commit(b); err != nil {
				failure = fmt.Errorf("writing the journal: %w", err)
				r.queue.end(failure)
			}
		}
		if failure != nil {
			b.err = failure
			r.missing += b.results
		}
		close(b.done)
		if last {
			return
		}
	}
}

const updateSeq = `UPDATE sessions SET seq = ? WHERE run = ? AND n = ?`

const insertIntent = `INSERT INTO intents (run, seq, idx, attempt, at, address, sum) VALUES (?, ?, ?, ?, ?, ?, x'')`

// commit writes the batch in one transaction.
func (r *Run) commit(b *batch) error {
	if len(b.events) == 0 {
		return nil
	}
	ctx := context.Background() // a cancelled commit would leave an intent in doubt
	if err := r.j.transact(ctx, func(tx *sql.Tx) error {
		intents := tx.StmtContext(ctx, r.j.insertIntent)
		results := tx.StmtContext(ctx, r.j.insertResult)
		contents := tx.StmtContext(ctx, r.j.insertContent)
		for i := range b.events {
			e, seq := &b.events[i], r.seq+int64(i)+1
			var err error
			switch {
			case e.tick != nil:
				err = e.tick(ctx, tx, seq)
			case e.result != nil:
				err = e.result.insert(ctx, results, contents, r.info.n, seq)
			default:
				_, err = intents.ExecContext(ctx, r.info.n, seq, e.index, e.attempt, e.at, e.address)
			}
			if err != nil {
				return err
			}
			r.j.opts.hook(stepRow)
		}
		_, err := tx.StmtContext(ctx, r.j.updateSeq).ExecContext(ctx, r.seq+int64(len(b.events)), r.info.n, r.session)
		return err
	}); err != nil {
		return err
	}
	r.seq += int64(len(b.events))
	for _, e := range b.events {
		if e.result != nil {
			r.stored.add(e.result.contents)
		}
	}
	return nil
}

func (row *resultRow) insert(ctx context.Context, results, contents *sql.Stmt, run, seq int64) error {
	for i := range row.contents {
		if err := row.contents[i].store(ctx, contents, run); err != nil {
			return err
		}
	}
	_, err := results.ExecContext(ctx, append([]any{run, seq}, row.columns...)...)
	return err
}
