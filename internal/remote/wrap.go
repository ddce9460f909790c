package remote

import (
	"cmp"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// MaxTimeout is the maximum of [Wrap.Timeout]: the longest time that every sleep(1)
// accepts, less the time by which the watch outlives it.
const MaxTimeout = (1<<31-1)*time.Second - watchSlack

const watchSlack = 2 * time.Hour

// A Wrap describes how a command is wrapped. The zero value leaves it unchanged.
type Wrap struct {
	// Nonce identifies the wrapper's own output; see NewNonce. It is required unless the
	// Wrap is zero.
	Nonce string
	// Marker, if not nil, prevents a second start with the same marker and records how the
	// command ended.
	Marker *Marker
	// Rerun allows a later attempt to start even if an earlier one has started or may
	// have. Without it such a start is refused.
	Rerun bool
	// Group starts the command in a process group recorded in the marker, so that
	// Marker.Kill can prove its end. It needs a Marker. If no group can be created, the
	// command is refused.
	Group bool
	// Timeout is the time from its start after which the command's process group gets
	// TERM, rounded up to seconds; 0 means never. The wrapper then dies by SIGALRM, or by
	// SIGKILL together with processes that outlive the grace.
	Timeout time.Duration
	// Grace is the time from TERM to KILL, rounded up to seconds; 0 means 5 s. It has an
	// effect only with Timeout.
	Grace time.Duration
	// Detach lets the command run on after we disconnect: its output goes to the marker, and the answer is an immediate receipt. It needs a
	// Marker.
	Detach bool
	// FileLimit is the maximum number of bytes that a detached command may write to any
	// one file (ulimit -f), rounded up to 512; 0 means no limit. It also limits the
	// command's own files, and beyond it the command gets SIGXFSZ: without a process in
	// between, the output cannot be limited in another way.
	FileLimit int64
	// Input is the size in bytes of the command's standard input; 0 means none. It
	// matters to a command that is detached, which starts when all of the input is
	// stored on the host, or that itself comes through standard input.
	Input int64
	// InputDigest is the SHA-256 of the input in hexadecimal; "" means that only its size
	// is checked.
	InputDigest string
	// Place is where and with what the command runs; nil means as the host has it.
	Place *Place
	// Secrets are further variables, whose values must be sent through standard input before
	// anything else; nil means none. It does not go with Detach.
	Secrets *Secrets
	// Script, if not nil, is run in place of a command: its bytes must be sent through
	// standard input before the command's own.
	Script *Script
	// Confirm writes the line of [Confirmation] to the standard error when the command has
	// ended by itself and its end is recorded. It needs a Marker, and has no effect with
	// Detach.
	Confirm bool
	// Room leaves BecomeRoom bytes of the line free, for a Become.
	Room bool
	// Shell is the absolute path of the far end's POSIX shell if Marker does not name one;
	// "" means /bin/sh.
	Shell string
}

// Validate returns an error if a field is out of range or fields contradict each other.
func (w Wrap) Validate() error {
	if w == (Wrap{}) {
		return nil
	}
	if err := errors.Join(validateNonce(w.Nonce), validateShell(w.Shell)); err != nil {
		return err
	}
	if w.Marker != nil {
		if err := w.Marker.Validate(); err != nil {
			return err
		}
	}
	if w.Place != nil {
		if err := w.Place.Validate(); err != nil {
			return err
		}
	}
	switch {
	case w.Marker == nil && (w.Group || w.Detach):
		return errors.New("a process group to kill and a detached command need a marker")
	case w.Confirm && w.Marker == nil:
		return errors.New("a confirmation is about a marker")
	case w.Rerun && w.Marker == nil:
		return errors.New("a rerun is of a marker")
	case w.Timeout < 0 || w.Timeout > MaxTimeout || w.Grace < 0 || w.Grace > time.Hour:
		return fmt.Errorf("timeout %v with grace %v: want 0 to %v and 0 to 1h", w.Timeout, w.Grace, MaxTimeout)
	case w.Input < 0 || w.InputDigest != "" && (len(w.InputDigest) != 64 || !isWord(w.InputDigest, "", 64)):
		return errors.New("an input has a size of at least 0 and a SHA-256 of 64 digits")
	case w.FileLimit < 0 || w.FileLimit > 0 && !w.Detach:
		return errors.New("a file limit is positive and for detached commands")
	case w.Secrets != nil && w.Detach:
		return errors.New("a detached command cannot have secret variables: they would be stored")
	}
	return nil
}

// check returns an error unless the wrapper and the command are valid.
func (w Wrap) check(command string) error {
	if err := w.Validate(); err != nil {
		return fmt.Errorf("wrapping a command: %w", err)
	}
	if strings.IndexByte(command, 0) >= 0 {
		return errors.New("wrapping a command: it has a NUL byte")
	}
	return nil
}

func (w Wrap) shell() string {
	if w.Marker != nil && w.Marker.Shell != "" {
		return w.Marker.Shell
	}
	if w.Shell != "" {
		return w.Shell
	}
	return defaultShell
}

// script joins the required parts in the order in which they run. encoded means that $2 is
// the encoded command; received, if not empty, is the command that comes through standard
// input instead.
func (w Wrap) script(encoded bool, received string) string {
	big := received != "" || w.Script != nil
	var b strings.Builder
	b.WriteString(assign("_n", w.Nonce) + assign("_i", w.shell()))
	if w.Marker != nil {
		b.WriteString(w.Marker.variables())
	}
	add := func(condition bool, part string) {
		if condition && part != "" {
			b.WriteString(oneLine(part) + " ")
		}
	}
	b.WriteString(handOver)
	add(true, startScript)
	add(encoded, decodeScript)
	add(!encoded && received == "", `_c=$2;`)
	add(w.Group || w.Timeout > 0, groupScript)
	add(w.Marker != nil, toolScript)
	add(true, w.Place.script())
	add(true, w.Secrets.script())
	add(true, w.Script.before())
	add(w.Timeout > 0, w.timed(guardScript, big, time.Second))
	add(w.Marker != nil, w.claim())
	add(true, w.receive(received))
	add(w.Detach, detachScript)
	add(w.stored(), inputScript)
	add(received != "", sourceScript)
	add(w.Marker != nil, beginScript)
	add(w.Detach, acceptScript)
	add(w.Timeout > 0, w.timed(watchScript, big, 0))
	add(true, w.run(received != ""))
	add(big, w.discard())
	add(w.Timeout > 0, unwatchScript)
	add(w.Timeout > 0 && w.Marker != nil, `[ $_r = 9 ] && ends "timeout $_s";`)
	add(w.Timeout > 0, timedOutScript)
	add(w.Marker != nil, `ends "exit $_s";`)
	add(w.Confirm && !w.Detach, `echo "shoal/1 $_n recorded" >&3;`)
	add(true, `exit $_s`)
	return strings.TrimSuffix(b.String(), " ")
}

// claim returns the part that claims the marker and settles the earlier attempts.
func (w Wrap) claim() string {
	earlier := ""
	if w.Marker != nil && w.Marker.Attempt > 0 {
		rerun := ""
		if w.Rerun {
			rerun = "true ||"
		}
		first := *w.Marker
		first.Attempt = 0
		earlier = strings.NewReplacer("ATTEMPT", strconv.Itoa(w.Marker.Attempt), "NAME", first.name(), "RERUN", rerun).Replace(earlierScript)
	}
	return strings.Replace(claimScript, "EARLIER", earlier, 1)
}

func (w Wrap) run(big bool) string {
	limit := ""
	if w.FileLimit > 0 {
		limit = fmt.Sprintf("ulimit -f %d; ", (w.FileLimit+511)/512)
	}
	if big {
		limit += asArgument
	}
	script, program := strings.Replace(runScript, "LIMIT", limit, 1), accountShell
	if s := w.Script; s != nil {
		program = s.program()
		start := `eval "set -- $_c"; shift; exec ` + program
		if w.Input == 0 {
			start += " </dev/null"
		}
		if !w.Detach {
			script = strings.Replace(script, "( umask", `echo "shoal/1 $_n script"; echo "shoal/1 $_n script" >&3; ( umask`, 1)
		}
		script = strings.Replace(script, "exec "+accountShell+` -c "$_c"`, start, 1)
	}
	return w.Place.run(w.Secrets.run(script), program)
}

// Limits returns the time after which the far end sends TERM, and that from then to KILL, as it measures
// them.
func (w Wrap) Limits() (limit, grace time.Duration) {
	whole := func(d time.Duration) time.Duration { return (d + time.Second - 1).Truncate(time.Second) }
	return whole(w.Timeout), whole(cmp.Or(w.Grace, 5*time.Second))
}

// timed fills in the times of a script, which are longer by slack.
func (w Wrap) timed(script string, big bool, slack time.Duration) string {
	_, grace := w.Limits()
	note := ""
	if w.Marker != nil {
		note = `[ -s "$_m/end" ] || ends "timeout 137";`
	}
	if big {
		note += " " + w.discard()
	}
	return strings.NewReplacer(
		"SECONDS", seconds(w.Timeout+slack), "TENTHS", seconds(w.Timeout)+"0", "GRACE", seconds(grace+slack), "HOLD", seconds(w.Timeout+watchSlack), "NOTE", note,
		"SIGNALS", signals, "FAULTS", faults,
	).Replace(script)
}

// seconds rounds up, because not every sleep(1) accepts fractions.
func seconds(d time.Duration) string {
	return fmt.Sprint(int64((d + time.Second - 1) / time.Second))
}

// Confirmation returns the line of [Wrap.Confirm], with its newline. It may follow output
// that does not end in one.
func Confirmation(nonce string) string { return header(nonce) + " recorded\n" }

// ScriptStarted returns the line, with its newline, that the wrapper writes to both streams
// directly before a Script starts, unless it is detached. It proves that the wrapper has
// run: what a forced command answers, or a login script writes before, is not the script's.
func ScriptStarted(nonce string) string { return header(nonce) + " script\n" }
