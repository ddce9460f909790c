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

// A RunInfo is what is kept of a run as a whole.
type RunInfo struct {
	// Header names the run. Begin fills in Run, the identifier, and Targets, and
	// Started where it is zero. Command is "" when it was not kept.
	record.Header
	// NoCommand keeps no text of a command: neither this one nor those of the
	// targets. Only a hash of each is kept.
	NoCommand bool
	// Parent is the run whose targets these are, when some of them are run
	// again; "" means none.
	Parent string
	// Options are those of the run that matter to people who look at it later,
	// by their names. They must hold no secret.
	Options map[string]string
	// Settings are how the run was asked for. nil, in the journal, means that an
	// older program wrote the run, and that nobody knows.
	Settings *Settings

	// What follows is for reading; Begin ignores it.

	// State is how far it came.
	State State
	// Input is the hash of all targets, with their commands. Without texts of
	// commands it differs from run to run.
	Input [32]byte
	// Sessions are the processes that worked on it: one, and one more for each
	// time that it was resumed.
	Sessions []Session

	n       int64
	salt    []byte
	binding runSum
}

// Ended is when the last session ended; zero when it has not.
func (i *RunInfo) Ended() time.Time {
	if len(i.Sessions) == 0 {
		return time.Time{}
	}
	return i.Sessions[len(i.Sessions)-1].Ended
}

// SessionsOf gives the sessions in which the entry's command was about to be sent,
// the last one first, as Run.Session counts them.
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

// A State says how far a run came.
type State uint8

// The states.
const (
	// Ended: the last session said how it ended; it may have been interrupted.
	Ended State = iota
	// Running: a process works on it now.
	Running
	// Crashed: no process works on it, and its end was never written.
	Crashed
	// Incomplete: it was broken off before all its targets were written, so
	// nothing was started. It has no results, and cannot be resumed.
	Incomplete
)

func (s State) String() string {
	names := [...]string{"ended", "going", "broken_off", "never_began"}
	if int(s) >= len(names) {
		return fmt.Sprintf("invalid(%d)", uint8(s))
	}
	return names[s]
}

// A Session is one process that worked on a run.
type Session struct {
	PID     int
	Boot    string // tells apart the starts of the machine; "" where it is not known
	Started time.Time
	Ending
	// Ended is when it said how it ended; zero when it never did.
	Ended time.Time

	n   int64
	seq int64
}

// An Ending is how a session ended.
type Ending struct {
	Interrupted bool   // it was stopped before all targets had their turn
	ExitCode    int    // of our own process
	Failure     string // the run's own failure, for people; "" means none
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

// selectRun is for the schema that the database has: one that is only read may be
// an older one.
func (j *Journal) selectRun() string {
	fields := runFields
	if j.schema < 2 {
		fields = strings.Replace(fields, "settings", "NULL", 1)
	}
	return `SELECT ` + fields + ` FROM runs WHERE id = ?`
}

// values is the row of a run whose targets are all written, without checksum.
// n is not among them: it is no part of the run, only its place here.
func (i *RunInfo) values(options string, command, settings any) []any {
	return withSettings([]any{
		i.Run, i.Started.UnixNano(), i.Program, command, i.Parent, options, int64(i.Fanout), i.salt,
		int64(i.Targets), i.Input[:],
	}, settings)
}

// withSettings adds the settings to what a run's checksum is over, where it has
// any: the checksums of runs that have none are those of schema 1.
func withSettings(values []any, settings any) []any {
	if settings == nil {
		return values
	}
	return append(values, settings)
}

// decodeRun reads a row of runFields. A run that never began has no checksum.
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

// values is the row of a session without run and checksum.
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
