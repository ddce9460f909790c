package cli

import (
	"cmp"
	"context"
	"crypto/rand"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"shoal/fleet"
	"shoal/hosts/expr"
	"shoal/internal/engine"
	"shoal/internal/placeholder"
	"shoal/internal/ui"
	"shoal/record"
)

func newRun(stdio Stdio) *cobra.Command {
	var f runFlags
	cmd := &cobra.Command{
		Use:   "run [flags] COMMAND...",
		Short: "Run a command on many hosts and tell what happened on each",
		Long: `Run a command on many hosts over SSH and tell what happened on each.

COMMAND is given to the login shell of each host. {host}, {user}, {port} and
{index} in it are replaced for each target; {host|sh} is quoted for the shell.

` + steering,
		Example: `  shoal run -w web[01-20] uptime
  shoal run --hostfile hosts -b 'uname -r'
  shoal run -w db[1-3],root@cache1:2222 -L 'echo {index} {host|sh}'
  shoal run -w - --outdir results 'cat /etc/os-release' < hosts`,
		RunE: func(cmd *cobra.Command, args []string) error {
			return run(cmd.Context(), &f, strings.Join(args, " "), stdio)
		},
	}
	f.register(cmd)
	return cmd
}

// run is shoal run: everything that can be wrong is found before anything
// starts.
func run(ctx context.Context, f *runFlags, text string, stdio Stdio) error {
	if err := f.validate(text); err != nil {
		return err
	}
	opts, err := f.options()
	if err != nil {
		return err
	}
	list, err := f.load(ctx, &opts, stdio)
	if err != nil {
		return err
	}
	total := len(list.Hosts) * f.repeat
	opts.Engine.Targets = total
	switch {
	case f.list:
		_, err := fmt.Fprintln(stdio.Out, expr.Fold(names(list.Hosts)))
		return err
	case f.plan:
		return printForecast(stdio.Out, opts, total)
	}
	template, err := placeholder.Parse(text)
	if err != nil {
		return fmt.Errorf("reading the command: %w", err)
	}
	canary, err := parseCanaries(f.canary, list.Hosts, true)
	if err != nil {
		return err
	}
	targets := canary.first(list.Targets(f.repeat))
	opts.Engine.Rollout = append(canary.stage(targets), opts.Engine.Rollout...)
	if f.dryRun {
		return dryRun(ctx, stdio, opts, targets, func(t fleet.Target) (string, error) {
			return template.Expand(t), template.Check(t)
		})
	}
	warnInsecure(stdio.Err, opts)
	opts.Fanout = fanout(opts.Fanout, total, stdio)
	planned, err := opts.Plan(ctx, targets, template)
	if err != nil {
		return err
	}
	if f.on() {
		if f.settings, err = settingsOf(f.given, f.keptNames, &f.hostFlags, f.noRecordCommand); err != nil {
			return err
		}
	}
	return execute(ctx, execution{
		opts: opts, output: &f.outputFlags, journal: &f.journalFlags, remote: &f.remoteFlags, timeout: f.timeout.duration(),
		targets: planned,
		header: record.Header{
			Program: "shoal " + version,
			Run:     rand.Text(),
			Started: time.Now(),
			Command: text,
			Targets: total,
			Fanout:  opts.Fanout,
		},
	}, stdio)
}

// fanout is the width that was asked for, or what this machine carries, and says
// so where that is what bounds the run.
func fanout(asked, total int, stdio Stdio) int {
	carried := engine.DefaultFanout()
	switch {
	case asked > carried.Fanout && total > carried.Fanout:
		say(stdio.Err, "-f %s is more than this machine carries: %s, for %s",
			ui.Count(int64(asked)), ui.Count(int64(carried.Fanout)), carried.Bound)
	case asked == 0 && total > carried.Fanout:
		say(stdio.Err, "%s targets at a time, for %s", ui.Count(int64(carried.Fanout)), carried.Bound)
	}
	return cmp.Or(asked, carried.Fanout)
}

func sayStopping(w io.Writer, aborting bool) {
	if aborting {
		say(w, "aborting: commands that run are abandoned and may go on where they run")
		return
	}
	say(w, "stopping: no command is started any more, those that run are waited for; Ctrl-C twice within a second aborts")
}

func names(hosts []fleet.Host) []string {
	names := make([]string, len(hosts))
	for i, h := range hosts {
		names[i] = h.String()
	}
	return names
}
