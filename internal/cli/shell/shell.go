// Package shell is shoal shell: a prompt whose lines run on all hosts, over connections that are
// held from one line to the next.
//
//	terminal or file → source.next → parse → a setting, a selection, or a command
//	command → connect.Plan → run.Begin → engine, on the Hold's connections → answers, folded
package shell

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"shoal/fleet"
	"shoal/internal/cli/config"
	"shoal/internal/cli/console"
	"shoal/internal/cli/flags"
	"shoal/internal/cli/run"
	"shoal/internal/connect"
	"shoal/internal/hint"
	"shoal/internal/journal"
	"shoal/internal/output"
	"shoal/internal/placeholder"
	shoalrun "shoal/internal/run"
	"shoal/internal/ssh/hold"
	"shoal/internal/ui"
)

type shellFlags struct {
	flags.HostFlags
	fanout  int
	timeout flags.Seconds
	maxAge  flags.Seconds
}

// New returns shoal shell.
func New(stdio console.Stdio) *cobra.Command {
	var f shellFlags
	cmd := &cobra.Command{
		Use:   "shell [flags]",
		Short: "A prompt whose lines run on all hosts, over connections that stay open",
		Long: `Run each line that is typed on all selected hosts, over connections that stay open
from one line to the next: the first line logs in, later ones take one round trip.
Equal answers are shown once.

` + help + `

Each line is a command of its own: cd and export do not outlast it. Ctrl-C ends the
command and not the shell; where its end was not seen it may still run. Input that is
no terminal is read as such lines, # begins a comment, Ctrl-C ends all of it, and the
exit code is that of shoal run for all lines together.`,
		Example: `  shoal shell -w web[01-20]
  shoal shell --hostfile hosts < lines`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return f.run(cmd.Context(), stdio) },
	}
	control := flags.NewGroup("Control")
	control.IntVarP(&f.fanout, "fanout", "f", 0, "at most `N` hosts at once (default: as many as this machine can handle)")
	control.Var(&f.timeout, "timeout", "end each command after this time, as :timeout does (default: no limit)")
	control.Var(&f.maxAge, "hold-max-age", "log in anew where a connection is older than this: a login does not see later changes of rights (default 1h)")
	flags.AddInGroups(cmd, f.Targets(), f.Connection(), control)
	return cmd
}

const help = `  uname -r                  a command for the selected hosts
  @web   -w 'web[1-9]'      select the hosts of a group, or of an expression
  +web3  -web[4-6]          add hosts, leave hosts out; :all selects all
  :only failed              those whose last command failed; also ok, unknown, unreached, differs
  :hosts                    show the selected hosts
  :timeout 5s  :chdir /srv  :env A=b   for later commands; without a value: none
  :fanout 10                at most so many hosts at once
  :reconnect                log in anew, with today's rights
  :help  :quit              also Ctrl-D`

// A shell is the state between two lines.
type shell struct {
	flags *shellFlags
	stdio console.Stdio
	opts  connect.Options
	hold  *connect.Hold

	base     []fleet.Target // all hosts, by index
	selected []int          // indexes in base, ascending
	named    string         // what selected them
	last     map[int]answer // of the last command, by index
	settings settings
	code     int // the worst exit code so far

	interrupted bool // the last command, by Ctrl-C or by a signal that also sets ended
	ended       bool // by SIGTERM or SIGHUP
	limited     int  // one more than the fanout that was asked for when its limit was told; 0: not told
}

type settings struct {
	timeout time.Duration
	chdir   string
	env     []string
	fanout  int
}

// An answer is what is remembered of a host's last command.
type answer struct {
	outcome fleet.Outcome
	common  bool // it is that of most hosts
}

func (f *shellFlags) run(ctx context.Context, stdio console.Stdio) error {
	if f.FromStdin() {
		return hint.New("standard input has the lines of the shell, not hosts or a password", "name the hosts with -w or --hostfile")
	}
	opts, err := f.Options()
	if err != nil {
		return err
	}
	if err := opts.Validate(); err != nil {
		return err
	}
	list, err := f.Load(ctx, &opts, stdio)
	if err != nil {
		return err
	}
	flags.WarnInsecure(stdio.Err, opts)
	s := &shell{flags: f, stdio: stdio, opts: opts, settings: settings{timeout: f.timeout.Duration(), fanout: f.fanout}}
	for t := range list.Targets(1) {
		s.base = append(s.base, t)
	}
	if len(s.base) == 0 {
		return hint.New("there are no hosts", "name some with -w or --hostfile")
	}
	if err := config.Confirm(ctx, "a shell, whose lines", slices.Values(s.base), true, stdio); err != nil {
		return err
	}
	s.selectAll()
	s.opts.Entry = list.EntryOf
	if s.hold, err = connect.NewHold(hold.Options{MaxAge: f.maxAge.Duration(), Interrupt: true}); err != nil {
		return err
	}
	s.opts.Hold = s.hold
	defer func() { _ = s.hold.Close() }()
	lines, err := s.openLines()
	if err != nil {
		return err
	}
	err = s.loop(ctx, lines)
	lines.close()
	switch {
	case err != nil:
		return err
	case s.code != console.ExitOK && !lines.interactive():
		return console.ExitError(s.code)
	}
	return nil
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
		if text = strings.TrimSpace(text); !lines.interactive() && text != "" && text[0] != '#' {
			s.say("%s%s", s.prompt(), ui.Visible(text))
		}
		quit, err := s.do(ctx, text)
		if err != nil {
			console.Complain(s.stdio.Err, err)
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

// prompt says what is selected.
func (s *shell) prompt() string {
	n, all := len(s.selected), len(s.base)
	if n == all {
		return fmt.Sprintf("%s %s> ", ui.Truncate(ui.Visible(s.named), 40), ui.Count(int64(all)))
	}
	return fmt.Sprintf("%s %s of %s> ", ui.Truncate(ui.Visible(s.named), 40), ui.Count(int64(n)), ui.Count(int64(all)))
}

// command runs a line on the selected hosts.
func (s *shell) command(ctx context.Context, text string) error {
	if len(s.selected) == 0 {
		return hint.New("no host is selected", ":all selects all")
	}
	template, err := placeholder.Parse(text, placeholder.Unquoted)
	if err != nil {
		return fmt.Errorf("reading the command: %w", err)
	}
	remote := shoalrun.Remote{Env: s.settings.env, Chdir: s.settings.chdir}
	if err := remote.Validate(); err != nil {
		return err
	}
	opts := s.opts
	opts.Engine.Targets = len(s.selected)
	opts.Engine.CommandTimeout = s.settings.timeout
	opts.Engine.Fanout = s.fanout()
	ctx, stop := s.listen(ctx)
	defer stop()
	plan, err := opts.Plan(ctx, s.targets(), template)
	if err != nil {
		return err
	}
	defer plan.Close()
	control, err := plan.Engine(ctx)
	if err != nil {
		return err
	}
	r, err := shoalrun.Begin(ctx, nil, journal.RunInfo{}, remote, plan)
	if err != nil {
		return err
	}
	shown := newAnswers(s)
	for res, err := range r.Results(ctx, shoalrun.Options{Engine: control}) {
		if err != nil {
			return errors.Join(err, shown.close(ctx))
		}
		if err := shown.take(res); err != nil {
			return err
		}
	}
	return shown.close(ctx)
}

// listen returns a context that Ctrl-C, SIGTERM and SIGHUP end, and what sets interrupted and ended
// afterwards. A second SIGTERM or SIGHUP ends this process at once.
func (s *shell) listen(ctx context.Context) (_ context.Context, stop func()) {
	ending, stopEnding := notify(ctx, syscall.SIGTERM, syscall.SIGHUP)
	context.AfterFunc(ending, stopEnding)
	both, stopBoth := notify(ending, os.Interrupt)
	return both, func() {
		s.interrupted, s.ended = both.Err() != nil, ending.Err() != nil
		stopBoth()
		stopEnding()
	}
}

// notify returns a context that ends with a signal. One that was ignored when this process began
// stays ignored.
func notify(ctx context.Context, signals ...os.Signal) (context.Context, context.CancelFunc) {
	signals = slices.DeleteFunc(signals, signal.Ignored)
	if len(signals) == 0 { // which would be all of them
		return context.WithCancel(ctx)
	}
	return signal.NotifyContext(ctx, signals...)
}

// fanout returns how many hosts at once a line has, and tells once what limits it.
func (s *shell) fanout() int {
	stdio, asked := s.stdio, s.settings.fanout
	if s.limited == asked+1 {
		stdio.Err = io.Discard
	}
	s.limited = asked + 1
	return run.Fanout(asked, len(s.selected), stdio)
}

// targets yields the selected hosts, counted from 0.
func (s *shell) targets() func(func(fleet.Target) bool) {
	return func(yield func(fleet.Target) bool) {
		for i, at := range s.selected {
			t := s.base[at]
			t.Index = i
			if !yield(t) {
				return
			}
		}
	}
}

func (s *shell) out(w io.Writer) output.Out {
	o := ui.Inspect(w, os.Getenv)
	return output.Out{W: w, Escape: o.Terminal, Colour: o.Colour, Columns: o.Columns}
}
