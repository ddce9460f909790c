package journal

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"errors"
	"fmt"
	"net/netip"
	"sync"

	"shoal/fleet"
	"shoal/record"
)

// ErrEnded means that the run has ended or the journal is closed.
var ErrEnded = errors.New("the run has ended")

// A Run is a run that this process works on. It is safe for concurrent use.
type Run struct {
	j       *Journal
	info    RunInfo
	session int64 // its number, from 1
	indexes bitset
	lock    *lock
	stored  stored
	queue   *queue

	// stopped is closed by the writer when it returns. The following fields belong to the
	// writer until then.
	stopped chan struct{}
	seq     int64 // of the last intent or result that was committed
	missing int   // results that could not be written

	once  sync.Once // guards the end
	ended bool      // an end was recorded
}

// start returns the Run whose lock l is, and starts its writer. The last session of info
// is that of this process.
func (j *Journal) start(l *lock, info RunInfo, indexes bitset) *Run {
	s := info.Sessions[len(info.Sessions)-1]
	r := &Run{
		j: j, info: info, session: s.n, seq: s.seq, indexes: indexes, lock: l,
		queue: newQueue(j.opts), stopped: make(chan struct{}),
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	j.runs[r] = struct{}{}
	go r.write()
	return r
}

// ID returns the identifier of the run.
func (r *Run) ID() string { return r.info.Run }

// Session is 0 in the process that began the run, and one more after each resume.
func (r *Run) Session() int { return int(r.session) - 1 }

// Failed returns a channel that is closed when the journal can no longer be written, at the
// latest by End. The run should then start nothing: every later Intend fails.
func (r *Run) Failed() <-chan struct{} { return r.queue.ended }

// Intend records that the command is about to be sent to the target in this attempt. It
// returns when the record is on disk. If it fails, the command must not be sent.
// Concurrent calls share one transaction and are therefore cheap. Intend may be called
// again for the same attempt. address is that of the connection, for Intent.Address.
func (r *Run) Intend(index, attempt int, address netip.AddrPort) error {
	if err := r.checkTarget(index); err != nil {
		return err
	}
	return r.wait(r.intent(index, attempt, address))
}

// Dialled adds the address of an attempt whose intent was recorded before it was known. It does not wait
// for the disk, and must come before the attempt's result.
func (r *Run) Dialled(index, attempt int, address netip.AddrPort) error {
	if err := r.checkTarget(index); err != nil {
		return err
	}
	_, err := r.queue.put(r.intent(index, attempt, address))
	return err
}

func (r *Run) intent(index, attempt int, address netip.AddrPort) event {
	e := event{index: int64(index), attempt: int64(attempt), at: r.j.opts.Now().UnixNano()}
	if address.IsValid() {
		e.address = address.String()
	}
	return e
}

// wait records an event and returns when it is on disk.
func (r *Run) wait(e event) error {
	b, err := r.queue.put(e)
	if err != nil {
		return err
	}
	<-b.done
	return b.err
}

// Result records how a target ended. It waits only if the queue is full. It keeps the
// result's bytes until they are written, so they must not be changed. If a result could
// not be written, the next call, Flush and End return the error, and the target's progress
// follows from its intents.
func (r *Run) Result(res fleet.Result) error { return r.result(0, res) }

// result records a result, of this tick if there are any.
func (r *Run) result(tick int, res fleet.Result) error {
	if err := r.checkTarget(res.Target.Index); err != nil {
		return err
	}
	if res.Outcome == fleet.OutcomeNone || res.Outcome >= fleet.NumOutcomes {
		return fmt.Errorf("writing the result of target %d: %s is not an outcome", res.Target.Index, res.Outcome)
	}
	_, err := r.queue.put(event{index: int64(res.Target.Index), attempt: int64(res.Attempt), result: r.encode(tick, &res)})
	return err
}

// Flush returns when everything recorded so far is on disk.
func (r *Run) Flush() error {
	b, err := r.queue.newest()
	if err != nil {
		return err
	}
	<-b.done
	return b.err
}

// End records how the run ended, after everything before it has been written, and releases
// the run's lock. Its error lists everything that the journal lacks. Call End once.
func (r *Run) End(how Ending) error {
	err := fmt.Errorf("ending run %s: %w", r.info.Run, ErrEnded)
	r.once.Do(func() { err = r.end(how) })
	return err
}

func (r *Run) end(how Ending) error {
	errs := []error{r.stop()}
	if errs[0] == nil {
		ctx := context.Background() // a cancelled run must be ended too
		errs = append(errs, r.j.transact(ctx, func(tx *sql.Tx) error {
			_, err := tx.ExecContext(ctx, `UPDATE sessions SET ended = ?, interrupted = ?, exit = ?, error = ? WHERE run = ? AND n = ?`,
				r.j.opts.Now().UnixNano(), how.Interrupted, how.ExitCode, how.Failure, r.info.n, r.session)
			return err
		}))
		r.ended = errs[1] == nil
	}
	r.j.opts.hook(stepEnded)
	errs = append(errs, r.lock.release())
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("ending run %s: %w", r.info.Run, err)
	}
	return nil
}

// Amend changes the exit code that End recorded, after what came later: the end of a run
// must not wait for the reader of its output, on whom the exit code depends. It does
// nothing if no end was recorded.
func (r *Run) Amend(code int) error {
	if !r.ended {
		return nil
	}
	ctx := context.Background()
	err := r.j.transact(ctx, func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, `UPDATE sessions SET exit = ? WHERE run = ? AND n = ?`, code, r.info.n, r.session)
		return err
	})
	if err != nil {
		return fmt.Errorf("changing the exit code of run %s: %w", r.info.Run, err)
	}
	return nil
}

// abandon releases the run without recording an end, as the death of the process would.
func (r *Run) abandon() (err error) {
	r.once.Do(func() { err = errors.Join(r.stop(), r.lock.drop()) })
	return err
}

// stop waits until everything is written, and stops the writer.
func (r *Run) stop() error {
	r.queue.end(ErrEnded)
	<-r.stopped
	r.j.mu.Lock()
	delete(r.j.runs, r)
	r.j.mu.Unlock()
	if err := r.queue.failure(); !errors.Is(err, ErrEnded) {
		return fmt.Errorf("%d results are not in the journal: %w", r.missing, err)
	}
	return nil
}

func (r *Run) checkTarget(index int) error {
	if !r.indexes.has(index) {
		return fmt.Errorf("run %s has no target %d", r.info.Run, index)
	}
	return nil
}

// A resultRow is a result ready to be written: the columns from idx on, without seq, and
// those of its outputs that are not known to be stored.
type resultRow struct {
	columns  []any
	contents []content
	bytes    int // in memory, for the queue's bound
}

const insertResult = `INSERT INTO results (run, seq, idx, attempt, outcome, reason, phase, status, signal,
		stdout, stdout_size, stderr, stderr_size, record, tick, flags, took, sum)
	VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, nullif(?, 0), '', '', x'')`

// encode converts a result to its row. The caller of Result does this work, so that the
// writer does little but wait for the disk. The columns beside record are for queries.
func (r *Run) encode(tick int, res *fleet.Result) *resultRow {
	row := new(resultRow)
	var hashes [fleet.NumStreams]any // nil for no output
	short := *res
	for s, o := range []*fleet.Output{&short.Stdout, &short.Stderr} {
		if len(o.Bytes) > MaxOutput {
			o.Bytes = o.Bytes[:MaxOutput]
			short.Flags |= fleet.FlagOutputTruncated
		}
		if len(o.Bytes) == 0 {
			continue
		}
		hash := sha256.Sum256(o.Bytes)
		hashes[s] = hash[:]
		if !r.stored.has(hash) {
			k := r.j.compression.encode(hash, o.Bytes)
			row.contents = append(row.contents, k)
			row.bytes += len(k.data)
		}
	}
	row.columns = []any{
		int64(res.Target.Index), int64(res.Attempt), res.Outcome.String(), string(res.Reason), res.Phase.String(),
		int64(res.Status), res.Signal, hashes[fleet.Stdout], res.Stdout.Size, hashes[fleet.Stderr], res.Stderr.Size,
		string(record.AppendEnd(make([]byte, 0, 512), &short)), tick,
	}
	return row
}
