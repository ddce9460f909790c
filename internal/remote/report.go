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
	"shoal/internal/hint"
)

// ErrNoReport means that the output has no complete answer: something else ran, or the
// answer was cut off.
var ErrNoReport = errors.New("no complete answer of shoal's")

// A State is what is known about a marked command. The texts are part of the format.
type State string

// The states.
const (
	StateAbsent   State = "absent"   // no marker: not started yet, or forgotten
	StateClaimed  State = "claimed"  // a start has created the marker, but not begun
	StateNever    State = "never"    // it did not start and never will
	StateRunning  State = "running"  // its wrapper is alive and waits for it
	StateOrphaned State = "orphaned" // processes are alive, its status will not be known
	StateEnded    State = "ended"    // its end was recorded
	StateLost     State = "lost"     // it may have run, has no live process and no recorded end
	StateUnclear  State = "unclear"  // the marker cannot be used, read, or judged from this host
)

// A Cause is what ended a command.
type Cause string

// The causes of StateEnded.
const (
	CauseExit    Cause = "exit"    // by itself or by a signal from elsewhere
	CauseTimeout Cause = "timeout" // Wrap.Timeout
	CauseKilled  Cause = "killed"  // Marker.Kill; the wrapper died too, so the status is lost
)

// A Kill is the result of Marker.Kill.
type Kill string

// The results of a kill, each with its exit status.
const (
	KillEnded   Kill = "ended"   // 0: it was alive, and all of its group and session is gone
	KillRest    Kill = "rest"    // 0: it had ended, and what was left of its group and session is gone
	KillGone    Kill = "gone"    // 10: none of its processes was alive, or it never started
	KillAlive   Kill = "alive"   // 11: some processes are alive after KILL
	KillUnclear Kill = "unclear" // 12: it has no group of its own, or its marker cannot be read
)

// A Chunk is a part of a detached command's output.
type Chunk struct {
	Bytes []byte // from From on
	From  int64  // the offset asked for
	Size  int64  // of the whole stream so far
}

// A Report is a parsed answer. Fields that were not queried are zero.
type Report struct {
	State State
	// Cause and Status (0 to 255) are set with StateEnded. Death by signal n is 128+n.
	Cause  Cause
	Status uint8
	// Left reports that processes of an ended command's group or session are alive or
	// cannot be looked for.
	Left bool
	// Machine tells the machine that answered, and its process namespace, from others; ""
	// if unknown.
	Machine string
	// Up is the time since the machine booted; -1 if unknown.
	Up time.Duration
	// Kill is the result of Marker.Kill.
	Kill Kill
	// Stdout and Stderr are from Marker.Collect; their Bytes are slices of the answer.
	Stdout, Stderr Chunk
	// Missing reports that a file of a detached command's output is missing.
	Missing bool
	// Accepted is the receipt of a detached start: it owns the marker and is about to
	// begin the command.
	Accepted bool
	// Forgotten and Kept are from Marker.Forget and Marker.Discard; exactly one of them is true.
	Forgotten, Kept bool
	// Removed and Remaining are from Sweep: the numbers of old markers that were removed
	// and that had to stay.
	Removed, Remaining int
	// Noise reports that something came before the answer, such as text of login scripts.
	Noise bool
}

// Outcome translates the state to an outcome. It is only final for a settled marker; for
// StateNever see DidNotRun.
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

// syncTime is an upper bound on how long a file system keeps a new directory in memory:
// ext4 and XFS write it within 30 s.
const syncTime = time.Minute

// DidNotRun reports whether a settled "never" proves that the command did not run, where
// since is the time since exec was sent. If the machine has booted since then, the marker
// of a start may be lost; if that was longer ago than the least age at which markers
// are swept, the marker of a command that ran may have been removed. A negative since,
// from a clock that was set back, proves nothing.
func (r Report) DidNotRun(since time.Duration) bool {
	return r.State == StateNever && since >= 0 && since < MinSweepAge && r.Up > since+syncTime
}

// MinSweepAge is the least age of markers that Sweep may remove.
const MinSweepAge = 24 * time.Hour

// Next returns the offsets for the next Collect.
func (r Report) Next() Offsets {
	return Offsets{
		Stdout: r.Stdout.From + int64(len(r.Stdout.Bytes)),
		Stderr: r.Stderr.From + int64(len(r.Stderr.Bytes)),
	}
}

func header(nonce string) string { return "shoal/1 " + nonce }

// ParseReport finds the answer with the nonce in the standard output of a query, after any
// noise. The bytes come from an untrusted peer: reads stay within output, and memory does
// not grow with it. Every error wraps ErrNoReport.
func ParseReport(nonce string, output []byte) (Report, error) {
	before, body, found := bytes.Cut(output, []byte(header(nonce)+"\n"))
	if !found {
		return Report{}, hint.Wrap(fmt.Errorf("%w: %d bytes without its first line, from %.80q", ErrNoReport, len(output), output),
			"a forced command or an account without a shell answers in its own way")
	}
	r := Report{Up: -1, Noise: len(bytes.TrimSpace(before)) > 0} // an answer begins with an empty line
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

// read parses one line and the output that follows it, and returns the rest.
func (r *Report) read(words []string, rest []byte) ([]byte, error) {
	arguments := words[1:]
	switch words[0] {
	case "state":
		return rest, r.readState(arguments)
	case "at":
		r.Machine = strings.Join(arguments, " ")
		return rest, nil
	case "up":
		n, err := numbers(arguments, 1)
		if err == nil {
			r.Up = time.Duration(min(n[0], int64(1<<33))) * time.Second
		}
		return rest, err
	case "kill":
		if len(arguments) != 1 || !slices.Contains([]Kill{KillEnded, KillRest, KillGone, KillAlive, KillUnclear}, Kill(arguments[0])) {
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
	flags := map[string]*bool{"left": &r.Left, "missing": &r.Missing, "accepted": &r.Accepted, "forgotten": &r.Forgotten, "kept": &r.Kept}
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

// read parses size, offset and length, and then length bytes and a newline.
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

// numbers parses exactly count non-negative numbers.
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
