// Package hubcli is the command line of shoal-hub. Call [Main].
package hubcli

import (
	"context"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"

	"github.com/spf13/cobra"

	"shoal/internal/cli/completion"
	"shoal/internal/cli/console"
	"shoal/internal/cli/flags"
	"shoal/internal/cli/manual"
	"shoal/internal/cluster/hub"
	"shoal/internal/hint"
)

// Main runs the command line and returns the exit code of the process.
func Main(ctx context.Context, args []string, stdio console.Stdio) int {
	return console.Execute(ctx, newRoot(stdio), "shoal-hub --help lists the flags", args, stdio)
}

func newRoot(stdio console.Stdio) *cobra.Command {
	var o hub.Options
	cmd := &cobra.Command{
		Use:   "shoal-hub [flags]",
		Short: "Serve NATS with JetStream for shoal run --cluster",
		Long: `Serve NATS with JetStream for shoal run --cluster and shoal worker, until Ctrl-C:
for one machine, for trying, and for sites that have no NATS: one server, or one of
three (shoal-hub init --cluster). A site that has NATS uses its own nats-server, 2.12
or later with JetStream; the logs of runs are kept on three of its servers if it is
a cluster. sync_interval: always makes a message be on the disk before it is acknowledged.

Here it always is. On loopback everybody on
this machine may connect; whoever cannot sign still runs nothing on a worker, but
can read what commands print. Elsewhere --config names a configuration of
nats-server with tls and with users or NKeys, which shoal-hub init makes.`,
		Example: `  shoal-hub
  shoal-hub init --host nats.example.org --worker eu/one --worker eu/two /etc/shoal/hub
  shoal-hub --listen 0.0.0.0:4222 --config /etc/shoal/hub/hub.conf`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return serve(cmd.Context(), o, stdio) },
	}
	g := flags.NewGroup("Hub")
	g.StringVar(&o.Listen, "listen", "127.0.0.1:4222", "listen at `HOST:PORT`; port 0 is any free one")
	g.StringVar(&o.Dir, "store", "", "keep the streams in `DIR` (default: ~/.local/state/shoal/hub)")
	g.StringVar(&o.Config, "config", "", "read `FILE`, a configuration of nats-server")
	g.StringVar(&o.Name, "name", "", "be the server `NAME` of the cluster in --config (default: the name of this machine)")
	g.BoolVar(&o.Log, "log", false, "write the server's log to standard error")
	flags.AddInGroups(cmd, g)
	cmd.AddCommand(newInit(stdio), manual.New(stdio), completion.New(stdio))
	flags.SetHelp(cmd)
	return cmd
}

func serve(ctx context.Context, o hub.Options, stdio console.Stdio) error {
	ctx, stop := signal.NotifyContext(ctx, os.Interrupt, syscall.SIGTERM)
	defer stop()
	if o.Dir == "" {
		state := flags.StateDir("")
		if state == "" {
			return hint.New("there is no directory for the store", "--store names one")
		}
		o.Dir = filepath.Join(state, "hub")
	}
	if o.Name == "" && o.Config != "" {
		o.Name, _ = os.Hostname() // without it a cluster is refused
	}
	h, err := hub.Start(o)
	if err != nil {
		return err
	}
	defer h.Close()
	console.Say(stdio.Err, "NATS is at %s, its streams in %s", h.URL(), o.Dir)
	<-ctx.Done()
	return nil
}
