package journal

import (
	"cmp"
	"context"
	"crypto/rand"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"shoal/record"
)

// A RunInfo describes a run as a whole.
type RunInfo struct {
	// Header names the run. Begin sets Run, the identifier, and Targets, and sets
	// Started if it is zero. Command is "" if it was not kept.
	record.Header
	// NoCommand keeps no command text, neither of the run nor of its targets.
	NoCommand bool
	// Parent is the run from which the targets were taken when some of them are run
	// again; "" means none.
	Parent string
	// Options are options of the run, by name, for people who look at it later. They
	// must not contain secrets.
	Options map[string]string
	// Settings are how the run was requested. When read from the journal, nil means
	// that an older program wrote the run and the settings are unknown.
	Settings *Settings

	// The following fields are for reading; Begin ignores them.

	// State is how far the run has come.
	State State
	// Sessions are the processes that worked on the run: one, plus one for each
	// resume.
	Sessions []Session

	n int64 // by which other tables refer to the run
}

// Ended returns when the last session ended, or the zero time if it has not ended.
func (i *RunInfo) Ended() time.Time {
	if len(i.Sessions) == 0 {
		return time.Time{}
	}
	return i.Sessions[len(i.Sessions)-1].Ended
}

// SessionsOf returns the sessions in which the entry's command was about to be sent,
// the last one first. Session numbers are those of Run.Session.
func (i *RunInfo) SessionsOf(e *Entry) []int {
	var sessions []int
	for _, intent := range slices.Backward(e.Intents) {
		n := i.sessionOf(&intent)
		if len(sessions) == 0 || sessions[len(sessions)-1] != n {
			sessions = append(sessions, n)
		}
	}
	return sessions
}

// AddressOf returns the address of the entry's last intent in a session.
func (i *RunInfo) AddressOf(e *Entry, session int) netip.AddrPort {
	for _, intent := range slices.Backward(e.Intents) {
		if i.sessionOf(&intent) == session {
			return intent.Address
		}
	}
	return netip.AddrPort{}
}

func (i *RunInfo) sessionOf(intent *Intent) int {
	n, _ := slices.BinarySearchFunc(i.Sessions[:max(0, len(i.Sessions)-1)], intent.seq, func(s Session, seq int64) int {
		return cmp.Compare(s.seq, seq)
	})
	return n
}

// A State is how far a run has come.
type State uint8

// The states.
const (
	// Ended: the last session recorded its end; it may have been interrupted.
	Ended State = iota
	// Running: a process is working on the run now.
	Running
	// Crashed: no process is working on the run, and its end was never recorded.
	Crashed
	// Incomplete: the program died before all targets were written. No command was
	// started, there are no results, and the run cannot be resumed.
	Incomplete
)

func (s State) String() string {
	return [...]string{"ended", "running", "crashed", "incomplete"}[s]
}

// A Session is one process that works or worked on a run.
type Session struct {
	Started time.Time
	Ending
	// Ended is when the session recorded its end; zero if it never did.
	Ended time.Time

	n   int64 // from 1
	seq int64 // the last intent or result that it or a session before wrote; 0 means none
}

// An Ending is how a session ended.
type Ending struct {
	Interrupted bool   // it was stopped before all targets were processed
	ExitCode    int    // exit code of our own process
	Failure     string // error of the run as a whole; "" means none
}

const (
	// Crockford's alphabet: no letter looks like a digit, and identifiers sort like
	// the numbers they encode.
	idDigits = "0123456789abcdefghjkmnpqrstvwxyz"

	idTime = 9 // digits of milliseconds since 1970; they last until the year 3084
	idRand = 4 // random digits for runs that begin in the same millisecond
)

// newID returns a new identifier such as 01hf2kq3z-7m4c. Identifiers sort by time,
// and the last part is short enough to type.
func newID(now time.Time) string {
	var id [idTime + 1 + idRand]byte
	ms := uint64(now.UnixMilli())
	for i := idTime - 1; i >= 0; i-- {
		id[i] = idDigits[ms&31]
		ms >>= 5
	}
	id[idTime] = '-'
	random := id[idTime+1:]
	_, _ = rand.Read(random) // crypto/rand never fails
	for i, b := range random {
		random[i] = idDigits[b&31]
	}
	return string(id[:])
}

func validID(id string) bool {
	if len(id) != idTime+1+idRand || id[idTime] != '-' {
		return false
	}
	return strings.Trim(id[:idTime]+id[idTime+1:], idDigits) == ""
}

// Run returns a run by its whole identifier. The errors are ErrNoRun, ErrDamaged, or
// errors of the database.
func (j *Journal) Run(ctx context.Context, id string) (*RunInfo, error) {
	s, err := j.snapshot(ctx, id)
	if err != nil {
		return nil, fmt.Errorf("reading run %s: %w", id, err)
	}
	s.close()
	return s.info, nil
}

// readRun reads a run and its sessions.
func (j *Journal) readRun(ctx context.Context, tx *sql.Tx, id string, running bool) (*RunInfo, error) {
	settings := "settings"
	if j.schema < 2 { // the database is open for reading only
		settings = "NULL"
	}
	info := &RunInfo{Header: record.Header{Run: id}}
	var command, encoded sql.NullString
	var targets, started sql.NullInt64
	var options string
	err := tx.QueryRowContext(ctx, `SELECT n, started, program, command, parent, options, fanout, targets, `+settings+`
		FROM runs WHERE id = ?`, id).Scan(
		&info.n, &started, &info.Program, &command, &info.Parent, &options, &info.Fanout, &targets, &encoded)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, ErrNoRun
	}
	if err != nil {
		return nil, explain(err)
	}
	info.Command, info.NoCommand = command.String, !command.Valid
	info.Started, info.Targets = timeOf(started), int(targets.Int64)
	if encoded.Valid {
		if info.Settings, err = decodeSettings(encoded.String); err != nil {
			return nil, err
		}
	}
	if err := json.Unmarshal([]byte(options), &info.Options); err != nil {
		return nil, fmt.Errorf("%w: the options of a run: %w", ErrDamaged, err)
	}
	if info.Sessions, err = readSessions(ctx, tx, info.n); err != nil {
		return nil, err
	}
	switch {
	case targets.Valid != (len(info.Sessions) > 0): // one transaction writes both
		return nil, fmt.Errorf("%w: %d sessions, and targets: %v", ErrDamaged, len(info.Sessions), targets)
	case running && info.Ended().IsZero():
		info.State = Running
	case !targets.Valid:
		info.State = Incomplete
	case info.Ended().IsZero():
		info.State = Crashed
	}
	return info, nil
}

func readSessions(ctx context.Context, tx *sql.Tx, run int64) (sessions []Session, err error) {
	err = query(ctx, tx, func(rows *sql.Rows) error {
		var s Session
		var started, ended sql.NullInt64
		if err := rows.Scan(&s.n, &started, &ended, &s.Interrupted, &s.ExitCode, &s.Failure, &s.seq); err != nil {
			return fmt.Errorf("%w: a session: %w", ErrDamaged, err)
		}
		s.Started, s.Ended = timeOf(started), timeOf(ended)
		sessions = append(sessions, s)
		if n := len(sessions); int(s.n) != n {
			return fmt.Errorf("%w: session %d is missing", ErrDamaged, n)
		}
		return nil
	}, `SELECT n, started, ended, interrupted, exit, error, seq FROM sessions WHERE run = ? ORDER BY n`, run)
	return sessions, err
}

// timeOf returns the zero time for NULL.
func timeOf(ns sql.NullInt64) time.Time {
	if !ns.Valid {
		return time.Time{}
	}
	return time.Unix(0, ns.Int64).UTC()
}
