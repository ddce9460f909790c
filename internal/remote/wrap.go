package remote

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// MaxTimeout is the longest [Wrap.Timeout]: what every sleep(1) takes, less the
// time by which the watch outlives it.
const MaxTimeout = (1<<31-1)*time.Second - watchSlack

const watchSlack = 2 * time.Hour

// A Wrap says what is made of a command. The zero value leaves it as it is.
type Wrap struct {
	// Nonce marks what the wrapper itself says; see NewNonce. It is needed
	// unless the Wrap is zero.
	Nonce string
	// Marker, where it is not nil, makes a second start of it impossible and
	// keeps how the command ended.
	Marker *Marker
	// Rerun lets a later attempt start though an earlier one has been started, or
	// may have been. Without it such a start is refused.
	Rerun bool
	// Group starts the command in a process group of which the marker knows, so
	// that Marker.Kill can prove its end. It needs a Marker. Without the means
	// for it the command is refused.
	Group bool
	// Timeout is when the command's process group gets TERM, from its start,
	// rounded up to seconds; 0 means never. The wrapper then dies by SIGALRM, or
	// by SIGKILL with what outlives the grace.
	Timeout time.Duration
	// Grace is how long after TERM what is left gets KILL, rounded up to
	// seconds; 0 means 5 s. It counts with Timeout.
	Grace time.Duration
	// Detach lets the command run on without us: its standard input is empty,
	// its output goes into the marker, and the answer is a receipt at once. It
	// needs a Marker.
	Detach bool
	// FileLimit is how many bytes a detached command may write into any one
	// file (ulimit -f), rounded up to 512; 0 means no limit. It holds for its
	// own files too, beyond it the command gets SIGXFSZ: there is no other way
	// to bound the output without a process in between.
	FileLimit int64
	// Sentinel puts a line "shoal/1 NONCE" before the command's standard
	// output; see Cutter.
	Sentinel bool
	// Shell is the far end's POSIX shell where there is no Marker, an absolute
	// path; "" means /bin/sh.
	Shell string
}

// Validate says what does not go together.
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
	switch {
	case w.Marker == nil && (w.Group || w.Detach):
		return errors.New("a process group to kill and a detached command need a marker")
	case w.Rerun && w.Marker == nil:
		return errors.New("a rerun is of a marker")
	case w.Timeout < 0 || w.Timeout > MaxTimeout || w.Grace < 0 || w.Grace > time.Hour:
		return fmt.Errorf("timeout %v with grace %v: want 0 to %v and 0 to 1h", w.Timeout, w.Grace, MaxTimeout)
	case w.FileLimit < 0 || w.FileLimit > 0 && !w.Detach:
		return errors.New("a file limit is positive and for detached commands")
	case w.Detach && w.Sentinel:
		return errors.New("a detached command has a receipt and no sentinel")
	}
	return nil
}

// Line gives what is sent instead of the command. A command with a NUL byte and
// one whose line is longer than MaxLine are errors.
func (w Wrap) Line(command string) (string, error) {
	if err := w.Validate(); err != nil {
		return "", fmt.Errorf("wrapping a command: %w", err)
	}
	if strings.IndexByte(command, 0) >= 0 {
		return "", errors.New("wrapping a command: it has a NUL byte")
	}
	if w == (Wrap{}) {
		return command, nil
	}
	if w.Sentinel {
		command = "echo " + header(w.Nonce) + "\n" + command
	}
	argument, encoded := encode(command)
	text, err := line(w.shell(), w.script(encoded), argument)
	if err != nil {
		return "", fmt.Errorf("wrapping a command: %w", err)
	}
	return text, nil
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

// script joins the parts that are asked for, in the order in which they run.
func (w Wrap) script(encoded bool) string {
	var b strings.Builder
	b.WriteString(assign("_n", w.Nonce) + assign("_i", w.shell()))
	if w.Marker != nil {
		b.WriteString(w.Marker.variables())
	}
	add := func(condition bool, part string) {
		if condition {
			b.WriteString(oneLine(part) + " ")
		}
	}
	b.WriteString(handOver)
	add(true, startScript)
	add(encoded, decodeScript)
	add(!encoded, `_c=$2;`)
	add(w.Group || w.Timeout > 0, groupScript)
	add(w.Marker != nil, toolScript)
	add(w.Marker != nil, w.claim())
	add(w.Detach, detachScript)
	add(w.Marker != nil, beginScript)
	add(w.Detach, acceptScript)
	add(w.Timeout > 0, w.watch())
	add(true, w.run())
	add(w.Timeout > 0, unwatchScript)
	add(w.Timeout > 0 && w.Marker != nil, `[ $_r = 9 ] && ends "timeout $_s";`)
	add(w.Timeout > 0, timedOutScript)
	add(w.Marker != nil, `ends "exit $_s";`)
	add(true, `exit $_s`)
	return strings.TrimSuffix(b.String(), " ")
}

// claim makes the part that claims the marker, and settles the attempts before.
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

func (w Wrap) run() string {
	limit := ""
	if w.FileLimit > 0 {
		limit = fmt.Sprintf("ulimit -f %d; ", (w.FileLimit+511)/512)
	}
	return strings.Replace(runScript, "LIMIT", limit, 1)
}

func (w Wrap) watch() string {
	grace := w.Grace
	if grace == 0 {
		grace = 5 * time.Second
	}
	note := ""
	if w.Marker != nil {
		note = `[ -s "$_m/end" ] || ends "timeout 137";`
	}
	return strings.NewReplacer(
		"SECONDS", seconds(w.Timeout), "TENTHS", seconds(w.Timeout)+"0", "GRACE", seconds(grace), "HOLD", seconds(w.Timeout+watchSlack), "NOTE", note,
		"SIGNALS", signals, "FAULTS", faults,
	).Replace(watchScript)
}

// seconds rounds up, since not every sleep(1) takes fractions.
func seconds(d time.Duration) string {
	return fmt.Sprint(int64((d + time.Second - 1) / time.Second))
}
