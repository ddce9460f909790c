// Package cluster implements shoal worker and shoal workers: commands run by workers near
// the hosts, over NATS.
package cluster

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"shoal/internal/cli/console"
	"shoal/internal/cli/flags"
	"shoal/internal/cli/signals"
	"shoal/internal/cluster"
	"shoal/internal/collector"
	"shoal/internal/hint"
	"shoal/internal/ssh"
	"shoal/internal/ssh/auth"
)

type workerFlags struct {
	flags.HostFlags
	flags.ClusterFlags
	pool, name string
	signers    string
	fanout     int
	becomeFile string
	given      *pflag.FlagSet
}

// NewWorker returns shoal worker.
func NewWorker(stdio console.Stdio) *cobra.Command {
	var f workerFlags
	cmd := &cobra.Command{
		Use:   "worker --cluster URL --allow-signers FILE [flags]",
		Short: "Run commands for shoal run --cluster, near their hosts",
		Long: `Take shards of runs from NATS and run their hosts with the keys, the agent,
known_hosts and ssh_config of this machine, until Ctrl-C: that waits for the
commands that run and leaves the other hosts to other workers; twice within a
second abandons the commands.

A shard is a command for other people's machines. It runs only if a key of
--allow-signers has signed it for the pool and it has not expired. The file is that
of ssh-keygen -Y verify: a name, options such as valid-before="20270101", a public
key. User, port and timeouts come with the run.`,
		Example: `  shoal worker --cluster nats://127.0.0.1:4222 --allow-signers signers
  shoal worker --cluster tls://nats.example.org:4222 --nats-creds worker.creds \
      --pool eu --allow-signers /etc/shoal/signers`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return f.run(cmd.Context(), stdio) },
	}
	g := flags.NewGroup("Worker")
	f.Register(g, "take shards from")
	g.StringVar(&f.pool, "pool", cluster.DefaultPool, "take the shards of `POOL`")
	g.StringVar(&f.name, "name", "", "the worker's `NAME` (default: that of the machine, and some letters)")
	g.StringVar(&f.signers, "allow-signers", "", "run what keys in `FILE` have signed")
	g.VarP((*flags.Count)(&f.fanout), "fanout", "f", "work on `N` targets at once (default: what files and memory allow)")
	g.StringVar(&f.becomeFile, "become-password-file", "", "read from `FILE` what sudo asks commands of --become for; it goes to hosts with a known key, once to each, and of each run to others once one has accepted it")
	f.given = cmd.Flags()
	flags.AddInGroups(cmd, g, f.Connection())
	for _, name := range []string{"user", "port", "connect-timeout", "dial-timeout", "kex-timeout", "auth-timeout", "session-timeout"} {
		_ = cmd.Flags().MarkHidden(name) // they exist; run refuses them
	}
	return cmd
}

func (f *workerFlags) run(ctx context.Context, stdio console.Stdio) error {
	for _, name := range []string{"user", "port", "connect-timeout", "dial-timeout", "kex-timeout", "auth-timeout", "session-timeout", "verbose"} {
		if f.given.Changed(name) {
			return hint.Wrap(fmt.Errorf("--%s has no effect on a worker", name), "user, port and timeouts come with the run")
		}
	}
	switch {
	case f.URL == "":
		return hint.New("a worker needs NATS", "--cluster nats://127.0.0.1:4222, where shoal-hub serves it")
	case f.signers == "":
		return hint.New("a worker runs nothing without signers", "--allow-signers names a file with a line for each: a name, and the public key")
	}
	signers, err := cluster.ReadSigners(f.signers)
	if err != nil {
		return err
	}
	opts, err := f.Options()
	if err != nil {
		return err
	}
	opts.Passphrase = nil // nobody is there to ask
	if err := opts.Validate(); err != nil {
		return err
	}
	passwords, err := f.becomePasswords(ctx)
	if err != nil {
		return err
	}
	flags.WarnInsecure(stdio.Err, opts)
	machine, err := os.Hostname()
	if err != nil {
		machine = "unknown"
	}
	if f.name == "" {
		f.name = plainName(machine) + "-" + strings.ToLower(rand.Text()[:4])
	}
	notice := func(text string) { console.Note(stdio.Err, text) }
	conn, err := f.ConnectWith("shoal worker "+f.name, cluster.WorkerInbox(f.pool, f.name), notice)
	if err != nil {
		return err
	}
	defer conn.Close()
	w, err := cluster.NewWorker(conn, cluster.WorkerOptions{
		Pool: f.pool, Name: f.name, Machine: machine, Version: console.Version, Signers: signers, Connect: opts, Room: f.fanout, BecomePasswords: passwords, State: f.State(), Notice: notice,
	})
	if err != nil {
		return err
	}
	ctx, stop := signals.Watch(ctx, func(aborting bool) {
		if aborting {
			console.Say(stdio.Err, "aborting: commands that run are abandoned and may go on where they run")
			return
		}
		console.Say(stdio.Err, "stopping: nothing more is started, commands that run are waited for; Ctrl-C twice within a second aborts")
	})
	defer stop.End()
	defer collector.FollowRun()()
	console.Say(stdio.Err, "worker %s takes shards of the pool %q, for %s at once", f.name, f.pool, hosts(w.Room))
	if err := w.Run(ctx, stop.Drained); err != nil {
		return err
	}
	if ctx.Err() != nil {
		return errors.Join(console.ExitError(console.ExitUnknown))
	}
	return nil
}

// becomePasswords returns how the password for becoming another user is read, for each run anew; nil
// without one.
func (f *workerFlags) becomePasswords(ctx context.Context) (func(time.Duration) (ssh.Passwords, error), error) {
	switch {
	case f.becomeFile == "":
		return nil, nil
	case flags.IsStdin(f.becomeFile):
		return nil, hint.New("--become-password-file is read for each run, and standard input can be read once", "put the password into a file with mode 0600")
	}
	read := func(limit time.Duration) (ssh.Passwords, error) {
		p, err := auth.NewBecomePasswords(auth.FromFile(f.becomeFile), true, limit)
		if err != nil {
			return nil, err
		}
		return p, p.Prepare(ctx)
	}
	_, err := read(time.Minute) // a file that cannot be read is told now
	return read, err
}

func hosts(n int) string {
	if n == 1 {
		return "one host"
	}
	return fmt.Sprintf("%d hosts", n)
}

// plainName makes a name that may stand in subjects of NATS.
func plainName(name string) string {
	name, _, _ = strings.Cut(name, ".")
	plain := strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '-' {
			return r
		}
		return '-'
	}, name)
	return plain[:min(len(plain), 48)]
}
