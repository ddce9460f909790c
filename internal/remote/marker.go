package remote

import (
	"errors"
	"fmt"
	"path"
	"strconv"
	"strings"
	"time"
)

// DefaultDir is the run directory where [Marker.Dir] is empty, below the
// account's $HOME.
const DefaultDir = ".local/state/shoal/marks"

// MaxChunk is how many bytes of each stream one [Marker.Collect] fetches where
// its limit is 0.
const MaxChunk = 8 << 20

// A Marker names the place where the far end writes down what became of one
// attempt. Two starts of one marker are one start.
type Marker struct {
	// Run is the run's name: 1 to 64 letters, digits, and - . _ after the
	// first.
	Run string
	// Index is the target's place in the run, from 0.
	Index int
	// Attempt counts from 0. An attempt that is settled never starts, so that
	// the next one needs a number of its own.
	Attempt int
	// Dir is the run directory: absolute, of letters, digits and / . _ - + @ %
	// only. "" means DefaultDir. It is made where it is missing.
	Dir string
	// Shell is the far end's POSIX shell, an absolute path; "" means /bin/sh.
	Shell string
}

// Validate says what is wrong with the names.
func (m Marker) Validate() error {
	switch {
	case !isWord(m.Run, "-._", 64) || strings.ContainsAny(m.Run[:1], "-._"):
		return fmt.Errorf("run name %.80q: want 1 to 64 letters, digits, and - . _ after the first", m.Run)
	case m.Index < 0 || m.Attempt < 0:
		return fmt.Errorf("index %d, attempt %d: neither may be negative", m.Index, m.Attempt)
	}
	if m.Dir == "" {
		return validateShell(m.Shell)
	}
	if err := validatePath(m.Dir); err != nil {
		return fmt.Errorf("run directory: %w", err)
	}
	return validateShell(m.Shell)
}

func validateShell(shell string) error {
	if shell == "" {
		return nil
	}
	if err := validatePath(shell); err != nil {
		return fmt.Errorf("shell: %w", err)
	}
	return nil
}

func validatePath(name string) error {
	if !path.IsAbs(name) || path.Clean(name) != name || name == "/" || !isWord(name, "/._-+@%", 512) {
		return fmt.Errorf("%.80q: want an absolute path of letters, digits and / . _ - + @ %%, without .. and final /", name)
	}
	return nil
}

// isWord keeps what stands in a script free of everything that a shell reads.
func isWord(text, also string, limit int) bool {
	for _, c := range []byte(text) {
		letter := 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9'
		if !letter && strings.IndexByte(also, c) < 0 {
			return false
		}
	}
	return text != "" && len(text) <= limit
}

func (m Marker) name() string {
	name := m.Run + "-" + strconv.Itoa(m.Index)
	if m.Attempt > 0 {
		name += "." + strconv.Itoa(m.Attempt)
	}
	return name
}

// Look asks for the state and changes nothing. "absent" and "claimed" are not
// facts that last: a start may still be on its way.
func (m Marker) Look(nonce string) (string, error) {
	return m.question(nonce, "", `look; tell; fin 0;`)
}

// Settle asks for the state and makes it a fact: what has not started by now
// never will. Its states are never, running, ended, orphaned, lost, and unclear
// where the run directory cannot be used. See
// SettleClaimed for detached commands.
func (m Marker) Settle(nonce string) (string, error) {
	return m.question(nonce, "", `settle; tell; fin 0;`)
}

// SettleClaimed is Settle for a start that was accepted: a marker that is claimed
// becomes never, but one that is absent stays so, since the command had one and
// may have run.
func (m Marker) SettleClaimed(nonce string) (string, error) {
	return m.question(nonce, "", `check; look; tell; fin 0;`)
}

// Kill settles, and ends the command's process group and session: TERM, and
// KILL to what is left after grace, which is at most an hour; 0 means KILL
// follows at once. It then looks for up to 5 s whether all are gone. Its exit
// status is one of the Kill constants, and so is the answer's "kill".
func (m Marker) Kill(nonce string, grace time.Duration) (string, error) {
	if grace < 0 || grace > time.Hour {
		return "", fmt.Errorf("grace of %v: want 0 to 1h", grace)
	}
	tenths := int64((grace + 100*time.Millisecond - 1) / (100 * time.Millisecond))
	return m.question(nonce, assign("_d", strconv.FormatInt(tenths, 10)), killScript)
}

// Offsets are how many bytes of a detached command's output are there already.
type Offsets struct{ Stdout, Stderr int64 }

// Collect asks for the state and for the output of a detached command from the
// offsets on, at most limit bytes of each stream; 0 means MaxChunk. The state
// is older than the sizes: what is ended and not left has no more to come.
func (m Marker) Collect(nonce string, from Offsets, limit int64) (string, error) {
	if from.Stdout < 0 || from.Stderr < 0 || limit < 0 {
		return "", errors.New("an offset or a limit is negative")
	}
	if limit == 0 {
		limit = MaxChunk
	}
	return m.question(nonce, assign("_d", strconv.FormatInt(limit, 10)),
		fmt.Sprintf(`look; tell; data out %d; data err %d; fin 0;`, from.Stdout, from.Stderr))
}

// Forget removes the marker with its output, unless something of the command
// still runs. The attempt could then be started again.
func (m Marker) Forget(nonce string) (string, error) {
	return m.question(nonce, "", `check; look; tell; drop && echo forgotten || echo kept; fin 0;`)
}

// Sweep removes every marker in dir ("" means DefaultDir) in which nothing has
// happened for age, from one minute on, unless something still runs. The age
// must be longer than any start can be on its way.
func Sweep(nonce, dir string, age time.Duration) (string, error) {
	if age < time.Minute {
		return "", fmt.Errorf("age of %v: want at least 1m", age)
	}
	m := Marker{Run: "sweep", Dir: dir}
	return m.question(nonce, assign("_d", strconv.FormatInt(int64(age/time.Minute), 10)), sweepScript)
}

// question makes the line that asks.
func (m Marker) question(nonce, variables, script string) (string, error) {
	if err := errors.Join(m.Validate(), validateNonce(nonce)); err != nil {
		return "", err
	}
	return line(m.Shell, assign("_n", nonce)+m.variables()+variables+oneLine(toolScript+askScript+script), "")
}

func (m Marker) variables() string {
	dir := "${HOME:+$HOME/" + DefaultDir + "}"
	if m.Dir != "" {
		dir = m.Dir
	}
	return assign("_b", dir) + assign("_j", m.name()) + "_m=$_b/$_j; "
}

func assign(name, value string) string { return name + "=" + value + "; " }
