package shell

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"slices"
	"strconv"
	"syscall"
	"time"

	"shoal/fleet"
	"shoal/internal/cli/console"
	"shoal/internal/cli/display"
	"shoal/internal/cli/run"
	"shoal/internal/hint"
	"shoal/internal/journal"
	"shoal/internal/placeholder"
	"shoal/internal/plan"
	shoalrun "shoal/internal/run"
	"shoal/record"
)

// remote returns how commands are wrapped.
func (s *settings) remote() *shoalrun.Remote {
	return &shoalrun.Remote{Env: s.env, Chdir: s.chdir, Become: s.become}
}

// command runs a line on the selected hosts, as a run of its own.
func (s *shell) command(ctx context.Context, text string) error {
	if len(s.selected) == 0 {
		return hint.New("no host is selected", ":all selects all")
	}
	template, err := placeholder.Parse(text, placeholder.Unquoted)
	if err != nil {
		return fmt.Errorf("reading the command: %w", err)
	}
	s.forget()
	opts := s.opts
	opts.Engine.Targets = len(s.selected)
	opts.Engine.CommandTimeout = s.settings.timeout
	opts.Engine.Fanout = s.fanout()
	remote := s.settings.remote()
	if !remote.Wraps() && remote.Become == nil {
		opts.PTY, remote.PTY = plan.PTYAsConfigured, run.TerminalOf(s.stdio)
	}
	ctx, stop := s.listen(ctx)
	defer stop()
	planned, err := opts.Plan(ctx, s.targets(), template)
	if err != nil {
		return err
	}
	defer planned.Close()
	control, err := planned.Engine(ctx)
	if err != nil {
		return err
	}
	info, err := s.info(record.Header{
		Program: "shoal " + console.Version, Started: time.Now(), Command: text, Targets: len(s.selected), Fanout: opts.Engine.Fanout,
	})
	if err != nil {
		return err
	}
	r, err := shoalrun.Begin(ctx, s.journal, info, *remote, planned)
	if err != nil {
		return hint.Wrap(err, "shoal shell --no-journal keeps none")
	}
	shown := s.newAnswers(r.ID)
	shown.watch(&control)
	var failed error
	lost := func(err error) {
		shown.lost = true
		console.Complain(shown.above, hint.Wrap(err, "no further command is started; shoal shell --no-journal keeps none"))
	}
	for res, err := range r.Results(ctx, shoalrun.Options{Engine: control, Lost: lost}) {
		if err != nil {
			failed = err
			break
		}
		shown.take(res)
	}
	failed = errors.Join(failed, shown.close(ctx))
	how := journal.Ending{ExitCode: shown.exitCode(failed), Interrupted: ctx.Err() != nil}
	if failed != nil {
		how.Failure, _ = hint.Split(failed.Error())
	}
	s.code = max(s.code, how.ExitCode)
	return errors.Join(failed, r.End(how))
}

// info returns what the journal keeps of a line: the flags of shoal run that would do the same.
func (s *shell) info(h record.Header) (journal.RunInfo, error) {
	info := s.flags.Info(h)
	if s.journal == nil {
		return info, nil
	}
	kept, err := run.SettingsOf(s.flags.given, s.flags.kept, &s.flags.HostFlags, &s.opts, s.flags.NoCommand())
	if err != nil {
		return info, err
	}
	set := func(name string, values ...string) { kept.Flags[name] = values }
	now := &s.settings
	if now.timeout > 0 {
		set("command-timeout", now.timeout.String())
	}
	if now.fanout > 0 {
		set("fanout", strconv.Itoa(now.fanout))
	}
	if now.chdir != "" {
		set("chdir", now.chdir)
	}
	if len(now.env) > 0 && !s.flags.NoCommand() {
		set("env", now.env...)
	}
	if b := now.become; b != nil {
		set("become", "true")
		set("become-user", b.User)
		set("become-method", string(b.Method))
		if b.Direct {
			set("become-direct", "true")
		}
	}
	info.Settings = kept
	return info, nil
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

// showAgain is the command that shows the run of a line; "" if no journal has it.
func (s *shell) showAgain(run string) string {
	if s.journal == nil {
		return ""
	}
	return display.ShowAgain(run, s.flags.HostFlags.StateDir)
}
