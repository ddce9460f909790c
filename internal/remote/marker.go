package remote

import (
	"errors"
	"fmt"
	"path"
	"strconv"
	"strings"
	"time"
)

// DefaultDir is the run directory, relative to the account's $HOME, if [Marker.Dir] is
// empty.
const DefaultDir = ".local/state/shoal/marks"

// MaxChunk is the number of bytes of each stream that one [Marker.Collect] fetches if its
// limit is 0.
const MaxChunk = 8 << 20

// A Marker identifies the directory in which the far end records the progress of one
// attempt. A marker can be started only once.
type Marker struct {
	// Run is the run's name: 1 to 64 letters, digits, and - . _ after the
	// first.
	Run string
	// Index is the target's index in the run, from 0.
	Index int
	// Attempt counts from 0. A settled attempt never starts, so the next one needs its own
	// number.
	Attempt int
	// Dir is the run directory: absolute, and only letters, digits and / . _ - + @ %. ""
	// means DefaultDir. It is created if it is missing.
	Dir string
	// Shell is the absolute path of the far end's POSIX shell; "" means /bin/sh.
	Shell string
}

// Validate returns an error if a field is not valid.
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

// isWord reports whether text has only letters, digits and bytes in also, so that no shell
// interprets it.
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

// Look queries the state and changes nothing. "absent" and "claimed" may change: a start
// may still arrive.
func (m Marker) Look(nonce string) (string, error) {
	return m.question(nonce, "", `look; tell; fin 0;`)
}

// Settle queries the state and makes it final: what has not started by now never will. The
// states are never, running, ended, orphaned, lost, and unclear if the run directory
// cannot be used. For detached commands see SettleClaimed.
func (m Marker) Settle(nonce string) (string, error) {
	return m.question(nonce, "", `settle; tell; fin 0;`)
}

// SettleClaimed is Settle for a start that was accepted. A claimed marker becomes never,
// but an absent one stays absent: the command had a marker once, so it may have run.
func (m Marker) SettleClaimed(nonce string) (string, error) {
	return m.question(nonce, "", `check; look; tell; fin 0;`)
}

// Kill settles the marker and ends the command's process group and session: it sends TERM,
// and after grace KILL to the remaining processes. grace is at most an hour; 0 means KILL
// at once. It then checks for up to 5 s whether all are gone. The exit status and the
// answer's "kill" are one of the Kill constants.
func (m Marker) Kill(nonce string, grace time.Duration) (string, error) {
	if grace < 0 || grace > time.Hour {
		return "", fmt.Errorf("grace of %v: want 0 to 1h", grace)
	}
	tenths := int64((grace + 100*time.Millisecond - 1) / (100 * time.Millisecond))
	return m.question(nonce, assign("_d", strconv.FormatInt(tenths, 10)), killScript)
}

// Offsets are the numbers of bytes of a detached command's output fetched so far.
type Offsets struct{ Stdout, Stderr int64 }

// Collect queries the state and a detached command's output from the offsets on, at most
// limit bytes of each stream; 0 means MaxChunk. The state is read before the sizes: a
// command that has ended and is not left writes no more output.
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

// Forget removes the marker with its output, unless a process of the command is alive.
// After that the attempt could be started again.
func (m Marker) Forget(nonce string) (string, error) {
	return m.question(nonce, "", `check; look; tell; drop && echo forgotten || echo kept; fin 0;`)
}

// Discard removes the marker if the command's end is recorded in it, also while processes
// that the command has left behind are alive. It is for markers whose result is stored:
// after that the attempt could be started again.
func (m Marker) Discard(nonce string) (string, error) {
	return m.question(nonce, "", `safe && over && rm -rf "$_m"; [ -e "$_m" ] || [ -L "$_m" ] && echo kept || echo forgotten; fin 0;`)
}

// Sweep removes every marker in dir ("" means DefaultDir) that has not changed for age and
// whose command has no live process. It leaves everything else alone. The state is unclear
// if dir cannot be used. age is at least one minute and must exceed the longest time that a
// start can be in transit.
func Sweep(nonce, dir string, age time.Duration) (string, error) {
	if age < time.Minute {
		return "", fmt.Errorf("age of %v: want at least 1m", age)
	}
	m := Marker{Run: "sweep", Dir: dir}
	return m.question(nonce, assign("_d", strconv.FormatInt(int64(age/time.Minute), 10)), sweepScript)
}

// SweepFiles removes what pushes of files have left in the directories and below them, in which nothing
// was written for some days, at least one. Links are not followed. The state is absent if one
// of the directories does not exist.
func SweepFiles(nonce string, dirs []string, days int) (string, error) {
	if days < 1 {
		return "", fmt.Errorf("age of %d days: want at least 1", days)
	}
	var roots strings.Builder
	for _, dir := range dirs {
		if dir == "" || strings.ContainsRune(dir, 0) {
			return "", errors.New("a directory is empty or has a NUL byte")
		}
		if dir[0] != '/' {
			dir = "./" + dir
		}
		roots.WriteString(assignAny("_p", dir+"/") + "\nroot;\n")
	}
	return Marker{Run: "sweep"}.question(nonce, assign("_d", strconv.Itoa(days)), strings.Replace(sweepFilesScript, "ROOTS", roots.String(), 1))
}

// question returns the command line of a query.
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
