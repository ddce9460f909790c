package remote

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"shoal/fleet"
)

// ErrNoReport means that there is no complete answer of ours: something else
// ran, or the answer was cut.
var ErrNoReport = errors.New("no complete answer of shoal's")

// A State says what is known of a marked command. The texts are part of the
// format.
type State string

// The states.
const (
	StateAbsent   State = "absent"   // no marker: not started yet, or forgotten
	StateClaimed  State = "claimed"  // a start has the marker, and has not begun
	StateNever    State = "never"    // it did not start and never will
	StateRunning  State = "running"  // its wrapper lives and waits for it
	StateOrphaned State = "orphaned" // processes of it live, its status will not be known
	StateEnded    State = "ended"    // its end is written down
	StateLost     State = "lost"     // it may have run, nothing of it lives, no end was written down
	StateUnclear  State = "unclear"  // the marker cannot be used, read, or judged from there
)

// A Cause says what ended a command.
type Cause string

// The causes, of a State ended.
const (
	CauseExit    Cause = "exit"    // by itself or by a signal from elsewhere
	CauseTimeout Cause = "timeout" // Wrap.Timeout
	CauseKilled  Cause = "killed"  // Marker.Kill, and with it what would have seen the status
)

// A Kill says what came of Marker.Kill.
type Kill string

// The verdicts on a kill. The number is the exit status that goes with it.
const (
	KillEnded   Kill = "ended"   // 0: it was alive and all of its group and session is gone
	KillGone    Kill = "gone"    // 10: nothing of it was alive, or it never started
	KillAlive   Kill = "alive"   // 11: it is still there after KILL
	KillUnclear Kill = "unclear" // 12: it has no group of its own, or its marker cannot be read
)

// A Chunk is a part of a detached command's output.
type Chunk struct {
	Bytes []byte // from From on
	From  int64  // the offset asked for
	Size  int64  // of the whole stream so far
}

// A Report is one answer. What was not asked for is zero.
type Report struct {
	State State
	// Cause and Status, from 0 to 255, count with StateEnded. A death by signal
	// n is 128+n.
	Cause  Cause
	Status uint8
	// Left says that processes of an ended command's group or session go on.
	Left bool
	// Up is the time since the machine was booted; -1 where it cannot tell.
	Up time.Duration
	// Kill is the verdict of Marker.Kill.
	Kill Kill
	// Stdout and Stderr are from Marker.Collect; their Bytes lie in the answer.
	Stdout, Stderr Chunk
	// Accepted is the receipt of a detached start: the marker is its own, the
	// command is about to begin.
	Accepted bool
	// Forgotten and Kept are from Marker.Forget; of them one is true.
	Forgotten, Kept bool
	// Removed and Remaining are from Sweep: old markers that are gone, and
	// those of them that had to stay.
	Removed, Remaining int
}

// Outcome translates the state. Only what is settled is a fact; see DidNotRun
// for never.
func (r Report) Outcome() fleet.Outcome {
	switch {
	case r.State == StateNever:
		return fleet.OutcomeNeverStarted
	case r.State != StateEnded:
		return fleet.OutcomeUnknown
	case r.Cause == CauseTimeout || r.Cause == CauseKilled:
		return fleet.OutcomeSignalled
	case r.Status == 0:
		return fleet.OutcomeOK
	}
	return fleet.OutcomeFailed
}

// syncTime is how long a file system may keep a new directory in memory: ext4
// and XFS write within 30 s.
const syncTime = time.Minute

// DidNotRun says whether a settled "never" is proof, when exec was sent so long
// ago: a machine that was booted since may have lost the marker of a start. A
// negative since, from a clock that was set back, proves nothing.
func (r Report) DidNotRun(since time.Duration) bool {
	return r.State == StateNever && since >= 0 && r.Up > since+syncTime
}

// Next are the offsets for the next Collect.
func (r Report) Next() Offsets {
	return Offsets{
		Stdout: r.Stdout.From + int64(len(r.Stdout.Bytes)),
		Stderr: r.Stderr.From + int64(len(r.Stderr.Bytes)),
	}
}

func header(nonce string) string { return "shoal/1 " + nonce }

// ParseReport finds the answer that carries the nonce in what a question's
// standard output was, after any noise. The bytes are the peer's: they are
// read within themselves only, and memory does not grow with them. Every error
// wraps ErrNoReport.
func ParseReport(nonce string, output []byte) (Report, error) {
	_, body, found := bytes.Cut(output, []byte(header(nonce)+"\n"))
	if !found {
		return Report{}, fmt.Errorf("%w: %d bytes without its first line, from %.80q\nhint: a forced command or an account without a shell answers in its own way", ErrNoReport, len(output), output)
	}
	r := Report{Up: -1}
	for {
		text, rest, found := bytes.Cut(body, []byte("\n"))
		if !found || len(text) > 200 {
			return Report{}, fmt.Errorf("%w: it stops at %.80q", ErrNoReport, text)
		}
		if string(text) == "end "+nonce {
			return r, nil
		}
		var err error
		if body, err = r.read(strings.Split(string(text), " "), rest); err != nil {
			return Report{}, fmt.Errorf("%w: line %.80q: %w", ErrNoReport, text, err)
		}
	}
}

// read takes one line, and what follows it of an output.
func (r *Report) read(words []string, rest []byte) ([]byte, error) {
	arguments := words[1:]
	switch words[0] {
	case "state":
		return rest, r.readState(arguments)
	case "up":
		n, err := numbers(arguments, 1)
		if err == nil {
			r.Up = time.Duration(min(n[0], int64(1<<33))) * time.Second
		}
		return rest, err
	case "kill":
		if len(arguments) != 1 || !slices.Contains([]Kill{KillEnded, KillGone, KillAlive, KillUnclear}, Kill(arguments[0])) {
			return nil, errors.New("no verdict")
		}
		r.Kill = Kill(arguments[0])
		return rest, nil
	case "out":
		return r.Stdout.read(arguments, rest)
	case "err":
		return r.Stderr.read(arguments, rest)
	case "swept":
		n, err := numbers(arguments, 2)
		if err == nil {
			r.Removed, r.Remaining = int(n[0]), int(n[1])
		}
		return rest, err
	}
	return rest, r.readFlag(words)
}

func (r *Report) readFlag(words []string) error {
	flags := map[string]*bool{"left": &r.Left, "accepted": &r.Accepted, "forgotten": &r.Forgotten, "kept": &r.Kept}
	flag := flags[words[0]]
	if flag == nil || len(words) != 1 {
		return errors.New("unknown")
	}
	*flag = true
	return nil
}

func (r *Report) readState(words []string) error {
	if len(words) == 3 && words[0] == string(StateEnded) {
		cause := Cause(words[1])
		status, err := strconv.ParseUint(words[2], 10, 8)
		if err != nil || !slices.Contains([]Cause{CauseExit, CauseTimeout, CauseKilled}, cause) {
			return errors.New("no cause and status")
		}
		r.State, r.Cause, r.Status = StateEnded, cause, uint8(status)
		return nil
	}
	states := []State{StateAbsent, StateClaimed, StateNever, StateRunning, StateOrphaned, StateLost, StateUnclear}
	if len(words) != 1 || !slices.Contains(states, State(words[0])) {
		return errors.New("no state")
	}
	r.State = State(words[0])
	return nil
}

// read takes size, offset and length, and then as many bytes and a newline.
func (c *Chunk) read(words []string, rest []byte) ([]byte, error) {
	n, err := numbers(words, 3)
	if err != nil {
		return nil, err
	}
	length := n[2]
	if length >= int64(len(rest)) || rest[length] != '\n' {
		return nil, errors.New("its output is not whole")
	}
	*c = Chunk{Size: n[0], From: n[1], Bytes: rest[:length:length]}
	return rest[length+1:], nil
}

// numbers reads exactly so many numbers, none negative.
func numbers(words []string, count int) ([]int64, error) {
	if len(words) != count {
		return nil, fmt.Errorf("want %d numbers", count)
	}
	values := make([]int64, count)
	for i, word := range words {
		value, err := strconv.ParseUint(word, 10, 63)
		if err != nil {
			return nil, fmt.Errorf("%.40q is no number", word)
		}
		values[i] = int64(value)
	}
	return values, nil
}
