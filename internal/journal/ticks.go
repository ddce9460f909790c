package journal

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"strings"
	"time"

	"shoal/fleet"
	"shoal/record"
)

// A Tick is one round of a watch: a run whose command is started on the targets again and again.
// Its record is the intent of all its commands.
type Tick struct {
	N       int       // from 1, without gaps
	Started time.Time // when its first command could be sent
	Late    time.Duration
	Missed  int   // ticks that were left out before it, because this process was late
	Without []int // indexes of the targets left out; nil: none

	// The following fields are set when it has ended.

	// Ended is zero if the tick goes on, or was broken off: what became of its commands is then
	// unknown where no result says it.
	Ended time.Time
	// Outcomes counts all its targets, those whose results were not written too.
	Outcomes [fleet.NumOutcomes]int
}

// optionWatch is the option that makes a run a watch: its schedule, for people.
const optionWatch = "watch"

// SetWatch makes the run a watch with this schedule, before Begin: a duration, or the fields of
// --cron.
func (i *RunInfo) SetWatch(schedule string) {
	if i.Options == nil {
		i.Options = make(map[string]string)
	}
	i.Options[optionWatch] = schedule
}

// Watch returns the schedule of a watch; "" for any other run.
func (i *RunInfo) Watch() string { return i.Options[optionWatch] }

// Ticks are what a watch has done.
type Ticks struct {
	Count, Missed int
	Last          Tick // the zero Tick if there is none
}

const insertTick = `INSERT INTO ticks (run, seq, n, started, late, missed, without) VALUES (?, ?, ?, ?, ?, ?, ?)`

// BeginTick writes a tick, and returns when that is on disk. Only then may its commands be sent.
func (r *Run) BeginTick(t Tick) error {
	without, err := json.Marshal(t.Without)
	if err != nil {
		return fmt.Errorf("writing a tick: %w", err)
	}
	return r.wait(event{tick: func(ctx context.Context, tx *sql.Tx, seq int64) error {
		_, err := tx.ExecContext(ctx, insertTick, r.info.n, seq, t.N, t.Started.UnixNano(), t.Late.Nanoseconds(), t.Missed, string(without))
		return err
	}})
}

// EndTick records the end of a tick, behind what was recorded before. It does not wait for the
// disk: the next BeginTick or End does.
func (r *Run) EndTick(t Tick) error {
	counts := make(map[string]int)
	for o, n := range t.Outcomes {
		if n > 0 {
			counts[fleet.Outcome(o).String()] = n
		}
	}
	outcomes, err := json.Marshal(counts)
	if err != nil {
		return fmt.Errorf("writing the end of a tick: %w", err)
	}
	_, err = r.queue.put(event{tick: func(ctx context.Context, tx *sql.Tx, seq int64) error {
		_, err := tx.ExecContext(ctx, `UPDATE ticks SET seq = ?, ended = ?, outcomes = ? WHERE run = ? AND n = ?`,
			seq, t.Ended.UnixNano(), string(outcomes), r.info.n, t.N)
		return err
	}})
	return err
}

// TickResult is Result for a target of a tick. A watch writes the first result of each target,
// and those that differ from the one before.
func (r *Run) TickResult(n int, res fleet.Result) error { return r.result(n, res) }

// Ticks returns what a watch has done.
func (j *Journal) Ticks(ctx context.Context, run string) (Ticks, error) {
	var t Ticks
	s, err := j.snapshot(ctx, run)
	if err == nil {
		t, err = s.ticks()
		s.close()
	}
	if err != nil {
		return t, fmt.Errorf("reading the ticks of run %s: %w", run, err)
	}
	return t, nil
}

func (s *snapshot) ticks() (t Ticks, err error) {
	if s.j.schema < 5 {
		return t, nil
	}
	var started, ended sql.NullInt64
	var n, late, missed sql.NullInt64
	var without, outcomes sql.NullString
	// n has no gaps, also where old ticks were removed; missed is then that of those which are left.
	err = s.tx.QueryRowContext(s.ctx, `SELECT n, started, ended, late, missed, without, outcomes,
		(SELECT sum(missed) FROM ticks WHERE run = ?1) FROM ticks WHERE run = ?1 ORDER BY n DESC LIMIT 1`, s.info.n).
		Scan(&n, &started, &ended, &late, &missed, &without, &outcomes, &t.Missed)
	if errors.Is(err, sql.ErrNoRows) {
		return Ticks{}, nil
	}
	if err != nil {
		return t, explain(err)
	}
	t.Count = int(n.Int64)
	t.Last = Tick{N: t.Count, Started: timeOf(started), Ended: timeOf(ended), Late: time.Duration(late.Int64), Missed: int(missed.Int64)}
	counts := make(map[string]int)
	err = json.Unmarshal([]byte(without.String), &t.Last.Without)
	if err == nil && outcomes.Valid {
		err = json.Unmarshal([]byte(outcomes.String), &counts)
	}
	if err != nil {
		return t, fmt.Errorf("%w: tick %d: %w", ErrDamaged, t.Count, err)
	}
	for name, count := range counts {
		o, err := fleet.ParseOutcome(name)
		if err != nil {
			return t, fmt.Errorf("%w: tick %d: %w", ErrDamaged, t.Count, err)
		}
		t.Last.Outcomes[o] = count
	}
	return t, nil
}

// LastWatch returns the watch of this command that was begun last, other than the run except.
// The error is ErrNoRun if there is none.
func (j *Journal) LastWatch(ctx context.Context, command, except string) (string, error) {
	ids, err := queryColumn[string](ctx, j.read, `SELECT id FROM runs WHERE command = ? AND id != ? AND targets IS NOT NULL
		AND options ->> '`+optionWatch+`' IS NOT NULL ORDER BY n DESC LIMIT 1`, command, except)
	switch {
	case err != nil:
		return "", fmt.Errorf("looking for an earlier watch: %w", err)
	case len(ids) == 0:
		return "", ErrNoRun
	}
	return ids[0], nil
}

// Answers returns the targets of a watch with the last answer of each: the result of a command
// that ran to its end by itself. Targets that never gave one are left out.
func (j *Journal) Answers(ctx context.Context, run string) iter.Seq2[Entry, error] {
	return j.show(ctx, run, func(e *Entry) bool { return e.Progress == Done }, true)
}

// A Change is a result that a watch has written.
type Change struct {
	Tick int
	At   time.Time // when the tick began
	fleet.Result
}

// AnswerChanges returns the last results of a watch that were not the first of their targets, at most
// limit of them, in the order of their writing. They have no output.
func (j *Journal) AnswerChanges(ctx context.Context, run string, limit int) (changes []Change, err error) {
	s, err := j.snapshot(ctx, run)
	if err == nil {
		defer s.close()
		err = query(ctx, s.tx, func(rows *sql.Rows) error {
			var c Change
			var t fleet.Target
			var at sql.NullInt64
			var object sql.RawBytes
			if err := rows.Scan(&c.Tick, &at, &t.Index, &t.Host.Name, &t.Host.User, &t.Host.Port, &object); err != nil {
				return fmt.Errorf("%w: a result: %w", ErrDamaged, err)
			}
			res, err := record.DecodeEnd(object)
			if err != nil {
				return fmt.Errorf("%w: a result of target %d: %w", ErrDamaged, t.Index, err)
			}
			c.Result, c.At = *res, timeOf(at)
			c.Target = t
			changes = append(changes, c)
			return nil
		}, `SELECT tick, started, idx, host, host_user, host_port, record FROM (
			SELECT r.seq, r.tick, k.started, t.idx, t.host, t.host_user, t.host_port, r.record FROM results r
			JOIN targets t ON t.run = r.run AND t.idx = r.idx LEFT JOIN ticks k ON k.run = r.run AND k.n = r.tick
			WHERE r.run = ?1 AND r.tick > 1 ORDER BY r.seq DESC LIMIT ?2) ORDER BY seq`, s.info.n, limit)
	}
	if err != nil {
		return nil, fmt.Errorf("reading the changes of run %s: %w", run, err)
	}
	return changes, nil
}

// ResultsOf returns the last results of a target that a watch has written, the newest first, at most
// limit of them. They have no Target.
func (j *Journal) ResultsOf(ctx context.Context, run string, index, limit int) (results []Change, err error) {
	s, err := j.snapshot(ctx, run)
	if err == nil {
		defer s.close()
		results, err = s.resultsOf(index, limit)
	}
	if err != nil {
		return nil, fmt.Errorf("reading target %d of run %s: %w", index, run, err)
	}
	return results, nil
}

func (s *snapshot) resultsOf(index, limit int) (results []Change, err error) {
	var hashes [][fleet.NumStreams][]byte
	err = query(s.ctx, s.tx, func(rows *sql.Rows) error {
		var c Change
		var tick, at sql.NullInt64
		var object sql.RawBytes
		var out [fleet.NumStreams][]byte
		if err := rows.Scan(&tick, &at, &out[fleet.Stdout], &out[fleet.Stderr], &object); err != nil {
			return fmt.Errorf("%w: a result: %w", ErrDamaged, err)
		}
		res, err := record.DecodeEnd(object)
		if err != nil {
			return fmt.Errorf("%w: a result: %w", ErrDamaged, err)
		}
		c.Result, c.Tick, c.At = *res, int(tick.Int64), timeOf(at)
		results, hashes = append(results, c), append(hashes, out)
		return nil
	}, `SELECT r.tick, k.started, r.stdout, r.stderr, r.record FROM results r LEFT JOIN ticks k ON k.run = r.run AND k.n = r.tick
		WHERE r.run = ? AND r.idx = ? ORDER BY r.seq DESC LIMIT ?`, s.info.n, index, limit)
	for i := range results {
		for stream, o := range []*fleet.Output{&results[i].Stdout, &results[i].Stderr} {
			if err == nil && hashes[i][stream] != nil {
				o.Bytes, err = s.content(1+stream, hashes[i][stream])
			}
		}
	}
	return results, err
}

// Trim bounds what a watch keeps while it runs: the last ticks, and of each target the last
// results, with its last answer in any case. No result of the run may be recorded meanwhile.
// Space in the file is used again, and not returned before Prune.
func (r *Run) Trim(ctx context.Context, ticks, results int) error {
	err := r.Flush()
	if err == nil {
		err = r.trim(ctx, ticks, results)
	}
	if err != nil {
		return fmt.Errorf("removing what is old from run %s: %w", r.info.Run, err)
	}
	return nil
}

func (r *Run) trim(ctx context.Context, ticks, results int) error {
	n := r.info.n
	err := r.j.deleteSteps(ctx, `DELETE FROM ticks WHERE (run, n) IN (SELECT run, n FROM ticks WHERE run = ?1
		AND n <= (SELECT max(n) FROM ticks WHERE run = ?1) - ?2 LIMIT ?3)`, n, ticks, stepRows)
	if err != nil {
		return err
	}
	// Which are the last is found once for all; no result is written meanwhile.
	old, err := queryColumn[string](ctx, r.j.read, `SELECT json_array(idx, seq) FROM (SELECT seq, idx,
		row_number() OVER (PARTITION BY idx ORDER BY seq DESC) AS back,
		max(CASE WHEN `+answered+` THEN seq END) OVER (PARTITION BY idx) AS answer
		FROM results WHERE run = ?1) WHERE back > ?2 AND seq IS NOT answer`, n, results)
	if err != nil || len(old) == 0 {
		return err
	}
	r.stored.forget() // contents may go with the rows
	for len(old) > 0 {
		step := old[:min(stepRows, len(old))]
		old = old[len(step):]
		if err := r.j.step(ctx, func(tx *sql.Tx) error {
			_, err := tx.ExecContext(ctx, `DELETE FROM results WHERE (run, idx, seq) IN (
				SELECT ?1, value ->> 0, value ->> 1 FROM json_each(?2))`, n, "["+strings.Join(step, ",")+"]")
			return err
		}); err != nil {
			return err
		}
	}
	return r.j.removeContents(ctx, `used = `+fmt.Sprint(n))
}

// deleteSteps repeats a statement that removes at most stepRows rows until none is left.
func (j *Journal) deleteSteps(ctx context.Context, text string, args ...any) error {
	for removed := int64(stepRows); removed == stepRows; {
		if err := j.step(ctx, func(tx *sql.Tx) error {
			done, err := tx.ExecContext(ctx, text, args...)
			if err == nil {
				removed, err = done.RowsAffected()
			}
			return err
		}); err != nil {
			return err
		}
	}
	return nil
}
