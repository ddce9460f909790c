// Package cli is the root of the command line of shoal. Each group of commands
// is a package below it. Call [Main].
package cli

import (
	"context"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"shoal/internal/cli/cluster"
	"shoal/internal/cli/completion"
	"shoal/internal/cli/config"
	"shoal/internal/cli/console"
	"shoal/internal/cli/debug"
	"shoal/internal/cli/explain"
	"shoal/internal/cli/flags"
	"shoal/internal/cli/fleet"
	"shoal/internal/cli/history"
	"shoal/internal/cli/hosts"
	"shoal/internal/cli/keys"
	"shoal/internal/cli/manual"
	"shoal/internal/cli/markers"
	"shoal/internal/cli/persist"
	"shoal/internal/cli/reach"
	"shoal/internal/cli/run"
	"shoal/internal/cli/shell"
	"shoal/internal/cli/transfer"
	"shoal/internal/cli/watch"
	"shoal/internal/hint"
)

// Main runs the command line and returns the exit code of the process; see
// [console.ExitCode] for the table.
func Main(ctx context.Context, args []string, stdio console.Stdio) int {
	ctx = config.Completing(ctx, config.SourcesOf(args), configurable)
	return console.Execute(ctx, newRoot(stdio, args...), "the flags of a run stand after its name: shoal run -w web[1-3] uptime", args, stdio)
}

// newRoot returns the commands. For a command line, those that the configuration names are among
// them.
func newRoot(stdio console.Stdio, args ...string) *cobra.Command {
	root := &cobra.Command{
		Use:   "shoal",
		Short: "Run a command on ten thousand machines over SSH, and know what happened on each",
		Long: `shoal runs a command on many machines over SSH at once and tells for each one
whether it ran, did not run, or cannot be known.

Start with:
  shoal run -w web[01-20] uptime                 a command on twenty hosts
  shoal run --hostfile hosts -b 'uname -r'       the same answers shown once
  shoal demo                                     see it work, no server needed`,
		Args: cobra.ArbitraryArgs, // RunE reports unknown commands
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return cmd.Help()
			}
			return console.UnknownCommand(cmd, args[0], "a command for the hosts stands after run and its flags: shoal run -w web[1-3] uptime")
		},
	}
	rerun := func(ctx context.Context, args []string) error { return history.RunAgain(ctx, args, stdio) }
	root.AddCommand(
		run.New(stdio, rerun), run.NewScript(stdio, rerun),
		transfer.NewPush(stdio), transfer.NewPull(stdio),
		shell.New(stdio), watch.New(stdio), persist.New(stdio),
		hosts.New(stdio), keys.New(stdio), reach.NewPing(stdio), reach.NewWait(stdio),
		history.NewHistory(stdio), history.NewShow(stdio), history.NewBrowse(stdio), history.NewReport(stdio), history.NewWeb(stdio),
		history.NewRerun(stdio), history.NewResume(stdio), history.NewVerify(stdio), history.NewPrune(stdio),
		markers.NewResolve(stdio), markers.NewCollect(stdio), markers.NewSweep(stdio),
		cluster.NewWorker(stdio), cluster.NewWorkers(stdio), cluster.NewAttach(stdio),
		fleet.New(stdio), fleet.NewDemo(stdio), explain.New(stdio), debug.New(stdio), newVersion(stdio), manual.New(stdio), completion.New(stdio),
		moved("bench", "shoal-bench run"), moved("plot", "shoal-bench plot"), moved("hub", "shoal-hub"),
	)
	for _, c := range root.Commands() {
		c.SuggestFor = namedElsewhere[c.Name()]
	}
	sources := config.SourcesOf(args)
	root.AddCommand(config.NewDo(args, sources, configurable, func() *cobra.Command { return run.New(stdio, rerun) }))
	config.Attach(root, sources, configurable, stdio)
	manual.AddTopics(root)
	flags.SetHelp(root, commandGroups...)
	return root
}

// configurable returns the commands to check a configuration with.
func configurable() *cobra.Command {
	return newRoot(console.Stdio{In: strings.NewReader(""), Out: io.Discard, Err: io.Discard})
}

// commandGroups are the headings of the list of commands; the common ones are
// first.
var commandGroups = []flags.CommandGroup{
	{Title: "Running commands", Commands: []string{"run", "script", "do", "shell", "watch", "persist", "push", "pull", "show", "rerun", "resume"}},
	{Title: "Hosts and their keys", Commands: []string{"hosts", "keys", "ping", "wait"}},
	{Title: "Earlier runs", Commands: []string{"history", "browse", "report", "web", "resolve", "collect", "sweep", "verify", "prune", "explain"}},
	{Title: "Workers near the hosts", Commands: []string{"worker", "workers", "attach"}},
	{Title: "Trying it out", Commands: []string{"demo", "fleet", "debug"}},
}

// namedElsewhere has what ssh, clush, pssh, Ansible and others call the commands, to suggest ours.
var namedElsewhere = map[string][]string{
	"run":     {"exec", "command", "cmd", "ssh", "pssh", "pdsh", "clush"},
	"push":    {"copy", "cp", "scp", "put", "upload", "send", "pscp", "pdcp"},
	"pull":    {"copy", "cp", "get", "fetch", "download", "rcopy", "slurp", "pslurp", "rpdcp"},
	"shell":   {"console", "repl", "prompt", "interactive"},
	"hosts":   {"nodeset", "cluset", "expand", "fold", "inventory", "nodes", "groups"},
	"keys":    {"keyscan", "known-hosts", "known_hosts", "hostkeys"},
	"history": {"runs", "list", "ls", "log", "jobs"},
	"show":    {"last", "logs", "status", "result", "results", "output", "diff"},
	"rerun":   {"retry", "repeat", "again"},
	"resume":  {"continue"},
	"watch":   {"poll", "every", "monitor", "cron"},
	"ping":    {"check", "test", "alive"},
	"prune":   {"clean", "gc"},
	"browse":  {"tui", "ui"},
	"web":     {"serve", "dashboard"},
}

// newVersion returns shoal version.
func newVersion(stdio console.Stdio) *cobra.Command {
	return &cobra.Command{
		Use: "version", Short: "Print version, commit, date, Go release and platform", Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			_, err := fmt.Fprintln(stdio.Out, "shoal "+console.VersionText())
			return err
		},
	}
}

// moved is a hidden command that says which program has it now.
func moved(name, now string) *cobra.Command {
	return &cobra.Command{
		Use: name, Hidden: true, DisableFlagParsing: true,
		RunE: func(*cobra.Command, []string) error {
			return hint.Wrap(fmt.Errorf("shoal %s is a program of its own now", name), now+" takes the same flags")
		},
	}
}
