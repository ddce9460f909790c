package hubcli

import (
	"fmt"
	"path/filepath"

	"github.com/spf13/cobra"

	"shoal/internal/cli/console"
	"shoal/internal/cli/flags"
	"shoal/internal/cluster/site"
)

func newInit(stdio console.Stdio) *cobra.Command {
	var s site.Site
	cmd := &cobra.Command{
		Use:   "init --host NAME [--worker POOL/NAME]... DIR",
		Short: "Make certificates, NKeys and permissions for a hub that others reach",
		Long: `Make in DIR what shoal-hub --config, or nats-server, needs to be reached from other
machines: an authority and the server's certificate (TLS), an NKey for those who
start runs, one for each worker, and hub.conf with the permissions of each. A worker
writes under its own name only, and reads its own pool only; whoever starts runs
writes nothing in the name of a worker.

Run it again to add a worker, or a name of the server: what is there stays. A
worker whose seed (*.nk) was removed has no access any more. nats-server --signal
reload, or a restart of shoal-hub, has the new configuration used. Give each machine
its own seed and ca.crt, and keep ca.key away from all of them.

With --cluster and three names there are three servers: DIR goes to each of them,
without ca.key and *.nk, at the same path. Logs are then on all three, and a run
goes on while two of them are there.`,
		Example: `  shoal-hub init --host nats.example.org --worker eu/one --worker us/one /etc/shoal/hub
  shoal worker --cluster tls://nats.example.org:4222 --nats-ca ca.crt \
      --nats-nkey worker.eu.one.nk --pool eu --name one --allow-signers signers
  shoal-hub init --cluster --host a.example.org --host b.example.org --host c.example.org /etc/shoal/hub`,
		Args: cobra.ExactArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			var err error
			if s.Dir, err = filepath.Abs(args[0]); err != nil { // hub.conf names the certificates
				return err //nolint:wrapcheck // says it
			}
			made, err := s.Make()
			if err != nil {
				return err
			}
			for _, file := range made {
				if _, err := fmt.Fprintln(stdio.Out, filepath.Join(s.Dir, file)); err != nil {
					return fmt.Errorf("printing what was made: %w", err)
				}
			}
			return nil
		},
	}
	g := flags.NewGroup("Site")
	g.StringArrayVar(&s.Names, "host", nil, "the server's `NAME` or address, as workers write it; repeatable")
	g.StringArrayVar(&s.Workers, "worker", nil, "a worker `POOL/NAME`; repeatable")
	g.BoolVar(&s.Cluster, "cluster", false, "the names are those of servers that are one cluster")
	flags.AddInGroups(cmd, g)
	return cmd
}
