// Package shell is shoal shell: a prompt whose lines run on all hosts, over connections that are
// held from one line to the next.
//
//	terminal or file → source.next → do → a setting, a selection, or a command
//	command → connect.Plan → run.Begin, in the journal → engine, on the Hold's connections → answers, folded
package shell

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"shoal/fleet"
	"shoal/internal/cli/config"
	"shoal/internal/cli/console"
	"shoal/internal/cli/display"
	"shoal/internal/cli/flags"
	"shoal/internal/cli/run"
	"shoal/internal/collector"
	"shoal/internal/connect"
	"shoal/internal/hint"
	"shoal/internal/journal"
	"shoal/internal/remote/become"
	"shoal/internal/ssh/hold"
	"shoal/internal/ui"
)

type shellFlags struct {
	flags.HostFlags
	flags.BecomeFlags
	run.JournalFlags
	equal      display.EqualFlags
	diff       bool
	oneLine    bool
	env        []string
	chdir, log string
	fanout     int
	timeout    flags.Seconds
	maxAge     flags.Seconds

	asked *become.Options // whom --become asks for, with the password; nil: none
	given *pflag.FlagSet
	kept  []string // names of the flags that the journal keeps with a line
}

// New returns shoal shell.
func New(stdio console.Stdio) *cobra.Command {
	var f shellFlags
	cmd := &cobra.Command{
		Use:   "shell [flags]",
		Short: "A prompt whose lines run on all hosts, over connections that stay open",
		Long: `Run each line that is typed on all selected hosts, over connections that stay open
from one line to the next: the first line logs in, later ones take one round trip.
Equal answers are shown once. The journal has each command as a run: shoal history,
show, rerun. Masks, variables and the rest below are for later commands, and for
those of the whole shell as flags.

` + help() + `

Each line is a command of its own: cd and export do not outlast it. Ctrl-C ends the
command and not the shell; where its end was not seen it may still run. Input that is
no terminal is read as such lines, # begins a comment, Ctrl-C ends all of it, and the
exit code is that of shoal run for all lines together.`,
		Example: `  shoal shell -w web[01-20]
  shoal shell --hostfile hosts < lines`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return f.run(cmd.Context(), stdio) },
	}
	f.given = cmd.Flags()
	control := flags.NewGroup("Control")
	control.VarP((*flags.Count)(&f.fanout), "fanout", "f", "work on `N` hosts at once, as :fanout does (default: what files and memory allow)")
	control.Var(&f.timeout, "timeout", "end each command after this time, as :timeout does (default: no limit)")
	control.Var(&f.maxAge, "hold-max-age", "log in anew where a connection is older than this: a login does not see later changes of rights (default 1h)")
	command := flags.NewGroup("Command")
	command.StringArrayVar(&f.env, "env", nil, "set `NAME=VALUE` for commands, as :env does; not for secrets: ps on the host shows the value, and the journal keeps it")
	command.StringVar(&f.chdir, "chdir", "", "run commands in `DIR`, as :chdir does")
	out := flags.NewGroup("Output")
	f.equal.Register(out.FlagSet, nil)
	out.BoolVar(&f.diff, "diff", false, "show the most frequent answer, and how the others differ from it, as :view diff does")
	out.BoolVar(&f.oneLine, "groups", false, "one line for each group of equal answers, as :view groups does")
	out.StringVar(&f.log, "log", "", "append lines and answers to `FILE`, as :log does")
	connection := f.Connection()
	f.kept = run.KeptFlags(connection)
	flags.AddInGroups(cmd, f.Targets(), connection, command, f.Become(), control, out, f.Journal(f.State))
	run.CompleteTargets(cmd, &f.HostFlags)
	return cmd
}

// A shell is the state between two lines.
type shell struct {
	flags   *shellFlags
	stdio   console.Stdio
	opts    connect.Options
	hold    *connect.Hold
	journal *journal.Journal // nil: none is kept

	base     []fleet.Target // all hosts, by index
	groups   []string       // names, for completion
	selected []int          // indexes in base, ascending
	named    string         // what selected them
	last     map[int]answer // of the last command, by index
	shown    *answers       // of the last command; nil: there is none
	settings settings
	log      *os.File // nil: none
	code     int      // the worst exit code so far

	interrupted bool // the last command, by Ctrl-C or by a signal that also sets ended
	ended       bool // by SIGTERM or SIGHUP
	limited     int  // one more than the fanout that was asked for when its limit was told; 0: not told
}

// An answer is what is remembered of a host's last command.
type answer struct {
	outcome fleet.Outcome
	common  bool // it is that of most hosts
}

func (f *shellFlags) run(ctx context.Context, stdio console.Stdio) (err error) {
	if f.FromStdin() || f.BecomeStdin() {
		return hint.New("standard input has the lines of the shell, not hosts or a password", "name the hosts with -w or --hostfile, and the file of the password")
	}
	opts, err := f.Options()
	if err != nil {
		return err
	}
	if err := opts.Validate(); err != nil {
		return err
	}
	s := &shell{flags: f, stdio: stdio, opts: opts}
	if s.settings, err = f.settings(); err != nil {
		return err
	}
	list, err := f.Load(ctx, &s.opts, stdio)
	if err != nil {
		return err
	}
	flags.WarnInsecure(stdio.Err, s.opts)
	verbose := display.NewVerbose(f.HostFlags.Verbose, stdio)
	defer verbose.Close()
	s.opts.Engine.Verbose = verbose.Func()
	for t := range list.Targets(1) {
		s.base = append(s.base, t)
	}
	if len(s.base) == 0 {
		return hint.New("there are no hosts", "name some with -w or --hostfile")
	}
	if err := config.Confirm(ctx, "a shell, whose lines", slices.Values(s.base), true, stdio); err != nil {
		return err
	}
	s.groups = list.Groups().Groups
	s.selectAll()
	if err := f.ReadBecomePassword(ctx, s.settings.become); err != nil {
		return err
	}
	if err := s.openLog(f.log); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.closeLog()) }()
	if s.journal, err = f.JournalFlags.Open(ctx); err != nil {
		return err
	}
	if s.journal != nil {
		defer func() { err = errors.Join(err, s.journal.Close()) }()
	}
	if s.hold, err = connect.NewHold(hold.Options{MaxAge: f.maxAge.Duration(), Interrupt: true}); err != nil {
		return err
	}
	s.opts.Hold = s.hold
	defer func() { _ = s.hold.Close() }()
	defer collector.FollowRun()()
	lines, err := s.openLines(ctx)
	if err != nil {
		return err
	}
	err = s.loop(ctx, lines)
	lines.close()
	s.forget()
	if err == nil && s.code != console.ExitOK && !lines.interactive() {
		return console.ExitError(s.code)
	}
	return err
}

// loop reads and does lines until there are none or :quit.
func (s *shell) loop(ctx context.Context, lines source) error {
	for {
		text, err := lines.next(s.prompt())
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("reading a line: %w", err)
		}
		if text = strings.TrimSpace(text); text != "" && text[0] != '#' {
			if !lines.interactive() {
				console.Say(s.stdio.Err, "%s%s", s.prompt(), ui.Visible(text))
			}
			s.logLine(text)
		}
		quit, err := s.do(ctx, text)
		if err != nil {
			console.Complain(s.errs(), asSettings(err))
			s.code = max(s.code, console.ExitUsage)
			if !lines.interactive() && !s.ended {
				return console.ExitError(s.code) // what follows may depend on it
			}
		}
		switch {
		case quit || s.ended || ctx.Err() != nil:
			return nil
		case s.interrupted && !lines.interactive(): // whoever stops a script does not want the rest of it
			return nil
		case s.interrupted:
			lines.forget()
			s.interrupted = false
		}
	}
}

// prompt says what is selected, and whom commands run as. On a narrow terminal names are cut.
func (s *shell) prompt() string {
	room := maxNamed
	if columns := s.columns(); columns > 0 {
		room = max(min(columns/4, maxNamed), minNamed)
	}
	n, all := len(s.selected), len(s.base)
	text := ui.Truncate(ui.Visible(s.named), room) + " " + ui.Count(int64(n))
	if n != all {
		text += " of " + ui.Count(int64(all))
	}
	if b := s.settings.become; b != nil {
		text += " as " + ui.Truncate(ui.Visible(b.User), room)
	}
	return text + "> "
}

// The columns of a name in the prompt.
const minNamed, maxNamed = 6, 24
