package journal

import (
	"cmp"
	"encoding/json"
	"fmt"
	"math"
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
	// NoCommand keeps no command text, neither of the run nor of its targets, only a
	// hash of each.
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
	// Input is the SHA-256 hash of all targets and their commands. With NoCommand it
	// is different for every run.
	Input [32]byte
	// Sessions are the processes that worked on the run: one, plus one for each
	// resume.
	Sessions []Session

	n       int64
	salt    []byte
	binding runSum
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
		n, _ := slices.BinarySearchFunc(i.Sessions, intent.seq, func(s Session, seq int64) int { return cmp.Compare(s.seq, seq) })
		if len(sessions) == 0 || sessions[len(sessions)-1] != n {
			sessions = append(sessions, n)
		}
	}
	return sessions
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
	names := [...]string{"ended", "going", "broken_off", "never_began"}
	if int(s) >= len(names) {
		return fmt.Sprintf("invalid(%d)", uint8(s))
	}
	return names[s]
}

// A Session is one process that works or worked on a run.
type Session struct {
	PID     int
	Boot    string // identifies the boot of the machine; "" if unknown
	Started time.Time
	Ending
	// Ended is when the session recorded its end; zero if it never did.
	Ended time.Time

	n   int64
	seq int64
}

// An Ending is how a session ended.
type Ending struct {
	Interrupted bool   // it was stopped before all targets were processed
	ExitCode    int    // exit code of our own process
	Failure     string // error of the run as a whole; "" means none
}

func (i *RunInfo) encodeOptions() (string, error) {
	options := i.Options
	if options == nil {
		options = map[string]string{}
	}
	text, err := json.Marshal(options)
	return string(text), err
}

const (
	runFields  = `n, id, started, program, command, parent, options, fanout, salt, targets, input, settings, sum`
	runColumns = 13
)

// selectRun returns the query for the database's schema. A database opened read-only
// may have an older schema.
func (j *Journal) selectRun() string {
	fields := runFields
	if j.schema < 2 {
		fields = strings.Replace(fields, "settings", "NULL", 1)
	}
	return `SELECT ` + fields + ` FROM runs WHERE id = ?`
}

// values returns the columns of a complete run that its checksum covers. n is not one
// of them: it depends on the database, not on the run.
func (i *RunInfo) values(options string, command, settings any) []any {
	return withSettings([]any{
		i.Run, i.Started.UnixNano(), i.Program, command, i.Parent, options, int64(i.Fanout), i.salt,
		int64(i.Targets), i.Input[:],
	}, settings)
}

// withSettings appends the settings, if any, to the values that the checksum covers.
// Without settings the checksum is that of schema 1.
func withSettings(values []any, settings any) []any {
	if settings == nil {
		return values
	}
	return append(values, settings)
}

// decodeRun decodes a row of runFields. An incomplete run has no checksum.
func decodeRun(row []any) (*RunInfo, error) {
	i := new(RunInfo)
	c := columns{row: row}
	i.n = c.number(math.MaxInt64)
	i.Run = c.text()
	i.Started = c.time()
	i.Program = c.text()
	if command := c.optional(); command != nil {
		i.Command = *command
	} else {
		i.NoCommand = true
	}
	i.Parent = c.text()
	options := c.text()
	i.Fanout = int(c.number(math.MaxInt32))
	i.salt = c.hash()
	if !validID(i.Run) {
		c.fail("%.40q is no identifier of a run", i.Run)
	}
	if c.err == nil && row[9] == nil {
		i.State = Incomplete
	} else {
		i.Targets = int(c.number(math.MaxInt32))
		copy(i.Input[:], c.hash())
		i.binding = sumRun(i.Run, i.Input[:])
		if settings := c.optional(); settings != nil && c.err == nil {
			i.Settings, c.err = decodeSettings(*settings)
		}
		if c.err == nil {
			checked := append(withSettings(slices.Clone(row[1:11]), row[11]), row[12])
			c.err = new(rowSum).check(i.binding, "runs", checked)
		}
	}
	if c.err != nil {
		return nil, c.err
	}
	if err := json.Unmarshal([]byte(options), &i.Options); err != nil {
		return nil, fmt.Errorf("%w: the options of run %s: %w", ErrDamaged, i.Run, err)
	}
	return i, nil
}

const (
	selectSessions = `SELECT run, n, pid, boot, started, ended, interrupted, exit, error, seq, sum
		FROM sessions WHERE run = ? ORDER BY n`
	sessionColumns = 11
)

// values returns the row of a session without run and checksum.
func (s *Session) values() []any {
	var ended any
	if !s.Ended.IsZero() {
		ended = s.Ended.UnixNano()
	}
	interrupted := int64(0)
	if s.Interrupted {
		interrupted = 1
	}
	return []any{
		s.n, int64(s.PID), s.Boot, s.Started.UnixNano(), ended, interrupted, int64(s.ExitCode), s.Failure, s.seq,
	}
}

func decodeSession(row []any) (s Session, err error) {
	c := columns{row: row}
	_ = c.number(math.MaxInt64) // the run
	s.n = c.number(math.MaxInt32)
	s.PID = int(c.number(math.MaxInt32))
	s.Boot = c.text()
	s.Started, s.Ended = c.time(), c.time()
	s.Interrupted = c.number(1) == 1
	s.ExitCode = int(c.number(math.MaxInt32))
	s.Failure = c.text()
	s.seq = c.number(math.MaxInt64)
	return s, c.err
}
