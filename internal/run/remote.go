package run

import (
	"crypto/rand"
	"fmt"
	"strconv"
	"time"

	"shoal/internal/journal"
	"shoal/internal/remote/wrap"
	"shoal/internal/ssh"
)

// Remote says how the commands of a run are wrapped at the far end. The zero value
// does not wrap them.
type Remote struct {
	// Once leaves a marker that makes a second start impossible.
	Once bool
	// KillOnCancel kills the process group of a command that was given up: ctx has
	// ended, or the command timeout has passed. It leaves a marker.
	KillOnCancel bool
	// Detach lets a command run on without us; [Inquiry.Collect] fetches what came of
	// it. It leaves a marker.
	Detach bool
	// Timeout is the time after which the far end stops a command; 0 means never.
	Timeout time.Duration
	// Dir is the directory for markers; "" means remote.DefaultDir.
	Dir string
	// Input is the standard input of every command; nil means none. Its InputDigest, the
	// SHA-256 in hexadecimal, must be set too.
	Input       ssh.Input
	InputDigest string

	// key is 80 random bits in the names of the run's markers, because runs of other
	// programs may have the same name. "" in runs of older programs.
	key string
}

// grace is the time between TERM and KILL.
const grace = 5 * time.Second

// Marked reports whether the hosts keep a marker.
func (r Remote) Marked() bool { return r.Once || r.KillOnCancel || r.Detach }

// Validate returns an error for a value that is out of range.
func (r Remote) Validate() error { return r.wrap("run", 0).Validate() }

// wrap returns the wrapper for one process (session) of a run.
func (r Remote) wrap(run string, session int) wrap.Options {
	if r.key != "" {
		run += "-" + r.key
	}
	return wrap.Options{
		Run: run, Session: session,
		Once: r.Once, Killable: r.KillOnCancel, Detach: r.Detach,
		Timeout: r.Timeout, Grace: grace, Dir: r.Dir, Input: r.Input, InputDigest: r.InputDigest,
	}
}

func newKey() string { return rand.Text()[:16] } // of 32 letters and digits

// The names under which the journal keeps a Remote. All but optionKey and optionInput are
// values of flags of shoal run.
const (
	optionOnce    = "once"
	optionKill    = "kill-on-cancel"
	optionDetach  = "detach"
	optionTimeout = "remote-timeout"
	optionDir     = "run-dir"
	optionKey     = "marker-key"
	optionInput   = "stdin" // size and SHA-256
)

// RemoteOptions are the names of the options that are flags.
var RemoteOptions = []string{optionOnce, optionKill, optionDetach, optionTimeout, optionDir}

// options returns r as the journal keeps it.
func (r Remote) options() map[string]string {
	options := make(map[string]string)
	for name, set := range map[string]bool{optionOnce: r.Once, optionKill: r.KillOnCancel, optionDetach: r.Detach} {
		if set {
			options[name] = strconv.FormatBool(true)
		}
	}
	if r.Timeout != 0 {
		options[optionTimeout] = r.Timeout.String()
	}
	if r.Marked() && r.key != "" {
		options[optionKey] = r.key
	}
	if r.Dir != "" {
		options[optionDir] = r.Dir
	}
	if input := r.input(); input != "" {
		options[optionInput] = input
	}
	return options
}

// input returns size and SHA-256 of the input; "" if it has no bytes.
func (r Remote) input() string {
	if r.Input == nil || r.Input.Size() == 0 {
		return ""
	}
	return fmt.Sprintf("%d %s", r.Input.Size(), r.InputDigest)
}

// CheckInput returns an error unless r has the standard input that the commands of a run
// in the journal had.
func (r Remote) CheckInput(info *journal.RunInfo) error {
	switch had, has := info.Options[optionInput], r.input(); {
	case had == has:
		return nil
	case had == "":
		return fmt.Errorf("the commands of the run %s had no standard input\nhint: shoal run makes a new run with one", info.Run)
	case has == "":
		return fmt.Errorf("the commands of the run %s had a standard input (bytes and SHA-256: %s), which is needed again\nhint: give it with --stdin or --stdin-from FILE", info.Run, had)
	default:
		return fmt.Errorf("the standard input is not that of the run %s: bytes and SHA-256 are %s, and were %s", info.Run, has, had)
	}
}

// RemoteOf returns how the commands of a run in the journal were wrapped.
func RemoteOf(info *journal.RunInfo) (r Remote, err error) {
	for name, flag := range map[string]*bool{optionOnce: &r.Once, optionKill: &r.KillOnCancel, optionDetach: &r.Detach} {
		if text, kept := info.Options[name]; kept {
			if *flag, err = strconv.ParseBool(text); err != nil {
				return r, fmt.Errorf("the run's own --%s: %w", name, err)
			}
		}
	}
	if text, kept := info.Options[optionTimeout]; kept {
		if r.Timeout, err = time.ParseDuration(text); err != nil {
			return r, fmt.Errorf("the run's own --%s: %w", optionTimeout, err)
		}
	}
	r.Dir, r.key = info.Options[optionDir], info.Options[optionKey]
	return r, nil
}
