// Package reach implements shoal ping and shoal wait: whether hosts let us log
// in. The trying itself is internal/reach.
package reach

import (
	"cmp"
	"context"
	"crypto/rand"
	"fmt"
	"iter"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"shoal/fleet"
	"shoal/hosts/expr"
	"shoal/internal/cli/console"
	"shoal/internal/cli/display"
	"shoal/internal/cli/flags"
	"shoal/internal/cli/run"
	"shoal/internal/connect"
	"shoal/internal/engine"
	"shoal/internal/reach"
	"shoal/internal/ssh"
	"shoal/internal/ui"
	"shoal/record"
)

// reachFlags are the flags that both commands have.
type reachFlags struct {
	flags.HostFlags
	fanout, dials, starts int
	last                  fleet.Phase // see ssh.Attempt.Until; only ping sets it
	output                display.OutputFlags
}

// register adds the flags to cmd; own adds those that only cmd has.
func (f *reachFlags) register(cmd *cobra.Command, own func(control, output flags.FlagGroup)) {
	control := flags.NewGroup("Control")
	control.VarP((*flags.Count)(&f.fanout), "fanout", "f", "log in to `N` hosts at once (default: what files and memory allow)")
	control.IntVar(&f.dials, "dials", 0, fmt.Sprintf("start `N` connections at once (default %d, and more where only the way or the servers take long)", engine.DefaultDials))
	control.IntVar(&f.starts, "starts-per-host", 0, fmt.Sprintf("start `N` connections at once to one server; -1 for no limit (default %d)", engine.DefaultStarts))
	output := flags.NewGroup("Output")
	own(control, output)
	display.AddProgress(output, &f.output.Progress)
	flags.AddInGroups(cmd, f.Targets(), f.Connection(), control, output)
	run.CompleteTargets(cmd, &f.HostFlags)
}

// A session is what a command needs to reach the hosts.
type session struct {
	plan     *connect.Plan
	engine   engine.Options
	verbose  *display.Verbose
	total    int
	password bool // passwords are used
	started  time.Time
}

// open plans the hosts and opens what connecting to them needs. With command "" each is
// only logged in to, otherwise it runs command.
func (f *reachFlags) open(ctx context.Context, command string, stdio console.Stdio) (_ *session, err error) {
	if f.starts < -1 {
		return nil, fmt.Errorf("--starts-per-host %d: write -1 for no limit", f.starts)
	}
	opts, err := f.Options()
	if err != nil {
		return nil, err
	}
	opts.Engine.Dials, opts.Engine.Starts = f.dials, cmp.Or(f.starts, engine.DefaultStarts)
	if err := opts.Validate(); err != nil {
		return nil, err
	}
	s := &session{verbose: display.NewVerbose(f.Verbose, stdio), started: time.Now()}
	defer func() {
		if err != nil {
			s.close()
		}
	}()
	opts.Engine.Verbose = s.verbose.Func()
	list, err := f.Load(ctx, &opts, stdio)
	if err != nil {
		return nil, err
	}
	flags.WarnInsecure(stdio.Err, opts)
	s.total, s.password = list.Len(), opts.Passwords != nil
	opts.Engine.Fanout = run.Fanout(f.fanout, s.total, stdio)
	if s.plan, err = opts.Plan(ctx, withCommand(list.Targets(1), command), nil); err != nil {
		return nil, err
	}
	if s.engine, err = s.plan.Engine(ctx); err != nil {
		return nil, err
	}
	if command == "" {
		s.engine.Dialer = reach.LoginOnly{Dialer: s.engine.Dialer, Until: f.last}
	}
	return s, nil
}

func withCommand(targets iter.Seq[fleet.Target], command string) iter.Seq[fleet.Target] {
	return func(yield func(fleet.Target) bool) {
		for t := range targets {
			t.Command = command
			if !yield(t) {
				return
			}
		}
	}
}

func (s *session) close() {
	if s.plan != nil {
		s.plan.Close()
	}
	s.verbose.Close()
}

// results opens the display.
func (s *session) results(f *reachFlags, stdio console.Stdio) (*display.Results, error) {
	out, err := display.New(&f.output, stdio, record.Header{
		Program: "shoal " + console.Version, Run: rand.Text(), Started: s.started, Targets: s.total, Fanout: s.engine.Fanout,
	}, nil)
	if err == nil {
		s.verbose.To(out.Stderr)
		s.engine.Notice = func(text string) { console.Note(out.Stderr, text) }
	}
	return out, err
}

// ending returns a summary: how many hosts were well, and the others by cause.
func ending(s *record.Summary, well, rest string, columns int) string {
	if columns <= 0 {
		columns = 1 << 20
	}
	groups := s.Groups()
	others := 0
	for _, g := range groups {
		others += g.Targets
	}
	text := ui.Count(int64(s.Outcomes[fleet.OutcomeOK])) + " " + well
	if others > 0 {
		text += ", " + ui.Count(int64(others)) + " " + rest
	}
	text += " in " + ui.Duration(s.Elapsed) + "\n"
	for _, g := range groups {
		cause := cmp.Or(string(g.Reason), g.Outcome.String())
		if g.Various {
			cause = "various causes"
		}
		names := ui.Visible(expr.Fold(g.Hosts))
		text += ui.Truncate(fmt.Sprintf("  %s %s: %s", ui.Count(int64(g.Targets)), cause, names), columns) + "\n"
	}
	return text
}

// why returns the cause of an end in a line.
func why(end fleet.End) string {
	text := string(end.Reason)
	if end.Err == nil {
		return text
	}
	return strings.TrimPrefix(text+": ", ": ") + ssh.Brief(cause(end.Err))
}

// cause returns err without the host, phase and reason that stand before it.
func cause(err error) error {
	if f, ok := err.(*fleet.Error); ok && f.Err != nil { //nolint:errorlint // only the outermost one repeats what is told
		return f.Err
	}
	return err
}
