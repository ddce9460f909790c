package run

import (
	"crypto/rand"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/spf13/pflag"

	"shoal/internal/cli/flags"
	"shoal/internal/remote/wrap"
)

// RemoteFlags are the flags for the wrapper on the hosts.
type RemoteFlags struct {
	Once, killOnCancel, Detach bool
	remoteTimeout              flags.Seconds
	runDir                     string
	// Key is not a flag: 80 random bits in the names of the run's markers,
	// because runs of other programs may have the same name. "" in runs of
	// older programs.
	Key string
}

// NewMarkerKey returns a random Key.
func NewMarkerKey() string { return rand.Text()[:16] } // of 32 letters and digits

// Remote returns the flags as a group.
func (f *RemoteFlags) Remote() flags.FlagGroup {
	g := flags.NewGroup("Far end (the command goes there in a wrapper for sh)")
	g.BoolVar(&f.Once, "once", false, "leave a marker there that makes a second start impossible; shoal resolve reads it later")
	g.Var(&f.remoteTimeout, "remote-timeout", "have the far end stop the command after this time: TERM, and KILL 5s later (default: never)")
	g.BoolVar(&f.killOnCancel, "kill-on-cancel", false, "when a command is given up (Ctrl-C twice, --timeout, --command-timeout), kill its process group there")
	g.BoolVar(&f.Detach, "detach", false, "let the command run on there without us; shoal collect fetches what came of it")
	g.StringVar(&f.runDir, "run-dir", "", "the `DIR` for markers there (default: .local/state/shoal/marks in the account's home)")
	return g
}

// killGrace is the time between TERM and KILL.
const killGrace = 5 * time.Second

// Marked reports whether the hosts keep a marker.
func (f *RemoteFlags) Marked() bool { return f.Once || f.killOnCancel || f.Detach }

// Wrap returns the library's options for one process (session) of the run.
func (f *RemoteFlags) Wrap(run string, session int) wrap.Options {
	if f.Key != "" {
		run += "-" + f.Key
	}
	return wrap.Options{
		Run: run, Session: session,
		Once: f.Once, Killable: f.killOnCancel, Detach: f.Detach,
		Timeout: f.remoteTimeout.Duration(), Grace: killGrace, Dir: f.runDir,
	}
}

// Validate returns an error for flags that exclude each other. journalled
// reports whether the run is recorded in the journal.
func (f *RemoteFlags) Validate(journalled bool) error {
	switch {
	case f.runDir != "" && !f.Marked():
		return errors.New("--run-dir is for markers, which --once, --kill-on-cancel and --detach make")
	case f.Detach && f.killOnCancel:
		return errors.New("--detach lets go of the command, so that --kill-on-cancel has nothing to kill")
	case (f.Once || f.Detach) && !journalled:
		return errors.New("--once and --detach need the journal, which knows later where to ask\nhint: leave out --no-journal and --state-dir none")
	}
	return f.Wrap("run", 0).Validate()
}

// The names of these flags in the options that the journal keeps.
const (
	optionOnce    = "once"
	optionKill    = "kill-on-cancel"
	optionDetach  = "detach"
	optionTimeout = "remote-timeout"
	optionRunDir  = "run-dir"
	OptionKey     = "marker-key" // not a flag
)

var remoteOptions = []string{optionOnce, optionKill, optionDetach, optionTimeout, optionRunDir}

// Remembered returns the flags as the journal keeps them.
func (f *RemoteFlags) Remembered() map[string]string {
	options := make(map[string]string)
	for name, set := range map[string]bool{optionOnce: f.Once, optionKill: f.killOnCancel, optionDetach: f.Detach} {
		if set {
			options[name] = strconv.FormatBool(true)
		}
	}
	if f.remoteTimeout != 0 {
		options[optionTimeout] = f.remoteTimeout.String()
	}
	if f.Marked() && f.Key != "" {
		options[OptionKey] = f.Key
	}
	if f.runDir != "" {
		options[optionRunDir] = f.runDir
	}
	return options
}

// Recall sets those of these flags that are not given in flags from the options
// of an earlier run.
func Recall(options map[string]string, flags *pflag.FlagSet) error {
	for _, name := range remoteOptions {
		value, kept := options[name]
		if !kept || flags.Changed(name) {
			continue
		}
		if err := flags.Set(name, value); err != nil {
			return fmt.Errorf("the run's own --%s: %w", name, err)
		}
	}
	return nil
}
