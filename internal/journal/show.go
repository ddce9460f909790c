package journal

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"errors"
	"fmt"
	"iter"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"shoal/fleet"
	"shoal/internal/hint"
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
	return [...]string{"not_started", "intended", "done"}[p]
}

// An Intent records that a command was about to be sent.
type Intent struct {
	Attempt int
	At      time.Time
	// Address is the address that was dialled for a target that has a name. It is not
	// valid if the target was reached in another way, or the program was an older one.
	Address netip.AddrPort

	index int // of the target
	seq   int64
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
	seq     int64 // of the last result; 0 means none
}

// Show returns the selected targets of a run in the order of their indexes, with their
// commands and output. The iteration ends at the first error. If that is ErrDamaged, the
// entries yielded before it may lack intents and results.
func (j *Journal) Show(ctx context.Context, run string, sel Selector) iter.Seq2[Entry, error] {
	return j.show(ctx, run, sel, false)
}

func (j *Journal) show(ctx context.Context, run string, sel Selector, answers bool) iter.Seq2[Entry, error] {
	return func(yield func(Entry, error) bool) {
		err := j.walkResults(ctx, run, answers, func(s *snapshot, e *Entry) error {
			if !sel(e) {
				return nil
			}
			if err := s.output(e); err != nil {
				return err
			}
			if !yield(*e, nil) {
				return errStop
			}
			return nil
		})
		if err != nil {
			yield(Entry{}, err)
		}
	}
}

// ShowTargets is Show for the targets with these indexes. It does not see whether other rows of
// the run are missing.
func (j *Journal) ShowTargets(ctx context.Context, run string, indexes []int) iter.Seq2[Entry, error] {
	return func(yield func(Entry, error) bool) {
		s, err := j.snapshot(ctx, run)
		if err == nil {
			err = s.entries(indexes, func(e *Entry) error {
				if err := s.output(e); err != nil {
					return err
				}
				if !yield(*e, nil) {
					return errStop
				}
				return nil
			})
			s.close()
		}
		if err != nil && !errors.Is(err, errStop) {
			yield(Entry{}, fmt.Errorf("reading run %s: %w", run, err))
		}
	}
}

// LoadOutput sets the output of an entry of Show of which the bytes were dropped to save
// memory.
func (j *Journal) LoadOutput(ctx context.Context, e *Entry) error {
	tx, err := j.read.BeginTx(ctx, nil)
	if err != nil {
		return explain(err)
	}
	s := &snapshot{ctx: ctx, tx: tx, j: j}
	defer s.close()
	return s.output(e)
}

// output sets the output of an entry.
func (s *snapshot) output(e *Entry) (err error) {
	for stream, o := range []*fleet.Output{&e.Stdout, &e.Stderr} {
		if e.output[stream] == nil {
			continue
		}
		if o.Bytes, err = s.content(1+stream, e.output[stream]); err != nil {
			return fmt.Errorf("output of target %d: %w", e.Target.Index, err)
		}
	}
	return nil
}

// Select returns the selected targets of a run in the order of their indexes, which they
// keep. It reads the whole run first and selects nothing from a damaged one (ErrDamaged).
// Targets have no command if the run kept none.
func (j *Journal) Select(ctx context.Context, run string, sel Selector) ([]fleet.Target, error) {
	var targets []fleet.Target
	err := j.walk(ctx, run, func(_ *snapshot, e *Entry) error {
		if sel(e) {
			targets = append(targets, e.Target)
		}
		return nil
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
	err := j.walk(ctx, run, func(_ *snapshot, e *Entry) error {
		sum.Add(e.Result)
		return nil
	})
	if err != nil {
		return nil, err
	}
	return sum, nil
}

// An Outline is what a run looks like in a list of runs.
type Outline struct {
	record.Summary
	// Hosts are the different hosts of the run, and Users the names that it logs in with,
	// each in the order of the input.
	Hosts, Users []string
	// Started and Waiting count the targets of a running run that have no result yet: with
	// an intent, and without. They are not in Summary.
	Started, Waiting int
	// Ticks are those of a watch; the results are then the last of each target.
	Ticks Ticks
}

// Outline reads the outline of a run.
func (j *Journal) Outline(ctx context.Context, run string) (*Outline, error) {
	o := new(Outline)
	hosts, users := make(map[string]bool), make(map[string]bool)
	add := func(seen map[string]bool, list *[]string, name string) {
		if name != "" && !seen[name] {
			seen[name] = true
			*list = append(*list, name)
		}
	}
	err := j.walk(ctx, run, func(s *snapshot, e *Entry) (err error) {
		if s.info.Watch() != "" && o.Ticks.Count == 0 {
			if o.Ticks, err = s.ticks(); err != nil {
				return err
			}
		}
		add(hosts, &o.Hosts, e.Target.Host.String())
		add(users, &o.Users, e.Target.User)
		switch {
		case s.info.State != Running || e.Progress == Done:
			o.Summary.Add(e.Result)
		case e.Progress == Intended:
			o.Started++
		default:
			o.Waiting++
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return o, nil
}

// errStop ends walk without an error.
var errStop = errors.New("stop")

// walk calls f for each entry, without output.
func (j *Journal) walk(ctx context.Context, run string, f func(*snapshot, *Entry) error) error {
	return j.walkResults(ctx, run, false, f)
}

// walkResults is walk; with answers, the result of each entry is its last answer.
func (j *Journal) walkResults(ctx context.Context, run string, answers bool, f func(*snapshot, *Entry) error) error {
	s, err := j.snapshot(ctx, run)
	if err == nil {
		s.answers = answers
		err = s.each(func(e *Entry) error { return f(s, e) })
		s.close()
	}
	if err != nil && !errors.Is(err, errStop) {
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
	// answers leaves out results that are no answers.
	answers bool

	contents *sql.Stmt // nil until content is called
	cache    [3]struct {
		hash  [sha256.Size]byte
		plain []byte
	} // the last command and the last output of each stream
}

func (j *Journal) snapshot(ctx context.Context, run string) (*snapshot, error) {
	if !validID(run) {
		return nil, ErrNoRun
	}
	// Ask before reading: a run that ends in between then appears as ended, not as crashed.
	running, err := held(j.dir, run)
	if err != nil {
		return nil, err
	}
	tx, err := j.read.BeginTx(ctx, nil)
	if err != nil {
		return nil, explain(err)
	}
	s := &snapshot{ctx: ctx, tx: tx, j: j}
	if s.info, err = j.readRun(ctx, tx, run, running); err != nil {
		s.close()
		return nil, err
	}
	return s, nil
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
	WHERE t.run = ?1`

// answered is the condition for results of commands that ran to their end by themselves.
const answered = `outcome IN ('ok', 'failed', 'signalled') AND reason = ''`

// each calls f for the entries in the order of their indexes, with commands but without
// output. It returns an error unless it could read the whole run and no row is missing.
func (s *snapshot) each(f func(*Entry) error) error {
	if err := s.entries(nil, f); err != nil {
		return err
	}
	return s.complete()
}

// complete returns ErrDamaged unless the run has all intents and results that its sessions
// wrote. Rows are never replaced: a later result of a target is another row.
func (s *snapshot) complete() error {
	var last, least, most, count int64
	if n := len(s.info.Sessions); n > 0 {
		last = s.info.Sessions[n-1].seq
	}
	if s.info.Watch() != "" { // old rows are removed while it runs
		if err := s.tx.QueryRowContext(s.ctx, `SELECT max((SELECT coalesce(max(seq), 0) FROM ticks WHERE run = ?1),
			(SELECT coalesce(max(seq), 0) FROM results WHERE run = ?1))`, s.info.n).Scan(&most); err != nil {
			return explain(err)
		}
		if most != last {
			return fmt.Errorf("%w: ticks and results numbered to %d, and %d were written", ErrDamaged, most, last)
		}
		return nil
	}
	if err := s.tx.QueryRowContext(s.ctx, `SELECT coalesce(min(seq), 1), coalesce(max(seq), 0), count(*) FROM (
		SELECT seq FROM intents WHERE run = ?1 UNION SELECT seq FROM results WHERE run = ?1)`,
		s.info.n).Scan(&least, &most, &count); err != nil {
		return explain(err)
	}
	if least != 1 || most != last || count != last {
		return hint.Wrap(fmt.Errorf("%w: %d intents and results of %d, numbered to %d", ErrDamaged, count, last, most),
			"bring back a copy of the journal; without one, only the hosts know what ran")
	}
	return nil
}

// entries does what each does, but does not look for missing intents and results. only, if not
// nil, are the indexes of the entries that are wanted.
func (s *snapshot) entries(only []int, f func(*Entry) error) error {
	intents, err := s.intents(0, only)
	if err != nil {
		return err
	}
	ticked := false
	if s.info.Watch() != "" && !s.answers {
		ticks, err := s.ticks()
		if err != nil {
			return err
		}
		ticked = ticks.Count > 0
	}
	count := 0
	err = query(s.ctx, s.tx, func(rows *sql.Rows) error {
		count++
		e, err := scanEntry(rows)
		if err != nil {
			return err
		}
		e.Intents, intents = intentsOf(intents, e.Target.Index)
		if e.seq == 0 && ticked { // the tick that was to have its first result
			e.Intents = []Intent{{seq: 1}}
		}
		e.conclude(s.info.State == Running)
		if !s.info.NoCommand {
			command, err := s.content(0, e.command)
			if err != nil {
				return fmt.Errorf("the command of target %d: %w", e.Target.Index, err)
			}
			e.Target.Command = string(command)
		}
		return f(e)
	}, s.selectEntries()+among("t.idx", only)+" ORDER BY t.idx", s.info.n)
	switch {
	case err != nil || only != nil:
		return err
	case len(intents) > 0:
		return fmt.Errorf("%w: there is no target %d for an intent", ErrDamaged, intents[0].index)
	case len(s.info.Sessions) > 0 && count != s.info.Targets:
		return fmt.Errorf("%w: %d targets of %d", ErrDamaged, count, s.info.Targets)
	}
	return nil
}

// selectEntries returns the query for the schema of the journal.
func (s *snapshot) selectEntries() string {
	text := selectEntries
	if s.answers {
		text = strings.Replace(text, "idx = t.idx)\n", "idx = t.idx AND "+answered+")\n", 1)
	}
	if s.j.schema < 3 { // the database is open for reading only
		text = strings.ReplaceAll(text, "r.record", "NULL")
	}
	return text
}

// intentsOf splits sorted intents behind those of the target with this index.
func intentsOf(intents []Intent, index int) (of, rest []Intent) {
	n := 0
	for n < len(intents) && intents[n].index == index {
		n++
	}
	return intents[:n:n], intents[n:]
}

// among returns the condition that column has one of the numbers; nil: it may have any.
func among(column string, only []int) string {
	if only == nil {
		return ""
	}
	numbers := make([]string, len(only))
	for i, n := range only {
		numbers[i] = strconv.Itoa(n)
	}
	return " AND " + column + " IN (" + strings.Join(numbers, ",") + ")"
}

// intents returns the intents of the run with a number above after, of all targets or, unless only
// is nil, of these, sorted by target and time.
func (s *snapshot) intents(after int64, only []int) (all []Intent, err error) {
	address := "address"
	if s.j.schema < 4 { // the database is open for reading only
		address = "NULL"
	}
	err = query(s.ctx, s.tx, func(rows *sql.Rows) error {
		var i Intent
		var at int64
		var address sql.NullString
		err := rows.Scan(&i.seq, &i.index, &i.Attempt, &at, &address)
		if err == nil && address.Valid {
			i.Address, err = netip.ParseAddrPort(address.String)
		}
		if err != nil {
			return fmt.Errorf("%w: an intent: %w", ErrDamaged, err)
		}
		i.At = time.Unix(0, at).UTC()
		all = append(all, i)
		return nil
	}, `SELECT seq, idx, attempt, at, `+address+` FROM intents WHERE run = ? AND seq > ?`+among("idx", only)+` ORDER BY idx, seq`, s.info.n, after)
	return all, err
}

// scanEntry reads a row of selectEntries.
func scanEntry(rows *sql.Rows) (*Entry, error) {
	e := new(Entry)
	var t fleet.Target
	var route, signal, failure sql.NullString
	var object sql.RawBytes // valid until the next row
	err := rows.Scan(&t.Index, &t.Host.Name, &t.Host.User, &t.Host.Port, &t.User, &t.Port, &route, &e.command,
		&e.seq, &e.output[fleet.Stdout], &e.output[fleet.Stderr], &object, &signal, &failure)
	if err != nil {
		return nil, fmt.Errorf("%w: a target: %w", ErrDamaged, err)
	}
	if route.Valid {
		if t.Route, err = decodeRoute(route.String); err != nil {
			return nil, err
		}
	}
	if e.seq > 0 {
		res, err := record.DecodeEnd(object)
		if err != nil {
			return nil, fmt.Errorf("%w: the result of target %d: %w", ErrDamaged, t.Index, err)
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
	return e, nil
}

// conclude sets Progress, and the result if none was written after the last intent.
func (e *Entry) conclude(running bool) {
	switch {
	case len(e.Intents) > 0 && e.Intents[len(e.Intents)-1].seq > e.seq:
		e.Progress = Intended
	case e.seq > 0:
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
	if s.contents == nil {
		var err error
		if s.contents, err = s.tx.PrepareContext(s.ctx, `SELECT size, coding, data FROM contents WHERE hash = ?`); err != nil {
			return nil, explain(err)
		}
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
	last.hash, last.plain = k.hash, plain
	return plain, nil
}
