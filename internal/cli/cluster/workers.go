package cluster

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"shoal/internal/cli/console"
	"shoal/internal/cli/flags"
	"shoal/internal/cluster"
	"shoal/internal/hint"
	"shoal/internal/ui"
)

// NewWorkers returns shoal workers.
func NewWorkers(stdio console.Stdio) *cobra.Command {
	var f flags.ClusterFlags
	cmd := &cobra.Command{
		Use:   "workers --cluster URL",
		Short: "List the workers: pool, load, last sign of life",
		Long: `List the workers that gave a sign of life within the last hour. Those that are
there are asked for one first, and answer within half a second.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return listWorkers(cmd.Context(), &f, stdio) },
	}
	g := flags.NewGroup("Workers")
	f.Register(g, "list the workers at")
	flags.AddInGroups(cmd, g)
	return cmd
}

func listWorkers(ctx context.Context, f *flags.ClusterFlags, stdio console.Stdio) error {
	if f.URL == "" {
		return hint.New("it is not said where the workers are", "--cluster nats://127.0.0.1:4222")
	}
	conn, err := f.Connect("shoal workers", func(text string) { console.Note(stdio.Err, text) })
	if err != nil {
		return err
	}
	defer conn.Close()
	list, err := conn.Workers(ctx)
	if err != nil {
		return err
	}
	slices.SortFunc(list, func(a, b cluster.Presence) int {
		return cmp.Or(cmp.Compare(a.Pool, b.Pool), cmp.Compare(a.Worker, b.Worker))
	})
	t := tabwriter.NewWriter(stdio.Out, 0, 0, 2, ' ', 0)
	_, _ = fmt.Fprintln(t, "POOL\tWORKER\tHOSTS\tSHARDS\tSEEN\tMACHINE\tVERSION") // Flush has the error
	for _, w := range list {
		seen := "now"
		switch {
		case w.Gone:
			seen = "left " + w.Age.Round(time.Second).String() + " ago"
		case w.Age > 2*time.Second:
			seen = w.Age.Round(time.Second).String() + " ago"
		}
		_, _ = fmt.Fprintf(t, "%s\t%s\t%d of %d\t%d\t%s\t%s\t%s\n", ui.Visible(w.Pool), ui.Visible(w.Worker), w.Busy, w.Room, w.Shards, seen, ui.Visible(w.Machine), ui.Visible(w.Version))
	}
	if err := t.Flush(); err != nil {
		return fmt.Errorf("printing the workers: %w", err)
	}
	return nil
}
