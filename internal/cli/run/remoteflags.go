package run

import (
	"errors"
	"fmt"

	"github.com/spf13/pflag"

	"shoal/internal/cli/flags"
	"shoal/internal/hint"
	"shoal/internal/run"
)

// RemoteFlags are the flags for the wrapper on the hosts.
type RemoteFlags struct {
	Wrapper run.Remote
}

// Remote returns the flags as a group.
func (f *RemoteFlags) Remote() flags.FlagGroup {
	g := flags.NewGroup("Far end (the command goes there in a wrapper for sh)")
	w := &f.Wrapper
	g.BoolVar(&w.Once, "once", false, "leave a marker there that makes a second start impossible; shoal resolve reads it later")
	g.Var((*flags.Seconds)(&w.Timeout), "remote-timeout", "have the far end stop the command after this time: TERM, and KILL 5s later (default: never)")
	g.BoolVar(&w.KillOnCancel, "kill-on-cancel", false, "when a command is given up (Ctrl-C twice, --timeout, --command-timeout), kill its process group there")
	g.BoolVar(&w.Detach, "detach", false, "let the command run on there without us; shoal collect fetches what came of it")
	g.StringVar(&w.Dir, "run-dir", "", "the `DIR` for markers there (default: .local/state/shoal/marks in the account's home)")
	return g
}

// Validate returns an error for flags that exclude each other. journalled
// reports whether the run is recorded in the journal.
func (f *RemoteFlags) Validate(journalled bool) error {
	switch w := &f.Wrapper; {
	case w.Dir != "" && !w.Marked():
		return errors.New("--run-dir is for markers, which --once, --kill-on-cancel and --detach make")
	case w.Detach && w.KillOnCancel:
		return errors.New("--detach lets go of the command, so that --kill-on-cancel has nothing to kill")
	case (w.Once || w.Detach) && !journalled:
		return hint.New("--once and --detach need the journal, which knows later where to ask",
			"leave out --no-journal and --state-dir none")
	}
	return f.Wrapper.Validate()
}

// Recall sets those of these flags that are not given in flags from the options
// of an earlier run.
func Recall(options map[string]string, flags *pflag.FlagSet) error {
	for _, name := range run.RemoteOptions {
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
