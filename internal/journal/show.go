package journal

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"errors"
	"fmt"
	"iter"
	"strings"
	"time"

	"shoal/fleet"
	"shoal/record"
)

// Progress is what the journal knows about a target.
type Progress uint8

// The values of Progress.
const (
	// NotStarted: no intent and no result. The command did not run.
	NotStarted Progress = iota
	// Intended: an intent and no later result. It is unknown whether the command ran;
	// while the run is running, the command may be running too.
	Intended
	// Done: the target has a result and no later intent.
	Done
)

func (p Progress) String() string {
	names := [...]string{"not_started", "intended", "done"}
	if int(p) >= len(names) {
		return fmt.Sprintf("invalid(%d)", uint8(p))
	}
	return names[p]
}

// An Intent records that a command was about to be sent.
type Intent struct {
	Attempt int
	At      time.Time

	seq int64
}

// An Entry is one target of a run with its intents and its result.
type Entry struct {
	// Result is the last result if the target is Done. Otherwise it follows from the
	// intents: unknown in phase exec for Intended; for NotStarted cancelled, or no
	// outcome while the run is running. Output is shared between entries and must not
	// be changed.
	fleet.Result
	// Progress is what is known about the target.
	Progress Progress
	// Intents are all intents of the target, in order.
	Intents []Intent

	// command and output are hashes; nil means no output.
	command []byte
	output  [fleet.NumStreams][]byte
}

// Show returns the selected targets of a run in the order of their indexes, with their
// commands and output. The iteration ends at the first error. If that is ErrDamaged, the
// entries yielded before it are intact.
func (j *Journal) Show(ctx context.Context, run string, sel Selector) iter.Seq2[Entry, error] {
	return func(yield func(Entry, error) bool) {
		err := j.walk(ctx, run, func(s *snapshot, e *Entry) (bool, error) {
			if !sel(e) {
				return true, nil
			}
			for stream, o := range []*fleet.Output{&e.Stdout, &e.Stderr} {
				if e.output[stream] == nil {
					continue
				}
				var err error
				if o.Bytes, err = s.content(1+stream, e.output[stream]); err != nil {
					return false, fmt.Errorf("output of target %d: %w", e.Target.Index, err)
				}
			}
			return yield(*e, nil), nil
		})
		if err != nil {
			yield(Entry{}, err)
		}
	}
}

// Select returns the selected targets of a run in the order of their indexes, which they
// keep. It reads the whole run first and selects nothing from a damaged one (ErrDamaged).
// Targets have no command if the run kept none.
func (j *Journal) Select(ctx context.Context, run string, sel Selector) ([]fleet.Target, error) {
	var targets []fleet.Target
	err := j.walk(ctx, run, func(_ *snapshot, e *Entry) (bool, error) {
		if sel(e) {
			targets = append(targets, e.Target)
		}
		return true, nil
	})
	if err != nil {
		return nil, err
	}
	return targets, nil
}

// Summary counts the targets of a run by outcome. For targets without a result it uses the
// one that Entry describes.
func (j *Journal) Summary(ctx context.Context, run string) (*record.Summary, error) {
	sum := new(record.Summary)
	err := j.walk(ctx, run, func(s *snapshot, e *Entry) (bool, error) {
		if n := len(s.info.Sessions); n > 0 {
			sum.Interrupted = s.info.Sessions[n-1].Interrupted
			if ended := s.info.Ended(); !ended.IsZero() {
				sum.Elapsed = max(0, ended.Sub(s.info.Started))
			}
		}
		sum.Add(e.Result)
		return true, nil
	})
	if err != nil {
		return nil, err
	}
	return sum, nil
}

// walk calls f for each entry, without output.
func (j *Journal) walk(ctx context.Context, run string, f func(*snapshot, *Entry) (bool, error)) error {
	s, err := j.snapshot(ctx, run)
	if err == nil {
		err = s.each(func(e *Entry) (bool, error) { return f(s, e) })
		s.close()
	}
	if err != nil {
		return fmt.Errorf("reading run %s: %w", run, err)
	}
	return nil
}

// A snapshot reads one run in one consistent state. It is not safe for concurrent use.
type snapshot struct {
	ctx  context.Context // of the whole read operation, which is a single call
	tx   *sql.Tx
	j    *Journal
	info *RunInfo

	contents *sql.Stmt
	cache    [3]cached // the last command and the last output of each stream
}

type cached struct {
	hash  [sha256.Size]byte
	plain []byte
}

func (j *Journal) snapshot(ctx context.Context, run string) (_ *snapshot, err error) {
	running, err := j.isRunning(run)
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
	if s.info, err = j.readRun(ctx, s.tx, run, running); err != nil {
		return nil, err
	}
	s.contents, err = s.tx.PrepareContext(ctx, `SELECT size, coding, data FROM contents WHERE hash = ?`)
	return s, explain(err)
}

func (s *snapshot) close() { _ = s.tx.Rollback() } // nothing was written

// selectEntries returns each target with its last result. Results of programs before
// schema 3 are converted to the form of record.AppendEnd, but for the last two columns: as
// JSON cannot have all their bytes.
const selectEntries = `SELECT t.idx, t.host, t.host_user, t.host_port, t.user, t.port, t.route, t.command,
	coalesce(r.seq, 0), r.stdout, r.stderr, coalesce(r.record, json_object(
		'outcome', outcome, 'reason', reason, 'phase', phase, 'attempt', attempt, 'exit_status', status,
		'flags', json(CASE flags WHEN '' THEN '[]' ELSE '["' || replace(flags, ',', '","') || '"]' END),
		'started', strftime('%FT%T', r.started / 1000000000, 'unixepoch') || printf('.%09dZ', r.started % 1000000000),
		'took_ns', json(took), 'stdout_size', stdout_size, 'stderr_size', stderr_size)),
	CASE WHEN r.record IS NULL THEN signal END, CASE WHEN r.record IS NULL THEN error END
	FROM targets t LEFT JOIN results r ON r.run = t.run AND r.idx = t.idx
		AND r.seq = (SELECT max(seq) FROM results WHERE run = t.run AND idx = t.idx)
	WHERE t.run = ? ORDER BY t.idx`

const selectIntents = `SELECT seq, idx, attempt, at FROM intents WHERE run = ? ORDER BY idx, seq`

// each calls yield for the entries in the order of their indexes, with commands but
// without output. It returns an error unless it could read the whole run.
func (s *snapshot) each(yield func(*Entry) (bool, error)) error {
	query := selectEntries
	if s.j.schema < 3 { // the database is open for reading only
		query = strings.ReplaceAll(query, "r.record", "NULL")
	}
	targets, err := s.tx.QueryContext(s.ctx, query, s.info.n)
	if err != nil {
		return explain(err)
	}
	defer func() { _ = targets.Close() }() // targets.Err has its error
	intents, err := s.tx.QueryContext(s.ctx, selectIntents, s.info.n)
	if err != nil {
		return explain(err)
	}
	defer func() { _ = intents.Close() }() // intents.Err has its error
	next := intentReader{rows: intents}
	for count := 0; ; count++ {
		if !targets.Next() {
			return s.finish(targets, &next, count)
		}
		e, seq, err := scanEntry(targets)
		if err != nil {
			return err
		}
		if err := next.take(e); err != nil {
			return err
		}
		e.conclude(seq, s.info.State == Running)
		if !s.info.NoCommand {
			command, err := s.content(0, e.command)
			if err != nil {
				return fmt.Errorf("the command of target %d: %w", e.Target.Index, err)
			}
			e.Target.Command = string(command)
		}
		if more, err := yield(e); err != nil || !more {
			return err
		}
	}
}

// finish checks that nothing is missing after all targets were read.
func (s *snapshot) finish(targets *sql.Rows, intents *intentReader, count int) error {
	if err := explain(targets.Err()); err != nil {
		return err
	}
	if err := intents.take(&Entry{Result: fleet.Result{Target: fleet.Target{Index: maxIndex + 1}}}); err != nil {
		return err
	}
	if len(s.info.Sessions) > 0 && count != s.info.Targets {
		return fmt.Errorf("%w: %d targets of %d", ErrDamaged, count, s.info.Targets)
	}
	return nil
}

// scanEntry reads a row of selectEntries; seq is 0 if the target has no result.
func scanEntry(rows *sql.Rows) (e *Entry, seq int64, err error) {
	e = new(Entry)
	var t fleet.Target
	var route, signal, failure sql.NullString
	var object sql.RawBytes // valid until the next row
	err = rows.Scan(&t.Index, &t.Host.Name, &t.Host.User, &t.Host.Port, &t.User, &t.Port, &route, &e.command,
		&seq, &e.output[fleet.Stdout], &e.output[fleet.Stderr], &object, &signal, &failure)
	if err != nil {
		return nil, 0, fmt.Errorf("%w: a target: %w", ErrDamaged, err)
	}
	if route.Valid {
		if t.Route, err = decodeRoute(route.String); err != nil {
			return nil, 0, err
		}
	}
	if seq > 0 {
		res, err := record.DecodeEnd(object)
		if err != nil {
			return nil, 0, fmt.Errorf("%w: the result of target %d: %w", ErrDamaged, t.Index, err)
		}
		e.Result = *res
		if signal.Valid {
			e.Signal = signal.String
		}
		if failure.Valid {
			e.Err = errors.New(failure.String)
		}
	}
	e.Target = t
	return e, seq, nil
}

// conclude sets Progress, and the result if none was written after the last intent. seq is
// that of the result.
func (e *Entry) conclude(seq int64, running bool) {
	switch {
	case len(e.Intents) > 0 && e.Intents[len(e.Intents)-1].seq > seq:
		e.Progress = Intended
	case seq > 0:
		e.Progress = Done
		return
	}
	e.Result, e.output = fleet.Result{Target: e.Target}, [fleet.NumStreams][]byte{}
	switch {
	case e.Progress == Intended:
		e.Attempt = e.Intents[len(e.Intents)-1].Attempt
		e.End = fleet.End{Outcome: fleet.OutcomeUnknown, Reason: fleet.ReasonInterrupted, Phase: fleet.PhaseExec}
	case !running:
		e.End = fleet.End{Outcome: fleet.OutcomeCancelled, Reason: fleet.ReasonInterrupted}
	}
}

// An intentReader reads the rows of selectIntents one target after the other.
type intentReader struct {
	rows   *sql.Rows
	unread bool // index and intent hold a row that was not taken
	index  int
	intent Intent
}

// take adds the next intents to e, whose index is higher than that of the last call. Other
// intents before them belong to no target.
func (r *intentReader) take(e *Entry) error {
	for {
		if !r.unread {
			if r.unread = r.rows.Next(); !r.unread {
				return explain(r.rows.Err())
			}
			var at int64
			if err := r.rows.Scan(&r.intent.seq, &r.index, &r.intent.Attempt, &at); err != nil {
				return fmt.Errorf("%w: an intent: %w", ErrDamaged, err)
			}
			r.intent.At = time.Unix(0, at).UTC()
		}
		switch {
		case r.index > e.Target.Index:
			return nil
		case r.index < e.Target.Index:
			return fmt.Errorf("%w: there is no target %d for an intent", ErrDamaged, r.index)
		}
		e.Intents = append(e.Intents, r.intent)
		r.unread = false
	}
}

// content returns the bytes with this hash. slot selects the cache entry to compare with:
// consecutive targets often have equal bytes.
func (s *snapshot) content(slot int, hash []byte) ([]byte, error) {
	last := &s.cache[slot]
	if last.plain != nil && string(last.hash[:]) == string(hash) {
		return last.plain, nil
	}
	if len(hash) != sha256.Size {
		return nil, fmt.Errorf("%w: %x is no hash of a content", ErrDamaged, hash)
	}
	k := content{hash: [sha256.Size]byte(hash)}
	err := s.contents.QueryRowContext(s.ctx, hash).Scan(&k.size, &k.coding, &k.data)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, fmt.Errorf("%w: content %x is missing", ErrDamaged, k.hash[:4])
	}
	if err != nil {
		return nil, explain(err)
	}
	plain, err := s.j.compression.decode(k)
	if err != nil {
		return nil, err
	}
	*last = cached{k.hash, plain}
	return plain, nil
}
